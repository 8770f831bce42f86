import {
  parseSipMessage,
  parseUri,
  readRouteUri,
  ServerTransactions,
  type ServerTransaction,
  type SipMessage,
  type TransactionEffect,
  type TransactionInput,
} from '../../src/sip/index.ts';
import { sipTimers } from '../../src/config/defaults.ts';
import { sip } from '../support/sip-text.ts';
import { ClientTransaction } from './client-transaction.ts';
import type { Appointment, Clock } from './clock.ts';
import { OutgoingCall, type CallOptions } from './call.ts';
import { dialogName, dialogOfRequest, type Dialog } from './dialog.ts';

export interface UserAgentOptions {
  /** As traces call it; also the user of its Contact. */
  readonly name: string;
  /** `ip:port`. */
  readonly address: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** Where requests without a route go, `ip:port`. */
  readonly proxy: string;
  readonly sendRequest: (bytes: Buffer, to: string) => void;
  /** @param to where the top Via says (RFC 3261 section 18.2.2) */
  readonly sendResponse: (bytes: Buffer, to: string) => void;
}

/** One request to be written. */
export interface RequestParts {
  readonly method: string;
  readonly uri: string;
  readonly branch: string;
  readonly from: string;
  readonly to: string;
  readonly callId: string;
  readonly cseq: number;
  readonly routes: readonly string[];
  readonly headers?: readonly string[];
}

/** A client's side of one transaction. */
export interface Exchange {
  readonly parts: RequestParts;
  readonly responded: (response: SipMessage, isCopy: boolean) => void;
  /** Sends the ACK to a final response above 299, by default at once. */
  readonly acknowledge?: (send: () => void) => void;
  readonly timedOut: () => void;
}

/** A request outside all dialogs. */
export interface SingleRequest {
  readonly callId: string;
  /** Sends its very bytes once more. */
  readonly again: () => void;
  /** Of the last response; 0: none came. */
  readonly status: () => number;
}

/** What a user agent noticed that a test wants to know. */
export interface Notices {
  /** Statuses that were answered to CANCELs without an INVITE. */
  unknownCancels: number;
  /** In-dialog requests of dialogs that are not known here. */
  unknownDialogs: number;
  /** INVITEs whose final response nobody acknowledged, by Call-ID. */
  readonly unacknowledged: string[];
  /** Call-IDs of INVITEs that were cancelled here. */
  readonly cancelled: string[];
}

/** An INVITE that this user agent was sent. */
interface Incoming {
  readonly dialog: Dialog;
  readonly transaction: ServerTransaction;
  reliable: Appointment | undefined;
}

/**
 * A SIP user agent over UDP, caller and called, small but with the timers of RFC 3261. What it does
 * with a call is written in the user part of the Request-URI: `answer`, `ring`, `busy` or `reliable`
 * (100rel, RFC 3262).
 */
export class UserAgent {
  readonly options: UserAgentOptions;
  readonly notices: Notices = {
    unknownCancels: 0,
    unknownDialogs: 0,
    unacknowledged: [],
    cancelled: [],
  };
  readonly #server: ServerTransactions;
  readonly #clients = new Map<string, ClientTransaction>();
  readonly #calls = new Map<string, OutgoingCall>();
  readonly #dialogs = new Map<string, Dialog>();
  readonly #incoming = new Map<string, Incoming>();
  readonly #callIdOf = new Map<ServerTransaction, string>();
  #wake: Appointment | undefined;
  #wakeAtMs = Infinity;
  #named = 0;
  #isStopped = false;

  constructor(options: UserAgentOptions) {
    this.options = options;
    this.#server = new ServerTransactions({ newTag: () => this.newName('tag') });
  }

  /** Server transactions held now. */
  get transactions(): number {
    return this.#server.size;
  }

  /** The process ends: nothing is sent any more. */
  stop(): void {
    this.#isStopped = true;
    this.#wake?.cancel();
    for (const client of this.#clients.values()) client.abandon();
  }

  /** A name that no other part of the simulation uses. */
  newName(kind: string): string {
    const random = Math.floor(this.options.random() * 0x1_0000_0000).toString(36);
    return `${kind}-${this.options.name}-${this.#named++}-${random}`;
  }

  call(options: CallOptions): OutgoingCall {
    const call = new OutgoingCall(this, options);
    this.#calls.set(call.callId, call);
    return call;
  }

  /** A request of its own, outside all dialogs. */
  single(method: string, headers: readonly string[]): SingleRequest {
    const callId = this.newName('single');
    const parts = {
      method,
      uri: 'sip:answer@example.com',
      branch: this.newName('z9hG4bK'),
      from: `<sip:${this.options.name}@example.com>;tag=${this.newName('tag')}`,
      to: '<sip:answer@example.com>',
      callId,
      cseq: 1,
      routes: [],
      headers,
    };
    let status = 0;
    const responded = (response: SipMessage): void => {
      status = response.status;
    };
    this.exchange({ parts, responded, timedOut: () => undefined });
    return { callId, again: () => this.sendOnce(parts), status: () => status };
  }

  /** Ends the calls of a Call-ID that were made to this user agent. */
  hangUp(callId: string): void {
    for (const dialog of this.dialogsOf(callId)) {
      const parts = this.partsOf(dialog, 'BYE');
      const done = (): void => this.removeDialog(dialog);
      this.exchange({ parts, responded: done, timedOut: done });
    }
  }

  /** Answers an INVITE that rings. */
  answer(callId: string): void {
    const incoming = this.#incoming.get(callId);
    if (incoming === undefined) throw new Error(`${this.options.name} knows no call ${callId}`);
    this.#respond(incoming.transaction, 200, true, incoming.dialog.localTag);
  }

  /** Dialogs of a Call-ID, made here as the called or the caller. */
  dialogsOf(callId: string): Dialog[] {
    return [...this.#dialogs.values()].filter((dialog) => dialog.callId === callId);
  }

  addDialog(dialog: Dialog): void {
    this.#dialogs.set(dialogName(dialog.callId, dialog.localTag, dialog.remoteTag), dialog);
  }

  removeDialog(dialog: Dialog): void {
    this.#dialogs.delete(dialogName(dialog.callId, dialog.localTag, dialog.remoteTag));
  }

  receive(bytes: Buffer): void {
    if (this.#isStopped) return;
    const parsed = parseSipMessage(bytes);
    if (!parsed.ok) throw new Error(`${this.options.name} got no SIP message: ${parsed.fault}`);
    const { message } = parsed;
    if (message.isRequest) this.#handle({ kind: 'request', message });
    else
      this.#clients.get(clientName(message.topVia?.branch, message.cseqMethod))?.receive(message);
  }

  // --- as a client

  /** Sends a request with all its retransmissions. */
  exchange({ parts, responded, timedOut, acknowledge = (send) => send() }: Exchange): void {
    const bytes = this.write(parts);
    const to = this.#destination(parts);
    const client = new ClientTransaction({
      clock: this.options.clock,
      method: parts.method,
      send: () => this.#sendRequest(bytes, to),
      acknowledge: (response) => {
        const ack = { ...parts, method: 'ACK', to: response.header('To') ?? '', headers: [] };
        acknowledge(() => this.#sendRequest(this.write(ack), to));
      },
      responded,
      timedOut,
    });
    this.#clients.set(clientName(parts.branch, parts.method), client);
  }

  /** Sends a request once, without waiting for anything: an ACK to a 2xx. */
  sendOnce(parts: RequestParts): void {
    this.#sendRequest(this.write(parts), this.#destination(parts));
  }

  /** The next request of a dialog. */
  partsOf(dialog: Dialog, method: string, headers: readonly string[] = []): RequestParts {
    dialog.cseq += 1;
    return {
      method,
      uri: dialog.remoteTarget,
      branch: this.newName('z9hG4bK'),
      from: `${dialog.local};tag=${dialog.localTag}`,
      to: `${dialog.remote};tag=${dialog.remoteTag}`,
      callId: dialog.callId,
      cseq: dialog.cseq,
      routes: dialog.routes,
      headers,
    };
  }

  write(parts: RequestParts): Buffer {
    return sip([
      `${parts.method} ${parts.uri} SIP/2.0`,
      `Via: SIP/2.0/UDP ${this.options.address};branch=${parts.branch};rport`,
      ...parts.routes.map((route) => `Route: ${route}`),
      'Max-Forwards: 70',
      `From: ${parts.from}`,
      `To: ${parts.to}`,
      `Call-ID: ${parts.callId}`,
      `CSeq: ${parts.cseq} ${parts.method}`,
      ...(parts.method === 'INVITE' ? [`Contact: ${this.contact}`] : []),
      ...(parts.headers ?? []),
      'Content-Length: 0',
    ]);
  }

  get contact(): string {
    return `<sip:${this.options.name}@${this.options.address}>`;
  }

  #destination({ routes, to, uri }: RequestParts): string {
    const [first] = routes;
    if (first !== undefined) return readRouteUri(first)?.hostPort ?? this.options.proxy;
    // In a dialog without routes requests go straight to the other side.
    if (!to.includes(';tag=')) return this.options.proxy;
    const parsed = parseUri(uri);
    return `${parsed?.host ?? ''}:${parsed?.port ?? '5060'}`;
  }

  #sendRequest(bytes: Buffer, to: string): void {
    if (!this.#isStopped) this.options.sendRequest(bytes, to);
  }

  // --- as a server

  #handle(input: TransactionInput): void {
    if (this.#isStopped) return;
    for (const effect of this.#server.handle(input, this.options.clock.nowMs)) this.#do(effect);
  }

  #do(effect: TransactionEffect): void {
    switch (effect.kind) {
      case 'send':
        this.options.sendResponse(effect.bytes, wayOf(effect.bytes));
        return;
      case 'deliver':
        return this.#onRequest(effect.message, effect.transaction);
      case 'cancelled':
        return this.#onCancelled(effect.transaction);
      case 'terminated':
        return this.#onTerminated(effect.transaction, effect.isAcknowledged);
      case 'wake':
        return this.#wakeBy(effect.at);
      case 'withheld':
        if (effect.reason === 'cancel-unknown') this.notices.unknownCancels++;
        return;
      case 'expired':
    }
  }

  /** Effects of one step may come after those of a step within it: the earliest time counts. */
  #wakeBy(atMs: number): void {
    if (atMs >= this.#wakeAtMs) return;
    this.#wake?.cancel();
    this.#wakeAtMs = atMs;
    this.#wake = this.options.clock.at(atMs, () => {
      this.#wakeAtMs = Infinity;
      this.#handle({ kind: 'wake' });
    });
  }

  #onCancelled(transaction: ServerTransaction): void {
    const callId = this.#callIdOf.get(transaction) ?? '';
    this.notices.cancelled.push(callId);
    this.#incoming.get(callId)?.reliable?.cancel();
    this.#respond(transaction, 487);
  }

  #onTerminated(transaction: ServerTransaction, isAcknowledged: boolean): void {
    const callId = this.#callIdOf.get(transaction);
    if (callId === undefined) return;
    this.#callIdOf.delete(transaction);
    if (!isAcknowledged) this.notices.unacknowledged.push(callId);
  }

  #onRequest(request: SipMessage, transaction: ServerTransaction | undefined): void {
    if (transaction === undefined) return; // An ACK.
    const { method, callId, toTag, fromTag } = request;
    if (toTag === undefined) {
      if (method === 'INVITE') this.#onInvite(request, transaction);
      else this.#respond(transaction, 200);
      return;
    }
    const dialog = this.#dialogs.get(dialogName(callId, toTag, fromTag ?? ''));
    if (dialog === undefined) {
      this.notices.unknownDialogs++;
      this.#respond(transaction, 481);
      return;
    }
    if (method === 'INVITE') this.#callIdOf.set(transaction, callId);
    if (method === 'BYE') this.#ended(dialog);
    if (method === 'PRACK') this.#onPrack(callId);
    this.#respond(transaction, 200, method === 'INVITE');
  }

  #ended(dialog: Dialog): void {
    this.removeDialog(dialog);
    this.#calls.get(dialog.callId)?.hungUp();
  }

  #onInvite(request: SipMessage, transaction: ServerTransaction): void {
    const { clock, random } = this.options;
    const { callId } = request;
    this.#callIdOf.set(transaction, callId);
    const behaviour = parseUri(request.requestUri)?.user ?? 'answer';
    const localTag = this.newName('tag');
    const dialog = dialogOfRequest(request, localTag);
    const incoming: Incoming = { dialog, transaction, reliable: undefined };
    this.#incoming.set(callId, incoming);
    if (behaviour === 'busy') {
      clock.after(20 + 50 * random(), () => this.#respond(transaction, 486, false, localTag));
      return;
    }
    this.addDialog(dialog);
    if (behaviour === 'reliable') return this.#ringReliably(incoming, sipTimers.t1Ms);
    clock.after(5 + 20 * random(), () => this.#respond(transaction, 180, true, localTag));
    if (behaviour === 'ring') return;
    clock.after(50 + 400 * random(), () => this.#respond(transaction, 200, true, localTag));
  }

  /** A reliable provisional response, again and again until its PRACK comes (RFC 3262 section 3). */
  #ringReliably(incoming: Incoming, intervalMs: number): void {
    const { transaction, dialog } = incoming;
    if (!transaction.isUnanswered) return;
    const headers = ['Require: 100rel', 'RSeq: 1'];
    this.#respond(transaction, 180, true, dialog.localTag, headers);
    const again = (): void => this.#ringReliably(incoming, 2 * intervalMs);
    incoming.reliable = this.options.clock.after(intervalMs, again);
  }

  #onPrack(callId: string): void {
    const incoming = this.#incoming.get(callId);
    if (incoming?.reliable === undefined) return;
    incoming.reliable.cancel();
    incoming.reliable = undefined;
    const { transaction, dialog } = incoming;
    this.options.clock.after(50, () => this.#respond(transaction, 200, true, dialog.localTag));
  }

  #respond(
    transaction: ServerTransaction,
    status: number,
    hasContact = false,
    toTag?: string,
    headers: readonly string[] = [],
  ): void {
    if (!transaction.isUnanswered || this.#isStopped) return;
    const lines = [...(hasContact ? [`Contact: ${this.contact}`] : []), ...headers];
    const response = {
      status,
      ...(toTag === undefined ? {} : { toTag }),
      headers: lines.map((line) => splitHeader(line)),
    };
    this.#handle({ kind: 'respond', transaction, response });
  }
}

/** `ip:port` of the top Via. */
function wayOf(response: Buffer): string {
  const parsed = parseSipMessage(response);
  const via = parsed.ok ? parsed.message.topVia : undefined;
  if (via === undefined) return '';
  const port = via.rport === undefined || via.rport === '' ? (via.port ?? 5060) : via.rport;
  return `${via.received ?? via.host}:${port}`;
}

function splitHeader(line: string): readonly [name: string, value: string] {
  const colon = line.indexOf(':');
  return [line.slice(0, colon), line.slice(colon + 1).trim()];
}

function clientName(branch: string | undefined, method: string): string {
  return `${branch ?? ''} ${method}`;
}
