export * from './body.ts';
export { isAuthority, isHeaderValue, isToken } from './characters.ts';
export type { BodySink } from './chunked.ts';
export * from './cookies.ts';
export * from './end-to-end.ts';
export * from './exchange.ts';
export { type HttpFault, type HttpFaultCode, httpFault, isFault } from './fault.ts';
export type { Field } from './field.ts';
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
export { fieldLines, HeaderBlock } from './header-block.ts';
export * from './serialize.ts';
export { isServed } from './start-line.ts';
export * from './upgrade.ts';
