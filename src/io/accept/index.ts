export {
  Entrance,
  type AcceptLimits,
  type Entered,
  type EntranceOptions,
  type EntranceReport,
} from './entrance.ts';
export type { Handshake, HandshakeStage, Source } from './handshake.ts';
export { Places, SourcePlaces } from './places.ts';
export { mappedPrefix, plainAddress } from './plain-address.ts';
export type { TlsCredentials } from './tls-credentials.ts';
