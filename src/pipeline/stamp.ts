import { hash } from 'node:crypto';
import { stampLimits } from '../config/defaults.ts';
import { Generations, own } from './generations.ts';
import { sha256Latin1, sha256Of16 } from './sha256.ts';

/** What a session carries to come back to its instance. */
export interface Stamp {
  /** Key digest; empty where no key was needed. */
  readonly bekey: string;
  /** Name of the instance. */
  readonly beroute: string;
}

/**
 * Kinds keep a signature made for one place from being valid in another.
 * `dialog`: Record-Route, scope Call-ID. `via`: our Via with its way back, scope Call-ID. `path`: Path,
 * no scope. `flow`: flow token of a Path, no scope. `flow-dialog`: flow token of a Record-Route, scope
 * Call-ID. `bekey`, `beroute`: the cookies.
 */
export type StampKind = 'dialog' | 'via' | 'path' | 'flow' | 'flow-dialog' | 'bekey' | 'beroute';

/** Kinds that are signed for one dialog. */
type ScopedKind = 'dialog' | 'via';

/** Where the responses to a request of ours come back to: what our Via says beside the stamp. */
export interface WayBack {
  /** Peer that holds the flow. */
  readonly ingressPeer: string;
  readonly flow: string;
}

/** A named secret. The first of the configured keys signs, all verify. */
export interface StampKey {
  /** Letters and digits. */
  readonly id: string;
  /** At least 16 bytes. */
  readonly secret: Uint8Array;
}

const version = 'v1';
const blockBytes = 64;
/** In UTF-16 units, each at most three bytes of UTF-8. */
const longestSignedText = Math.floor(stampLimits.signedTextBytesMax / 3);

/** HMAC-SHA-256 (RFC 2104) written as two one-shot hashes, several times faster than `createHmac`. */
class MacKey {
  readonly id: string;
  readonly #inner = Buffer.alloc(blockBytes + stampLimits.signedTextBytesMax);
  readonly #outer = Buffer.alloc(blockBytes + 32);

  constructor(key: StampKey) {
    this.id = key.id;
    const secret =
      key.secret.length > blockBytes ? hash('sha256', key.secret, 'buffer') : key.secret;
    for (let at = 0; at < blockBytes; at++) {
      const byte = secret[at] ?? 0;
      this.#inner[at] = byte ^ 0x36;
      this.#outer[at] = byte ^ 0x5c;
    }
  }

  /** base64url of the first 16 bytes: 22 characters. */
  mac(text: string): string {
    const length = this.#inner.write(text, blockBytes, 'utf8');
    const inner = sha256Latin1(this.#inner.subarray(0, blockBytes + length));
    this.#outer.write(inner, blockBytes, 'latin1');
    return sha256Of16(this.#outer);
  }
}

/** A signature that was made or found valid. */
interface Signed {
  readonly kind: StampKind;
  readonly value: string;
  readonly signature: string;
}

/** The signature of a Via of ours. */
interface SignedVia extends SignedDialog, WayBack {}

/** The last signatures of a Call-ID. */
interface SignedCall {
  dialog: SignedDialog | undefined;
  via: SignedVia | undefined;
}

/** The signature of a dialog's stamp. */
interface SignedDialog {
  readonly bekey: string;
  readonly beroute: string;
  readonly signature: string;
}

/**
 * Signs and verifies stamps. A dialog's stamp comes back with each of its messages, so both
 * directions remember the last results in bounded generations.
 */
export class Stamper {
  readonly #keys: readonly MacKey[];
  readonly #signer: MacKey;
  readonly #calls = new Generations<SignedCall>(stampLimits.signaturesRemembered);
  readonly #others = new Generations<Signed>(stampLimits.signaturesRemembered);
  /** What was asked for last: one message asks several times for its Call-ID. */
  #lastCallId = '';
  #lastCall: SignedCall | undefined;

  /** @param keys at least one; the first one signs */
  constructor(keys: readonly StampKey[]) {
    this.#keys = keys.map((key) => new MacKey(key));
    const [signer] = this.#keys;
    if (signer === undefined) throw new Error('Stamper needs at least one key');
    this.#signer = signer;
  }

  /** Signs the stamp of a dialog, for Record-Route. @returns `<keyId>.<mac>` */
  signDialog(stamp: Stamp, callId: string): string {
    const known = this.#known(callId)?.dialog;
    if (known !== undefined && isOf(known, stamp) && this.#isSigners(known.signature)) {
      return known.signature;
    }
    const signature = this.#make(signedText('dialog', stampText(stamp), callId));
    this.#rememberDialog(stamp, callId, signature);
    return signature;
  }

  /** Whether the stamp was signed for this dialog by one of the keys. */
  verifyDialog(stamp: Stamp, callId: string, signature: string): boolean {
    const known = this.#known(callId)?.dialog;
    if (known !== undefined && isOf(known, stamp) && isEqual(known.signature, signature)) {
      return true;
    }
    const valid = this.#check(signedText('dialog', stampText(stamp), callId), signature);
    if (valid === undefined) return false;
    this.#rememberDialog(stamp, callId, valid);
    return true;
  }

  /** Signs the stamp and the way back of our Via. @returns `<keyId>.<mac>` */
  signVia(stamp: Stamp, way: WayBack, callId: string): string {
    const known = this.#known(callId)?.via;
    if (known !== undefined && isVia(known, stamp, way) && this.#isSigners(known.signature)) {
      return known.signature;
    }
    const signature = this.#make(signedText('via', viaText(stamp, way), callId));
    this.#rememberVia(stamp, way, callId, signature);
    return signature;
  }

  /** Whether our Via of a message of this Call-ID is as one of the keys signed it. */
  verifyVia(stamp: Stamp, way: WayBack, callId: string, signature: string): boolean {
    const known = this.#known(callId)?.via;
    if (known !== undefined && isVia(known, stamp, way) && isEqual(known.signature, signature)) {
      return true;
    }
    const valid = this.#check(signedText('via', viaText(stamp, way), callId), signature);
    if (valid === undefined) return false;
    this.#rememberVia(stamp, way, callId, valid);
    return true;
  }

  #known(callId: string): SignedCall | undefined {
    if (callId === this.#lastCallId) return this.#lastCall;
    const call = this.#calls.get(callId);
    this.#lastCallId = callId;
    this.#lastCall = call;
    return call;
  }

  #callOf(callId: string): SignedCall {
    let call = this.#known(callId);
    if (call === undefined) {
      call = { dialog: undefined, via: undefined };
      this.#calls.set(callId, call);
      this.#lastCall = call;
    }
    return call;
  }

  #rememberDialog({ bekey, beroute }: Stamp, callId: string, signature: string): void {
    this.#callOf(callId).dialog = { bekey: own(bekey), beroute: own(beroute), signature };
  }

  #rememberVia(stamp: Stamp, way: WayBack, callId: string, signature: string): void {
    this.#callOf(callId).via = {
      bekey: own(stamp.bekey),
      beroute: own(stamp.beroute),
      ingressPeer: own(way.ingressPeer),
      flow: own(way.flow),
      signature,
    };
  }

  /** Signs what outlives a call: Path and cookies. @param value holds no line feed */
  sign(kind: Exclude<StampKind, ScopedKind>, value: string): string {
    const known = this.#others.get(value);
    if (known?.kind === kind && this.#isSigners(known.signature)) return known.signature;
    const signature = this.#make(signedText(kind, value, ''));
    this.#others.set(value, { kind, value: own(value), signature });
    return signature;
  }

  /** Constant time in the signature; false for an unknown key, another kind or value. */
  verify(kind: Exclude<StampKind, ScopedKind>, value: string, signature: string): boolean {
    const known = this.#others.get(value);
    if (known?.kind === kind && isEqual(known.signature, signature)) return true;
    const valid = this.#check(signedText(kind, value, ''), signature);
    if (valid === undefined) return false;
    this.#others.set(value, { kind, value: own(value), signature: valid });
    return true;
  }

  #make(text: string): string {
    return `${this.#signer.id}.${this.#signer.mac(text)}`;
  }

  /** A remembered signature may be that of a key that only verifies by now. */
  #isSigners(signature: string): boolean {
    const { id } = this.#signer;
    return signature.startsWith(id) && signature.charCodeAt(id.length) === dot;
  }

  /** Our own text of the signature when it is valid. */
  #check(text: string, signature: string): string | undefined {
    const end = signature.indexOf('.');
    const keyId = signature.slice(0, end);
    const key = this.#keys.find((candidate) => candidate.id === keyId);
    if (end < 0 || key === undefined) return undefined;
    const valid = `${key.id}.${key.mac(text)}`;
    return isEqual(valid, signature) ? valid : undefined;
  }
}

const dot = 0x2e;

/** The text that a Path's stamp signs. */
export function stampText(stamp: Stamp): string {
  return `${stamp.bekey};${stamp.beroute}`;
}

function viaText({ bekey, beroute }: Stamp, { ingressPeer, flow }: WayBack): string {
  return `${bekey};${beroute};${ingressPeer};${flow}`;
}

function isVia(known: SignedVia, stamp: Stamp, way: WayBack): boolean {
  return isOf(known, stamp) && known.ingressPeer === way.ingressPeer && known.flow === way.flow;
}

function isOf(known: SignedDialog, stamp: Stamp): boolean {
  return known.bekey === stamp.bekey && known.beroute === stamp.beroute;
}

function signedText(kind: StampKind, value: string, scope: string): string {
  const text = `${version}\n${kind}\n${value}\n${scope}`;
  // A longer text would not fit the hash's buffer; its own digest stands for it.
  return text.length > longestSignedText ? hash('sha256', text, 'hex') : text;
}

/** Equality in a time that does not tell where two texts differ. */
function isEqual(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= a.charCodeAt(at) ^ b.charCodeAt(at);
  return difference === 0;
}
