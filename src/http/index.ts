export * from './body.ts';
export { isHeaderValue, isToken } from './characters.ts';
export type { BodySink } from './chunked.ts';
export * from './cookies.ts';
export * from './end-to-end.ts';
export * from './exchange.ts';
export { type HttpFault, type HttpFaultCode, httpFault, isFault } from './fault.ts';
export { type Field, headerList, headerValue, isNamed } from './field.ts';
export * from './forwarded.ts';
export {
  announcedFraming,
  chunkedBody,
  type FramingHeaders,
  mayHaveBody,
  noBody,
  type ReceivedFraming,
  responseFraming,
} from './framing.ts';
export { GatheredOutput } from './gathered-output.ts';
export type { ReceivedRequest, ReceivedResponse } from './head.ts';
export * from './head-parser.ts';
export * from './serialize.ts';
