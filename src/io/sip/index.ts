export { SipListeners, type BoundSipListener, type SipListenerOptions } from './sip-listeners.ts';
export { numericLookup } from './numeric-lookup.ts';
export { StreamConnection } from './stream-connection.ts';
