import { dialogLimits, keyLimits, transactionLimits } from '../config/defaults.ts';
import { hash64, parseSipMessage, tagOf } from '../sip/index.ts';
import { own } from './generations.ts';

/** One call: all dialogs of one Call-ID. */
interface Call {
  /** When it began, or was confirmed last. */
  sinceMs: number;
  isEarly: boolean;
  /** The confirmed dialogs: several where a fork was taken up by more than one. */
  dialogs: readonly string[];
}

/**
 * The calls of the instance here, early and confirmed (RFC 3261 section 12), told apart by Call-ID: a
 * drain waits for their end. Only what goes to and comes from the application is looked at, and no
 * more of it than a first line, CSeq and Call-ID, and the tags where a dialog begins or ends.
 */
export class Dialogs {
  readonly #onForgotten: () => void;
  readonly #calls = new Map<string, Call>();
  readonly #oldestCall = new Oldest(this.#calls);
  /** When dialogs ended: a 2xx is repeated until its ACK comes, also behind a BYE (section 13.3.1.4). */
  readonly #ended = new Map<string, number>();
  readonly #oldestEnded = new Oldest(this.#ended);
  #requests = 0;

  /** @param onForgotten hears of each call that the limit pushed out */
  constructor(onForgotten: () => void) {
    this.#onForgotten = onForgotten;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** Requests so far, of calls or not. An OPTIONS is mostly a ping, which never ends: it is no work. */
  get requests(): number {
    return this.#requests;
  }

  /** A request went to the application, or came from it. */
  request(bytes: Buffer, nowMs: number): void {
    const first = bytes[0];
    if (first !== letterO || !startsWith(bytes, 'OPTIONS ')) this.#requests++;
    if (first === letterB && startsWith(bytes, 'BYE ')) this.#bye(bytes, nowMs);
    else if (first === letterI && startsWith(bytes, 'INVITE ')) this.#invited(bytes, nowMs);
  }

  /** A response went to the application, or came from it. */
  response(bytes: Buffer, nowMs: number): void {
    // "SIP/2.0 2": provisional ones change nothing.
    const statusClass = bytes[8] ?? 0;
    if (statusClass < digit2 || statusClass > digit6) return;
    const head = headOf(bytes);
    if (!answersInvite(bytes, head)) return;
    const callId = callIdOf(bytes, head);
    if (statusClass === digit2) this.#confirmed(callId, dialogOf(bytes, head, callId), nowMs);
    else if (this.#calls.get(callId)?.isEarly === true) this.#calls.delete(callId);
  }

  /** Forgets calls whose end nobody told: rung for longer than Timer C, or of yesterday. */
  sweep(nowMs: number): void {
    this.#oldestCall.release();
    this.#oldestEnded.release();
    for (const [callId, { isEarly, sinceMs }] of this.#calls) {
      const limitMs = isEarly ? dialogLimits.earlyMs : dialogLimits.confirmedMs;
      if (nowMs - sinceMs >= limitMs) this.#calls.delete(callId);
    }
    for (const [dialog, endedMs] of this.#ended) {
      if (nowMs - endedMs < transactionLimits.timeoutMs) break;
      this.#ended.delete(dialog);
    }
  }

  /** A re-INVITE is no new call. */
  #invited(bytes: Buffer, nowMs: number): void {
    const callId = callIdOf(bytes, headOf(bytes));
    if (!this.#calls.has(callId)) {
      this.#put(callId, { sinceMs: nowMs, isEarly: true, dialogs: [] });
    }
  }

  #confirmed(callId: string, dialog: string, nowMs: number): void {
    if (this.#ended.has(dialog)) return;
    const known = this.#calls.get(callId)?.dialogs ?? [];
    const dialogs = known.includes(dialog)
      ? known
      : [...known, dialog].slice(-dialogLimits.forksMax);
    this.#put(callId, { sinceMs: nowMs, isEarly: false, dialogs });
  }

  #bye(bytes: Buffer, nowMs: number): void {
    const head = headOf(bytes);
    const callId = callIdOf(bytes, head);
    const dialog = dialogOf(bytes, head, callId);
    this.#ended.delete(dialog);
    if (this.#ended.size >= dialogLimits.endedMax) this.#oldestEnded.delete();
    this.#ended.set(dialog, nowMs);
    const call = this.#calls.get(callId);
    if (call === undefined) return;
    call.dialogs = call.dialogs.filter((each) => each !== dialog);
    if (call.dialogs.length === 0) this.#calls.delete(callId);
  }

  #put(callId: string, call: Call): void {
    if (callId === '') return;
    if (!this.#calls.has(callId) && this.#calls.size >= dialogLimits.callsMax) {
      this.#oldestCall.delete();
      this.#onForgotten();
    }
    this.#calls.set(callId, call);
  }
}

/**
 * Deletes from the beginning of a map. Its iterator stays while it is used, for a new one walks over all
 * that was deleted before. One that nobody moves would hold every table that the map has outgrown since.
 */
class Oldest {
  readonly #map: Map<string, unknown>;
  #keys: MapIterator<string> | undefined;

  constructor(map: Map<string, unknown>) {
    this.#map = map;
  }

  /** The map must not be empty: an iterator that has come to an end stays there. */
  delete(): void {
    this.#keys ??= this.#map.keys();
    const { value } = this.#keys.next();
    if (value !== undefined) this.#map.delete(value);
  }

  /** To be called now and then. */
  release(): void {
    this.#keys = undefined;
  }
}

const letterB = 0x42;
const letterI = 0x49;
const letterO = 0x4f;
const digit2 = 0x32;
const digit6 = 0x36;
const space = 0x20;
const tab = 0x09;

function startsWith(bytes: Buffer, text: string): boolean {
  return bytes.toString('latin1', 0, text.length) === text;
}

/** First line and fields, each with its CRLF; a body may hold lines that look like fields. */
function headOf(bytes: Buffer): string {
  const text = bytes.toString('latin1');
  return text.slice(0, text.indexOf('\r\n\r\n') + 2);
}

function answersInvite(bytes: Buffer, head: string): boolean {
  const cseq = usualField(head, '\r\nCSeq: ');
  if (cseq !== undefined && /^[0-9]+ [^\s]+$/.test(cseq)) return cseq.endsWith(' INVITE');
  const parsed = parseSipMessage(bytes);
  return parsed.ok && parsed.message.cseqMethod === 'INVITE';
}

/** Empty when the message has none. */
function callIdOf(bytes: Buffer, head: string): string {
  const callId = usualField(head, '\r\nCall-ID: ');
  if (callId !== undefined && /^[^\s]+$/.test(callId)) return short(callId);
  const parsed = parseSipMessage(bytes);
  return parsed.ok ? short(parsed.message.callId) : '';
}

/** The same for both directions: who hangs up writes the tags the other way round. */
function dialogOf(bytes: Buffer, head: string, callId: string): string {
  const from = usualField(head, '\r\nFrom: ');
  const to = usualField(head, '\r\nTo: ');
  if (from !== undefined && to !== undefined) return dialogName(callId, tagOf(from), tagOf(to));
  const parsed = parseSipMessage(bytes);
  if (!parsed.ok) return dialogName(callId, undefined, undefined);
  return dialogName(callId, parsed.message.fromTag, parsed.message.toTag);
}

function dialogName(callId: string, one = '', other = ''): string {
  return short(one < other ? `${callId} ${one} ${other}` : `${callId} ${other} ${one}`);
}

/** What can be remembered of a name: whoever sends it chooses its length, too. */
function short(name: string): string {
  return name.length > keyLimits.rememberedKeyLengthMax ? hash64(name) : own(name);
}

/** The value of a field whose line begins as nearly everybody writes it and ends where it seems to. */
function usualField(head: string, start: string): string | undefined {
  const at = head.indexOf(start);
  if (at < 0) return undefined;
  const from = at + start.length;
  const end = head.indexOf('\r\n', from);
  const next = head.charCodeAt(end + 2);
  // RFC 3261 section 7.3.1: a line that begins with a blank goes on with the field before it.
  return next === space || next === tab ? undefined : head.slice(from, end);
}
