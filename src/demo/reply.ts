import type { EmbeddedSipRequest, EmbeddedSipResponse } from '../io/application/module.ts';

/** Sends a response with the headers that all responses of the demo carry. */
export type Reply = (request: EmbeddedSipRequest, response: EmbeddedSipResponse) => void;
