export { EventLoopDelay } from './event-loop-delay.ts';
export { SipListeners, type BoundSipListener, type SipListenersOptions } from './sip-listeners.ts';
export { numericLookup } from './numeric-lookup.ts';
