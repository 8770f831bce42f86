import type { OutgoingCall } from './call.ts';
import type { Dialog } from './dialog.ts';
import { byCaller, keyModes, keyOptions } from './keys.ts';
import { fairWeather, type Weather } from './network.ts';
import { Simulation, type SimulationOptions } from './simulation.ts';
import type { UserAgent } from './user-agent.ts';

/** What a call is about; the first four are what the called does. */
type Plot = 'answer' | 'ring' | 'busy' | 'reliable' | 'from the application' | 'message';

const plots: readonly Plot[] = [
  'answer',
  'answer',
  'ring',
  'ring',
  'busy',
  'reliable',
  'from the application',
  'message',
];

/** One call of a run and what is to come of it. */
interface Story {
  readonly plot: Plot;
  readonly callId: string;
  /** Why it did not come to its proper end; undefined: it did. */
  readonly shortcoming: () => string | undefined;
  readonly call: OutgoingCall | undefined;
}

/** What a run was, for the failure's text. */
export interface RunResult {
  readonly description: string;
  readonly faults: readonly string[];
  readonly calls: number;
  /** Of these, calls whose instance lived on: they had to come to their proper end. */
  readonly surviving: number;
}

/** Time in which calls begin and things befall the cluster. */
const busyMs = 20_000;
/** All timers of SIP have run out after this. */
const quietMs = 80_000;

/** One random run: calls of all kinds in bad weather while peers come and go. */
export function runRandom(seed: number, options: Partial<SimulationOptions> = {}): RunResult {
  return new RandomRun(seed, options).run();
}

class RandomRun {
  readonly #simulation: Simulation;
  readonly #random: () => number;
  readonly #stories: Story[] = [];
  readonly #log: string[] = [];
  readonly #faults: string[] = [];

  constructor(seed: number, options: Partial<SimulationOptions>) {
    const keys = keyModes[(seed >> 2) % keyModes.length]!;
    const sprayer = seed % 3 === 0 ? 'flow-sticky' : 'per-packet';
    const simulation = new Simulation({
      seed,
      sprayer,
      peers: 3 + (seed % 3),
      isSettled: seed % 5 !== 0,
      viaNamesSprayer: seed % 7 !== 0,
      newsMsMax: [50, 200, 1_000, 3_000][seed % 4]!,
      ...keyOptions(keys),
      ...options,
    });
    this.#simulation = simulation;
    this.#random = simulation.random;
    simulation.network.weather = this.#weather();
    this.#log.push(`${sprayer}, ${keys}, ${simulation.peers.size} peers`);
    if (keys === 'rules replaced') {
      this.#later('new rules', () => {
        simulation.replaceRules(byCaller);
        return 'all get';
      });
    }
  }

  run(): RunResult {
    const { clock } = this.#simulation;
    const calls = 8 + this.#below(8);
    for (let call = 0; call < calls; call++) {
      clock.after(this.#random() * busyMs, () => this.#tell(plots[this.#below(plots.length)]!));
    }
    for (let event = this.#below(5); event > 0; event--) this.#befall();
    clock.run(busyMs + quietMs);
    this.#judge();
    this.#simulation.settle();
    this.#simulation.network.weather = fairWeather;
    this.#checkSuccessors();
    this.#faults.push(...this.#simulation.faults());
    return {
      description: this.#log.join('; '),
      faults: this.#faults,
      calls,
      surviving: this.#stories.filter((story) => this.#survives(story)).length,
    };
  }

  #weather(): Weather {
    const isFair = this.#random() < 0.2;
    if (isFair) return fairWeather;
    return {
      loss: 0.08 * this.#random(),
      duplicates: 0.1 * this.#random(),
      latencyMsMin: 1,
      latencyMsMax: 2 + 80 * this.#random(),
    };
  }

  // --- calls

  #tell(plot: Plot): void {
    const phone = this.#simulation.phone();
    if (plot === 'message') this.#message(phone);
    else if (plot === 'from the application') this.#applicationCalls(phone);
    else this.#phoneCalls(plot, phone);
  }

  #message(phone: UserAgent): void {
    const { callId, status } = phone.single('MESSAGE', [this.#room()]);
    const shortcoming = (): string | undefined =>
      status() === 200 ? undefined : `MESSAGE was answered ${status()}`;
    this.#stories.push({ plot: 'message', callId, call: undefined, shortcoming });
  }

  #phoneCalls(plot: 'answer' | 'ring' | 'busy' | 'reliable', phone: UserAgent): void {
    const call = phone.call({
      uri: `sip:${plot}@example.com`,
      headers: [this.#room()],
      changed: (changed) => this.#goOn(plot, changed),
    });
    const shortcoming = (): string | undefined => shortcomingOf(plot, call);
    this.#stories.push({ plot, callId: call.callId, call, shortcoming });
    call.start();
  }

  #applicationCalls(phone: UserAgent): void {
    const ready = this.#simulation.ready;
    const peer = ready[this.#below(ready.length)]!;
    const call = peer.application.call({
      uri: `sip:answer@${phone.options.address}`,
      changed: (changed) => {
        if (changed.state !== 'established') return;
        if (this.#random() < 0.5) this.#goOn('from the application', changed);
        else this.#after(changed, () => phone.hangUp(changed.callId));
      },
    });
    const shortcoming = (): string | undefined =>
      call.state === 'ended' ? undefined : `the call is ${call.state}`;
    this.#stories.push({ plot: 'from the application', callId: call.callId, call, shortcoming });
    call.start();
  }

  #goOn(plot: Plot, call: OutgoingCall): void {
    if (call.state === 'ringing' && plot === 'ring') this.#after(call, () => call.cancel());
    if (call.state !== 'established') return;
    if (this.#random() < 0.5) this.#after(call, () => call.inDialog('INFO'), 1_000);
    if (this.#random() < 0.3) this.#after(call, () => call.reinvite(), 1_000);
    if (this.#random() < 0.3 && plot !== 'from the application') {
      this.#after(call, () => this.#applicationHangsUp(call), 1_000, 8_000);
    } else {
      this.#after(call, () => this.#hangUp(call), 1_000, 8_000);
    }
  }

  /** When nothing else is under way that would cross it. */
  #hangUp(call: OutgoingCall): void {
    if (call.unanswered === 0) call.bye();
    else this.#after(call, () => this.#hangUp(call), 500, 500);
  }

  #applicationHangsUp(call: OutgoingCall): void {
    const instance = this.#simulation.instanceOf(call.callId);
    if (instance === undefined) return;
    const peer = this.#simulation.peer(instance);
    // Its application may be the caller itself.
    if (peer.isRunning && call.dialog !== undefined) peer.application.hangUp(call.callId);
  }

  #after(call: OutgoingCall, action: () => void, minMs = 0, spanMs = 6_000): void {
    this.#simulation.clock.after(minMs + spanMs * this.#random(), () => {
      if (call.state !== 'ended' && call.state !== 'ending') action();
    });
  }

  #room(): string {
    return `Room-Id: ${this.#below(1e9)}`;
  }

  // --- what befalls the cluster

  #befall(): void {
    const simulation = this.#simulation;
    const noticedMs = 500 + 2_500 * this.#random();
    const death = this.#random() < 0.5 ? 'process' : 'host';
    const refutedMs = 200 + 4_000 * this.#random();
    const doubters = this.#random() < 0.5 ? undefined : this.#someNames();
    const choices: readonly (readonly [string, (name: string) => void])[] = [
      ['joins', () => simulation.join()],
      ['drains', (name) => simulation.drain(name)],
      ['is disabled', (name) => simulation.disable(name)],
      ['leaves', (name) => simulation.leave(name)],
      ['is suspect', (name) => simulation.suspect(name, refutedMs, doubters)],
      ['is suspect', (name) => simulation.suspect(name, refutedMs, doubters)],
      [`dies (${death})`, (name) => simulation.kill(name, death, noticedMs)],
    ];
    const [what, happen] = choices[this.#below(choices.length)]!;
    this.#later(what, () => {
      // Somebody must be left to serve.
      const { ready } = simulation;
      if (what !== 'joins' && ready.length < 3) return 'nobody';
      const { name } = ready[this.#below(ready.length)]!;
      happen(name);
      return what === 'joins' ? 'another' : name;
    });
  }

  #someNames(): string[] {
    return [...this.#simulation.peers.keys()].filter(() => this.#random() < 0.5);
  }

  #later(what: string, happen: () => string): void {
    const { clock } = this.#simulation;
    clock.after(this.#random() * busyMs, () => {
      const name = happen();
      this.#log.push(`${clock.nowMs.toFixed(0)}: ${name} ${what}`);
    });
  }

  // --- judgement

  #judge(): void {
    for (const story of this.#stories) {
      const { callId, plot } = story;
      const fault = this.#survives(story) ? story.shortcoming() : undefined;
      if (fault !== undefined) this.#fault(callId, `${plot}: ${fault}`);
    }
    for (const { name, application, isRunning } of this.#simulation.peers.values()) {
      if (!isRunning) continue;
      for (const callId of application.notices.unacknowledged) {
        const story = this.#stories.find((candidate) => candidate.callId === callId);
        if (story !== undefined && this.#survives(story)) {
          this.#fault(callId, `${name} never got the ACK`);
        }
      }
    }
  }

  /** Whether its instance lived on and kept its dialogs. */
  #survives({ callId }: Story): boolean {
    const simulation = this.#simulation;
    const home = simulation.homeOf(callId);
    if (home === undefined) return true;
    return simulation.endedAt(home) === undefined && simulation.disabledAt(home) === undefined;
  }

  /** Dialogs of an instance that is gone: through any peer they come to one and the same successor. */
  #checkSuccessors(): void {
    const simulation = this.#simulation;
    for (const story of this.#stories) {
      const { callId, call } = story;
      if (call?.dialog === undefined || story.plot === 'from the application') continue;
      // A retransmission after the death may have begun the dialog elsewhere.
      const home = stampOf(call.dialog, 'beroute');
      if (simulation.endedAt(home) === undefined) continue;
      const askedAt = simulation.clock.nowMs;
      for (let copy = 0; copy < simulation.peers.size; copy++) call.inDialog('INFO');
      simulation.clock.run(1_000);
      const reached = simulation
        .deliveries(callId, 'INFO')
        .filter(({ hop }) => hop.atMs >= askedAt)
        .map(({ instance }) => instance);
      const expected = simulation.successorOf(home, stampOf(call.dialog, 'bekey'));
      if (reached.length === 0 || reached.some((instance) => instance !== expected)) {
        this.#fault(callId, `its dialog is at ${reached.join(', ')}, not at ${expected ?? 'any'}`);
      }
    }
  }

  #fault(callId: string, text: string): void {
    this.#faults.push(`${text}\n${this.#simulation.trace.ofCall(callId)}`);
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}

/** What the Record-Route of a dialog says. */
function stampOf({ routes }: Dialog, name: 'bekey' | 'beroute'): string {
  return new RegExp(`;${name}=([^;>]*)`).exec(routes[0] ?? '')?.[1] ?? '';
}

/** How a call that nothing disturbed has to end. */
function shortcomingOf(plot: Plot, call: OutgoingCall): string | undefined {
  const isUnknown = call.outcomes.some(({ status }) => status === 481);
  // What crosses the other side's BYE finds no dialog.
  if (isUnknown && !call.isHungUp) return 'a request of a living instance’s call was answered 481';
  const statuses = call.statuses('INVITE').join();
  switch (plot) {
    case 'busy':
      return statuses === '486' ? undefined : `INVITE was answered ${statuses}`;
    case 'ring':
      if (statuses !== '487') return `INVITE was answered ${statuses}`;
      return call.statuses('CANCEL').join() === '200' ? undefined : 'CANCEL was not answered 200';
    default:
      if (statuses !== '200') return `INVITE was answered ${statuses}`;
      return call.state === 'ended' ? undefined : `the call is ${call.state}`;
  }
}
