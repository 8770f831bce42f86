import type { EmbeddedSipRequest } from '../io/application/module.ts';
import { demoLimits } from './limits.ts';
import { plainSipUri } from './name-address.ts';
import type { Reply } from './reply.ts';
import { describeSession } from './sdp.ts';
import type { DemoWorld } from './world.ts';

/** Who takes part by SIP, as the page shows it. */
export interface Participant {
  readonly callId: string;
  readonly from: string;
  /** ISO 8601. */
  readonly since: string;
}

/** One dialog. The demo never calls out, so the remote side is always the caller. */
interface Call {
  readonly key: string;
  readonly conference: string;
  readonly participant: Participant;
  readonly localTag: string;
  readonly sessionId: number;
  state: 'early' | 'answered' | 'confirmed';
  /** The first INVITE, while it is unanswered. */
  invite: EmbeddedSipRequest | undefined;
  inviteSequence: number;
  sdpVersion: number;
  /** RSeq of a reliable 180 that no PRACK has acknowledged. */
  unacknowledged: number | undefined;
  /** When the call is forgotten. */
  endsAt: number;
  readonly cancelTimers: (() => void)[];
}

/** The calls of this instance, by dialog. */
export class Calls {
  readonly #world: DemoWorld;
  readonly #reply: Reply;
  readonly #calls = new Map<string, Call>();
  readonly #byConference = new Map<string, Set<Call>>();

  constructor(world: DemoWorld, reply: Reply) {
    this.#world = world;
    this.#reply = reply;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** Whether the request belongs to a call. */
  has(request: EmbeddedSipRequest): boolean {
    return this.#find(request) !== undefined;
  }

  /** Answered callers of a conference; no more than `participantsShownMax`. */
  participants(conference: string): readonly Participant[] {
    const calls = this.#byConference.get(conference) ?? [];
    return [...calls].slice(0, demoLimits.participantsShownMax).map((call) => call.participant);
  }

  /** A first INVITE: rings, then answers or, for the user `ring`, gives up. */
  begin(request: EmbeddedSipRequest, conference: string): void {
    if (this.#calls.size >= demoLimits.callsMax) {
      this.#reply(request, { status: 503, headers: [['Retry-After', '5']] });
      return;
    }
    const call = this.#open(request, conference);
    request.onCancel(() => {
      this.#refuse(call, 487);
    });
    this.#ring(call, request);
    if (request.user === 'ring') {
      this.#later(call, demoLimits.ringMs, () => {
        this.#refuse(call, 480);
      });
    } else {
      this.#later(call, demoLimits.answerDelayMs, () => {
        this.#answer(call, request);
      });
    }
  }

  /** An INVITE within a call. */
  refresh(request: EmbeddedSipRequest): void {
    const call = this.#find(request);
    if (call === undefined) {
      this.#reply(request, { status: 481 });
    } else if (call.invite !== undefined || sequenceOf(request) <= call.inviteSequence) {
      // RFC 3261 sections 12.2.2 and 14.2: out of order, or before the first one is answered.
      this.#reply(request, { status: 500, headers: [['Retry-After', '1']] });
    } else {
      call.inviteSequence = sequenceOf(request);
      this.#reply(request, this.#session(call, request));
    }
  }

  acknowledge(request: EmbeddedSipRequest): void {
    const call = this.#find(request);
    if (call?.state === 'answered') {
      call.state = 'confirmed';
      call.endsAt = this.#world.now() + demoLimits.callMsMax;
    }
  }

  end(request: EmbeddedSipRequest): void {
    const call = this.#find(request);
    if (call === undefined) {
      this.#reply(request, { status: 481 });
      return;
    }
    // RFC 3261 section 15.1.2: a BYE in an early dialog ends the INVITE too.
    this.#refuse(call, 487);
    this.#reply(request, { status: 200 });
  }

  /** PRACK (RFC 3262 section 3). */
  acknowledgeProvisional(request: EmbeddedSipRequest): void {
    const call = this.#find(request);
    const [rseq, sequence, method] = (request.header('RAck') ?? '').trim().split(/\s+/);
    if (
      call?.unacknowledged === undefined ||
      Number(rseq) !== call.unacknowledged ||
      Number(sequence) !== call.inviteSequence ||
      method !== 'INVITE'
    ) {
      this.#reply(request, { status: 481 });
      return;
    }
    call.unacknowledged = undefined;
    this.#reply(request, { status: 200 });
  }

  /** UPDATE (RFC 3311). */
  update(request: EmbeddedSipRequest): void {
    const call = this.#find(request);
    if (call === undefined) {
      this.#reply(request, { status: 481 });
    } else if (request.body.length === 0) {
      this.#reply(request, { status: 200, headers: [contactOf(request)] });
    } else {
      this.#reply(request, this.#session(call, request));
    }
  }

  /** Forgets calls whose time is over. */
  sweep(now: number): void {
    for (const call of this.#calls.values()) {
      if (call.endsAt <= now) {
        this.#forget(call);
      }
    }
  }

  /** Ends all timers and forgets all calls. */
  stop(): void {
    for (const call of [...this.#calls.values()]) {
      this.#forget(call);
    }
  }

  #open(request: EmbeddedSipRequest, conference: string): Call {
    const now = this.#world.now();
    const id = this.#world.newId();
    const localTag = id.slice(0, 8) + id.slice(9, 13);
    const isReliable = request.headers('Require').some((tag) => tag.toLowerCase() === '100rel');
    const call: Call = {
      key: keyOf(request, localTag),
      conference,
      participant: {
        callId: request.callId,
        from: request.header('From') ?? '',
        since: new Date(now).toISOString(),
      },
      localTag,
      sessionId: now,
      state: 'early',
      invite: request,
      inviteSequence: sequenceOf(request),
      sdpVersion: 1,
      // RFC 3262 section 3: the first RSeq is random, above 0 and below 2**31.
      unacknowledged: isReliable ? 1 + Number.parseInt(id.slice(0, 7), 16) : undefined,
      endsAt: Infinity,
      cancelTimers: [],
    };
    this.#calls.set(call.key, call);
    return call;
  }

  #ring(call: Call, request: EmbeddedSipRequest): void {
    const { localTag: toTag, unacknowledged } = call;
    const headers: [string, string][] = [contactOf(request)];
    if (unacknowledged !== undefined) {
      headers.push(['Require', '100rel'], ['RSeq', String(unacknowledged)]);
      this.#repeatRinging(call, request, demoLimits.reliableRepeatMs);
    }
    this.#reply(request, { status: 180, toTag, headers });
  }

  /** Repeats a reliable 180 until its PRACK or the final answer. */
  #repeatRinging(call: Call, request: EmbeddedSipRequest, afterMs: number): void {
    this.#later(call, afterMs, () => {
      const { localTag: toTag, unacknowledged } = call;
      if (unacknowledged === undefined || call.invite === undefined) {
        return;
      }
      const headers: [string, string][] = [
        contactOf(request),
        ['Require', '100rel'],
        ['RSeq', String(unacknowledged)],
      ];
      this.#reply(request, { status: 180, toTag, headers });
      this.#repeatRinging(call, request, 2 * afterMs);
    });
  }

  #answer(call: Call, request: EmbeddedSipRequest): void {
    call.invite = undefined;
    call.state = 'answered';
    call.endsAt = this.#world.now() + demoLimits.acknowledgeMsMax;
    const calls = this.#byConference.get(call.conference) ?? new Set();
    this.#byConference.set(call.conference, calls.add(call));
    this.#reply(request, { ...this.#session(call, request), toTag: call.localTag });
  }

  /** Ends a call; if its INVITE is unanswered, with this status. */
  #refuse(call: Call, status: number): void {
    const { invite, localTag: toTag } = call;
    this.#forget(call);
    if (invite !== undefined) {
      this.#reply(invite, { status, toTag });
    }
  }

  #session(
    call: Call,
    request: EmbeddedSipRequest,
  ): { status: number; headers: [string, string][]; body: string } {
    const offer = Buffer.from(request.body).toString();
    const body = describeSession(offer, call.sessionId, call.sdpVersion++);
    return {
      status: 200,
      headers: [contactOf(request), ['Content-Type', 'application/sdp']],
      body,
    };
  }

  #find(request: EmbeddedSipRequest): Call | undefined {
    return this.#calls.get(keyOf(request, request.toTag ?? ''));
  }

  #later(call: Call, delayMs: number, action: () => void): void {
    call.cancelTimers.push(this.#world.schedule(delayMs, action));
  }

  #forget(call: Call): void {
    for (const cancel of call.cancelTimers.splice(0)) {
      cancel();
    }
    call.invite = undefined;
    this.#calls.delete(call.key);
    const calls = this.#byConference.get(call.conference);
    calls?.delete(call);
    if (calls?.size === 0) {
      this.#byConference.delete(call.conference);
    }
  }
}

function keyOf(request: EmbeddedSipRequest, localTag: string): string {
  return [request.callId, request.fromTag, localTag].join('\n');
}

function sequenceOf(request: EmbeddedSipRequest): number {
  return Number.parseInt(request.header('CSeq') ?? '', 10);
}

/** The callee as the caller named it: the cluster's address, not this peer's. */
export function contactOf(request: EmbeddedSipRequest): [name: string, value: string] {
  return ['Contact', `<${plainSipUri(request.requestUri)}>`];
}
