import { digestOf } from '../../src/pipeline/key.ts';
import type { OutgoingCall } from './call.ts';
import { byCaller, keyOptions, type KeyMode } from './keys.ts';
import { Simulation, type Delivery, type SimulationOptions } from './simulation.ts';
import type { SprayerMode } from './sprayer.ts';
import type { UserAgent } from './user-agent.ts';

/**
 * Columns of the matrix. Two kinds of death: its host resets links, or all that is sent vanishes. Three of
 * suspicion, each of them false: gossip has told everybody, or some alone, or the owner has refuted it.
 */
export type OwnerState =
  | 'alive'
  | 'suspect'
  | 'suspect to some'
  | 'suspect lately'
  | 'draining'
  | 'disabled'
  | 'left'
  | 'dead, known'
  | 'dead, not yet known'
  | 'silently dead, not yet known';

export const ownerStates: readonly OwnerState[] = [
  'alive',
  'suspect',
  'suspect to some',
  'suspect lately',
  'draining',
  'disabled',
  'left',
  'dead, known',
  'dead, not yet known',
  'silently dead, not yet known',
];

/** What befalls the ring between a request and the message that is to meet it. */
export type RingChange = 'none' | 'a peer joins' | 'another leaves' | 'another dies';

export const ringChanges: readonly RingChange[] = [
  'none',
  'a peer joins',
  'another leaves',
  'another dies',
];

/** Rows of the matrix. */
export type Kind =
  | 'initial INVITE'
  | 'BYE'
  | 'INFO'
  | 're-INVITE'
  | 'ACK to 2xx'
  | 'ACK to non-2xx'
  | 'CANCEL'
  | 'retransmitted INVITE'
  | 'retransmitted MESSAGE'
  | 'response from outside';

export interface Cell {
  readonly state: OwnerState;
  readonly sprayer: SprayerMode;
  readonly keys: KeyMode;
  readonly change: RingChange;
}

/** What was seen of one row in one cell: faults, none where the outcome is as required. */
export type CellResult = ReadonlyMap<Kind | 'every hop', readonly string[]>;

/** Peers know of a silent death after this long: retransmissions have to bridge it. */
const noticedMs = 3_000;

/** A message that is made ready before the change and sent after it. */
interface Probe {
  readonly kind: Kind;
  readonly callId: string;
  /** Sends it. */
  readonly act: () => void;
  /** @param seen requests of the kind's method that instances got since */
  readonly check: (seen: readonly Delivery[], expected: Expected) => string | undefined;
}

interface Expected {
  /** Undefined: any instance that takes new sessions. */
  readonly instance: string | undefined;
  readonly isOwner: boolean;
}

/** Runs one cell: calls of every kind at one owner, then what befalls it, then the messages. */
export function runCell(cell: Cell, options: Partial<SimulationOptions> = {}): CellResult {
  return new CellRun(cell, options).run();
}

class CellRun {
  readonly #cell: Cell;
  readonly #simulation: Simulation;
  readonly #owner = 'p2';
  readonly #faults = new Map<Kind | 'every hop', string[]>();
  #actedAt = 0;

  constructor(cell: Cell, options: Partial<SimulationOptions>) {
    this.#cell = cell;
    this.#simulation = new Simulation({
      seed: 1,
      peers: 5,
      sprayer: cell.sprayer,
      ...keyOptions(cell.keys),
      ...options,
    });
  }

  run(): CellResult {
    const { clock } = this.#simulation;
    const probes = [
      ...this.#dialogProbes(),
      this.#ackOf2xx(),
      this.#ackOfRefusal(),
      this.#cancel(),
      this.#copyOfInvite(),
      this.#copyOfMessage(),
      this.#response(),
    ];
    this.#changeRing();
    const initial = this.#initial();
    this.#changeOwner();
    this.#actedAt = clock.nowMs;
    for (const { act } of [...probes, initial]) act();
    clock.run(40_000);
    for (const probe of [...probes, initial]) this.#judge(probe);
    this.#faults.set('every hop', this.#simulation.faults());
    return this.#faults;
  }

  // --- the rows

  /** A new call whose key is the owner's, as the ring is by now. */
  #initial(): Probe {
    const phone = this.#simulation.phone();
    const call = this.#cell.keys === 'round robin' ? this.#call(phone) : this.#ownersCall(phone);
    return {
      kind: 'initial INVITE',
      callId: call.callId,
      act: () => call.start(),
      check: (seen, expected) => {
        const { instance } = seen.at(-1) ?? { instance: '' };
        if (call.state !== 'established') return `the call is ${call.state}`;
        if (this.#cell.state === 'suspect to some') return undefined;
        // A peer that is accused knows that it lives: it takes its own keys.
        const isOwn = seen.at(-1)?.hop.envelope?.ingressPeer === instance;
        if (this.#cell.state === 'suspect' && isOwn) return undefined;
        const isWrong =
          expected.instance === undefined
            ? !expected.isOwner && instance === this.#owner
            : instance !== expected.instance;
        return isWrong ? `at ${instance}, not at ${expected.instance ?? 'another'}` : undefined;
      },
    };
  }

  #dialogProbes(): Probe[] {
    const kinds = ['BYE', 'INFO', 're-INVITE'] as const;
    return kinds.map((kind) => {
      const call = this.#placed('answer', {}, (placed) => placed.state === 'established');
      const acts: Record<typeof kind, () => void> = {
        BYE: () => {
          call.bye();
        },
        INFO: () => {
          call.inDialog('INFO');
        },
        're-INVITE': () => {
          call.reinvite();
        },
      };
      return {
        kind,
        callId: call.callId,
        act: acts[kind],
        check: (seen, { instance, isOwner }) =>
          atInstance(seen, instance) ?? statusIs(call, kind, isOwner ? 200 : 481),
      };
    });
  }

  #ackOf2xx(): Probe {
    const call = this.#placed('answer', { holdsAck: true }, ({ state }) => state === 'established');
    return {
      kind: 'ACK to 2xx',
      callId: call.callId,
      act: () => call.releaseAck(),
      check: (seen, { instance, isOwner }) => {
        // Nobody asks for it again: the server that would repeat its 200 is gone.
        if (this.#cell.state.startsWith('silently')) return undefined;
        return atInstance(seen, instance) ?? this.#acknowledged(call.callId, isOwner);
      },
    };
  }

  #ackOfRefusal(): Probe {
    const call = this.#placed('busy', { holdsAck: true }, ({ state }) => state === 'refused');
    return {
      kind: 'ACK to non-2xx',
      callId: call.callId,
      act: () => call.releaseAck(),
      check: (seen, { instance, isOwner }) => {
        if (this.#cell.state.startsWith('silently')) return undefined;
        return atInstance(seen, instance) ?? this.#acknowledged(call.callId, isOwner);
      },
    };
  }

  #acknowledged(callId: string, isOwner: boolean): string | undefined {
    const { unacknowledged } = this.#simulation.peer(this.#owner).application.notices;
    return isOwner && unacknowledged.includes(callId) ? 'never acknowledged' : undefined;
  }

  #cancel(): Probe {
    const call = this.#placed('ring', {}, ({ state }) => state === 'ringing');
    return {
      kind: 'CANCEL',
      callId: call.callId,
      act: () => call.cancel(),
      check: (seen, { instance, isOwner }) =>
        atInstance(seen, instance) ??
        statusIs(call, 'CANCEL', isOwner ? 200 : 481) ??
        (isOwner ? statusIs(call, 'INVITE', 487) : undefined),
    };
  }

  #copyOfInvite(): Probe {
    const call = this.#placed('ring', {}, ({ state }) => state === 'ringing');
    return {
      kind: 'retransmitted INVITE',
      callId: call.callId,
      act: () => {
        call.sendInviteAgain();
        // What vanished is sent again, as the client's own timer would.
        this.#simulation.clock.after(noticedMs + 1_000, () => call.sendInviteAgain());
      },
      check: (seen, { instance }) => atInstance(seen, instance),
    };
  }

  #copyOfMessage(): Probe {
    const { clock } = this.#simulation;
    for (let attempt = 0; attempt < 100; attempt++) {
      const phone = this.#simulation.phone();
      const single = phone.single('MESSAGE', [this.#room()]);
      clock.run(30);
      const [first] = this.#simulation.deliveries(single.callId);
      if (first?.instance !== this.#owner) continue;
      return {
        kind: 'retransmitted MESSAGE',
        callId: single.callId,
        act: () => {
          single.again();
          clock.after(noticedMs + 1_000, single.again);
        },
        check: (seen, { instance }) => atInstance(seen, instance),
      };
    }
    throw new Error('no MESSAGE met the owner');
  }

  #response(): Probe {
    const phone = this.#simulation.phone();
    const { application } = this.#simulation.peer(this.#owner);
    const call = application.call({ uri: `sip:ring@${phone.options.address}` });
    call.start();
    this.#simulation.clock.run(100);
    return {
      kind: 'response from outside',
      callId: call.callId,
      act: () => {
        if (call.state === 'ringing') phone.answer(call.callId);
      },
      check: (_seen, { instance }) => this.#checkResponse(call.callId, instance),
    };
  }

  #checkResponse(callId: string, instance: string | undefined): string | undefined {
    const { trace, peers } = this.#simulation;
    const hop = trace.hops.findLast(
      ({ leg, from, message }) =>
        leg === 'application' &&
        peers.has(from) &&
        message?.callId === callId &&
        message.status === 200,
    );
    if (hop === undefined) return 'the 200 came to no instance';
    if (hop.from !== instance) return `at ${hop.from}, not at ${instance ?? 'any'}`;
    const { application } = this.#simulation.peer(hop.from).addresses;
    const sentBy = hop.message?.topVia?.sentBy;
    return sentBy === application ? undefined : `its Via names ${sentBy ?? 'nobody'}`;
  }

  // --- calls

  /** Calls until one is the owner's and has come so far; the others go on beside it. */
  #placed(
    behaviour: string,
    options: { holdsAck?: boolean },
    isReady: (call: OutgoingCall) => boolean,
  ): OutgoingCall {
    const { clock } = this.#simulation;
    for (let attempt = 0; attempt < 100; attempt++) {
      const phone = this.#simulation.phone();
      const call = this.#call(phone, behaviour, options);
      call.start();
      clock.run(10);
      if (this.#simulation.instanceOf(call.callId) !== this.#owner) continue;
      if (!clock.runUntil(() => isReady(call), 5_000)) {
        const trace = this.#simulation.trace.ofCall(call.callId);
        throw new Error(`a call before any change is ${call.state}:\n${trace}`);
      }
      return call;
    }
    throw new Error(`no call met the owner\n${this.#simulation.faults()[0] ?? ''}`);
  }

  #call(
    phone: UserAgent,
    behaviour = 'answer',
    options: { holdsAck?: boolean } = {},
  ): OutgoingCall {
    const uri = `sip:${behaviour}@example.com`;
    return phone.call({ uri, headers: [this.#room()], ...options });
  }

  /** A call, not begun, whose key is the owner's on the present ring. */
  #ownersCall(phone: UserAgent): OutgoingCall {
    const { ring } = this.#simulation.peer(this.#owner).view;
    for (let attempt = 0; attempt < 200; attempt++) {
      const caller = attempt === 0 ? phone : this.#simulation.phone();
      const room = this.#room();
      const fromTag = caller.newName('tag');
      const call = caller.call({ uri: 'sip:answer@example.com', headers: [room], fromTag });
      if (ring.owner(digestOf(this.#keyOf(call, fromTag, room))) === this.#owner) return call;
    }
    throw new Error('no key is the owner’s');
  }

  #keyOf(call: OutgoingCall, fromTag: string, room: string): string {
    switch (this.#cell.keys) {
      case 'private header':
        return room.slice('Room-Id: '.length);
      case 'rules replaced':
        return `caller ${call.invite.from.split(';')[0] ?? ''}`;
      case 'fallback':
      case 'round robin':
        return `${fromTag}\n${call.callId}`;
    }
  }

  #room(): string {
    return `Room-Id: ${Math.floor(this.#simulation.random() * 1e9)}`;
  }

  // --- what befalls the cluster

  #changeRing(): void {
    const simulation = this.#simulation;
    if (this.#cell.keys === 'rules replaced') simulation.replaceRules(byCaller);
    switch (this.#cell.change) {
      case 'none':
        break;
      case 'a peer joins':
        simulation.join();
        break;
      case 'another leaves':
        simulation.leave('p4');
        break;
      case 'another dies':
        simulation.kill('p4', 'process', 0);
        break;
    }
    simulation.settle();
  }

  #changeOwner(): void {
    const simulation = this.#simulation;
    switch (this.#cell.state) {
      case 'alive':
        return;
      case 'suspect':
        simulation.suspect(this.#owner, noticedMs);
        break;
      case 'suspect to some':
        simulation.suspect(this.#owner, noticedMs, ['p1', 'p3']);
        break;
      case 'suspect lately':
        simulation.suspect(this.#owner, simulation.newsMsMax);
        break;
      case 'draining':
        simulation.drain(this.#owner);
        break;
      case 'disabled':
        simulation.disable(this.#owner);
        break;
      case 'left':
        simulation.leave(this.#owner);
        break;
      case 'dead, known':
        simulation.kill(this.#owner, 'process', 0);
        break;
      case 'dead, not yet known':
        return simulation.kill(this.#owner, 'process', noticedMs);
      case 'silently dead, not yet known':
        return simulation.kill(this.#owner, 'host', noticedMs);
    }
    simulation.settle();
  }

  // --- judgement

  #judge(probe: Probe): void {
    const { kind, callId } = probe;
    const method = methodOf(kind);
    const seen = this.#simulation
      .deliveries(callId, method)
      .filter(({ hop }) => hop.atMs >= this.#actedAt && hop.fate === 'arrived');
    const fault = probe.check(seen, this.#expected(kind, callId));
    const trace = this.#simulation.trace.ofCall(callId);
    this.#faults.set(kind, fault === undefined ? [] : [`${fault}\n${trace}`]);
  }

  #expected(kind: Kind, callId: string): Expected {
    if (staysWithOwner(kind, this.#cell.state)) {
      const isAnybody = kind === 'initial INVITE' && this.#cell.keys === 'round robin';
      return { instance: isAnybody ? undefined : this.#owner, isOwner: true };
    }
    const isAnybody = this.#cell.keys === 'round robin' && !hasKey(kind);
    if (isAnybody) return { instance: undefined, isOwner: false };
    const digest = this.#simulation.keyDigestOf(callId);
    return { instance: this.#simulation.successorOf(this.#owner, digest), isOwner: false };
  }
}

/** Whether all peers agree on a successor although round robin chose: what follows an INVITE has its stamp. */
function hasKey(kind: Kind): boolean {
  return kind !== 'initial INVITE';
}

function methodOf(kind: Kind): string {
  if (kind.startsWith('ACK')) return 'ACK';
  if (kind.endsWith('INVITE')) return 'INVITE';
  return kind.endsWith('MESSAGE') ? 'MESSAGE' : kind;
}

/** The table of the design: which rows an instance keeps in which state. */
function staysWithOwner(kind: Kind, state: OwnerState): boolean {
  switch (state) {
    case 'alive':
    case 'suspect lately':
      return true;
    case 'suspect':
    case 'suspect to some':
    case 'draining':
      return kind !== 'initial INVITE';
    case 'disabled':
      // Its link answers: running transactions end where they began, dialogs go.
      return !['initial INVITE', 'BYE', 'INFO', 're-INVITE'].includes(kind);
    case 'left':
    case 'dead, known':
    case 'dead, not yet known':
    case 'silently dead, not yet known':
      return false;
  }
}

function atInstance(seen: readonly Delivery[], expected: string | undefined): string | undefined {
  const last = seen.at(-1);
  if (last === undefined) return 'it came to no instance';
  const wrong = seen.find(({ instance }) => instance !== expected);
  return wrong === undefined ? undefined : `at ${wrong.instance}, not at ${expected ?? 'any'}`;
}

function statusIs(call: OutgoingCall, method: string, expected: number): string | undefined {
  const statuses = call.statuses(method);
  if (statuses.length === 1 && statuses[0] === expected) return undefined;
  return `${method} was answered ${statuses.join(', ') || 'never'}, not ${expected}`;
}
