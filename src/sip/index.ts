export { Edits } from './edits.ts';
export { StreamFramer, type FramingFault, type StreamFrame } from './framing.ts';
export { hash64 } from './hash64.ts';
export { canonicalName, HeaderId } from './header-names.ts';
export {
  cseqOf,
  SipMessage,
  splitList,
  type SipFault,
  type SipFlaw,
  type SipParseResult,
} from './message.ts';
export { parseSipMessage } from './parse.ts';
export { reasonPhrase } from './reason-phrases.ts';
export { buildResponse, type ResponseParts } from './response.ts';
export {
  readRouteUri,
  readUri,
  routeValues,
  uriParameter,
  type RouteUri,
  type RouteValue,
} from './route.ts';
export { hasMagicCookie } from './transaction-key.ts';
export {
  ServerTransactions,
  type ServerTransaction,
  type ServerTransactionsOptions,
  type TransactionEffect,
  type TransactionInput,
  type WithheldReason,
} from './server-transaction.ts';
export { answerStun } from './stun.ts';
export { tagOf } from './tag.ts';
export { isToken } from './token.ts';
export {
  assignmentKey,
  TransactionMemory,
  type Assignment,
  type MemoryLimits,
} from './transaction-memory.ts';
export {
  parseNameAddress,
  parseParameters,
  parseUri,
  splitHostPort,
  type NameAddress,
  type SipUri,
} from './uri.ts';
export { isAnswerable, isBadResponse, validateRequest, type Refusal } from './validate.ts';
export { parameterTexts, readVia, viaParameter, type Via } from './via.ts';
