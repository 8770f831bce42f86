import { gossipLimits } from '../config/defaults.ts';
import type { Keyring, KeyOutcome } from './keyring.ts';
import type { SerfOptions } from './serf-effect.ts';
import {
  decodeKeyRequest,
  encodeKeyAnswer,
  encodeKeyRequest,
  encodeResponse,
  type KeyAnswer,
  type Query,
} from './serf-message.ts';

/** What may be done to the keys of all members; `list` needs no key. */
export type KeyOperation =
  | { readonly kind: 'install' | 'use' | 'remove'; readonly key: Uint8Array }
  | { readonly kind: 'list' };

const queryNames: Readonly<Record<KeyOperation['kind'], string>> = {
  install: '_serf_install-key',
  use: '_serf_use-key',
  remove: '_serf_remove-key',
  list: '_serf_list-keys',
};

/** The question by which a member asks all others to do this to their keys. */
export function keyQuery(
  operation: KeyOperation,
  from: {
    readonly id: number;
    readonly time: number;
    readonly timeoutMs: number;
    readonly options: SerfOptions;
  },
): Query {
  const { id, time, timeoutMs, options } = from;
  return {
    kind: 'query',
    time,
    id,
    source: options.endpoint,
    sourceNode: options.name,
    filters: [],
    isAckWanted: false,
    isForUsAlone: false,
    timeoutMs,
    name: queryNames[operation.kind],
    payload: encodeKeyRequest(operation.kind === 'list' ? new Uint8Array(0) : operation.key),
  };
}

/** The operation that a query asks for; undefined when it is about something else, or broken. */
export function keyOperation(query: Query): KeyOperation | undefined {
  if (query.name === queryNames.list) return { kind: 'list' };
  for (const kind of ['install', 'use', 'remove'] as const) {
    if (query.name !== queryNames[kind]) continue;
    const key = decodeKeyRequest(query.payload);
    return key === undefined ? undefined : { kind, key };
  }
  return undefined;
}

/** The answer as a user message. Keys that do not fit are left out, and the message says so. */
export function encodeKeyResponse(query: Query, from: string, answer: KeyAnswer): Uint8Array {
  for (let kept = answer.keys.length; ; kept--) {
    const isWhole = kept === answer.keys.length;
    const message = isWhole ? answer.message : `only ${kept} of ${answer.keys.length} keys fit`;
    const payload = encodeKeyAnswer({ ...answer, message, keys: answer.keys.slice(0, kept) });
    const { time, id } = query;
    const bytes = encodeResponse({ kind: 'queryResponse', time, id, from, isAck: false, payload });
    if (bytes.length <= gossipLimits.serfResponseBytesMax || kept === 0) return bytes;
  }
}

/** Does an operation to the keys of this peer; without keys none is possible. */
export function changeKeys(keyring: Keyring | undefined, operation: KeyOperation): KeyAnswer {
  if (keyring === undefined) return refused('gossip is not encrypted here');
  if (operation.kind === 'list') {
    const keys = keyring.secrets().map((key) => Buffer.from(key).toString('base64'));
    return { isDone: true, message: '', keys };
  }
  const outcome = keyring[operation.kind](operation.key);
  // Operations may come twice: what is gone is removed, as serf has it.
  if (outcome === 'unknown' && operation.kind === 'remove') return done;
  const reason = reasons[outcome];
  return reason === undefined ? done : refused(reason);
}

const done: KeyAnswer = { isDone: true, message: '', keys: [] };

const reasons: Readonly<Record<KeyOutcome, string | undefined>> = {
  done: undefined,
  unchanged: undefined,
  'bad-size': 'a key has 16, 24 or 32 bytes',
  full: 'there are too many keys: remove one first',
  unknown: 'the key is not installed',
  primary: 'the key is in use: use another first',
};

function refused(message: string): KeyAnswer {
  return { isDone: false, message, keys: [] };
}
