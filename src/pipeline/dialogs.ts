import { dialogLimits } from '../config/defaults.ts';
import { parseSipMessage } from '../sip/index.ts';

/**
 * The calls of the instance here, early and confirmed (RFC 3261 section 12), told apart by Call-ID: a
 * drain waits for their end. Only what goes to and comes from the application is looked at, and no
 * more of it than a first line, CSeq and Call-ID.
 */
export class Dialogs {
  readonly #onForgotten: () => void;
  /** When each began, or was confirmed. Early ones are negative. */
  readonly #since = new Map<string, number>();

  /** @param onForgotten hears of each call that the limit pushed out */
  constructor(onForgotten: () => void) {
    this.#onForgotten = onForgotten;
  }

  get size(): number {
    return this.#since.size;
  }

  /** A request went to the application, or came from it. */
  request(bytes: Buffer, nowMs: number): void {
    const first = bytes[0];
    if (first === letterB && startsWith(bytes, 'BYE ')) this.#since.delete(callIdOf(bytes));
    else if (first === letterI && startsWith(bytes, 'INVITE ')) this.#invited(bytes, nowMs);
  }

  /** A response went to the application, or came from it. */
  response(bytes: Buffer, nowMs: number): void {
    // "SIP/2.0 2": provisional ones change nothing.
    const statusClass = bytes[8] ?? 0;
    if (statusClass < digit2 || statusClass > digit6 || !answersInvite(bytes)) return;
    const callId = callIdOf(bytes);
    if (statusClass === digit2) this.#put(callId, nowMs);
    else if ((this.#since.get(callId) ?? 0) < 0) this.#since.delete(callId);
  }

  /** Forgets calls whose end nobody told: rung for longer than Timer C, or of yesterday. */
  sweep(nowMs: number): void {
    for (const [callId, since] of this.#since) {
      const limitMs = since < 0 ? dialogLimits.earlyMs : dialogLimits.confirmedMs;
      if (nowMs - Math.abs(since) >= limitMs) this.#since.delete(callId);
    }
  }

  /** A re-INVITE is no new call. */
  #invited(bytes: Buffer, nowMs: number): void {
    const callId = callIdOf(bytes);
    // Zero has no sign to tell an early call by.
    if (!this.#since.has(callId)) this.#put(callId, -Math.max(nowMs, Number.MIN_VALUE));
  }

  #put(callId: string, since: number): void {
    if (callId === '') return;
    if (!this.#since.has(callId) && this.#since.size >= dialogLimits.callsMax) {
      const [oldest] = this.#since.keys();
      if (oldest !== undefined) this.#since.delete(oldest);
      this.#onForgotten();
    }
    this.#since.set(callId, since);
  }
}

const letterB = 0x42;
const letterI = 0x49;
const digit2 = 0x32;
const digit6 = 0x36;

function startsWith(bytes: Buffer, text: string): boolean {
  return bytes.toString('latin1', 0, text.length) === text;
}

function answersInvite(bytes: Buffer): boolean {
  const cseq = usualField(bytes, '\r\nCSeq: ');
  if (cseq !== undefined) return cseq.endsWith(' INVITE');
  const parsed = parseSipMessage(bytes);
  return parsed.ok && parsed.message.cseqMethod === 'INVITE';
}

/** Empty when the message has none. */
function callIdOf(bytes: Buffer): string {
  const callId = usualField(bytes, '\r\nCall-ID: ');
  if (callId !== undefined) return callId;
  const parsed = parseSipMessage(bytes);
  return parsed.ok ? parsed.message.callId : '';
}

/** The value of a header line as nearly everybody writes it, without parsing what is before it. */
function usualField(bytes: Buffer, start: string): string | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n', 0, 'latin1');
  const at = bytes.indexOf(start, 0, 'latin1');
  // A body may hold such a line as well.
  if (at < 0 || at >= headEnd) return undefined;
  const from = at + start.length;
  const value = bytes.toString('latin1', from, bytes.indexOf('\r\n', from, 'latin1'));
  // One with odd space, or that goes on in the next line, is read in full.
  return /^[^\s]+(?: [^\s]+)?$/.test(value) ? value : undefined;
}
