import type { Endpoint } from './address.ts';
import { isLive, isLiveState, type MemberRecord } from './member.ts';
import type { MemberState } from './message.ts';
import { Rotation, shuffle } from './rotation.ts';

/** All members that this peer knows, itself first, and the orders in which it turns to them. */
export class Roster {
  readonly self: MemberRecord;
  readonly #random: () => number;
  readonly #records = new Map<string, MemberRecord>();
  /** All but this peer; picking changes their order. */
  readonly #others: MemberRecord[] = [];
  readonly #toProbe: Rotation;
  readonly #toTell: Rotation;
  #liveCount = 1;

  constructor(self: MemberRecord, random: () => number) {
    this.self = self;
    this.#random = random;
    this.#toProbe = new Rotation(random);
    this.#toTell = new Rotation(random);
    this.#records.set(self.name, self);
  }

  get size(): number {
    return this.#records.size;
  }

  get(name: string): MemberRecord | undefined {
    return this.#records.get(name);
  }

  /** The member that lives at an address, or undefined. */
  at(endpoint: Endpoint): MemberRecord | undefined {
    for (const record of this.#records.values()) {
      const { address, port } = record.endpoint;
      if (address === endpoint.address && port === endpoint.port && isLive(record)) return record;
    }
    return undefined;
  }

  /** Whether a living member other than this peer has this address, at any port. */
  livesAt(address: string): boolean {
    return this.#others.some((record) => record.endpoint.address === address && isLive(record));
  }

  /** Whether any member, also one that is gone, has this address. */
  knows({ address, port }: Endpoint): boolean {
    for (const { endpoint } of this.#records.values()) {
      if (address === endpoint.address && port === endpoint.port) return true;
    }
    return false;
  }

  all(): Iterable<MemberRecord> {
    return this.#records.values();
  }

  /** Living members, this peer included while it has not left. */
  liveCount(): number {
    return this.#liveCount;
  }

  /** True when no other member lives. */
  isAlone(): boolean {
    return this.#liveCount === (isLive(this.self) ? 1 : 0);
  }

  /** Whether another member is held for alive: neither suspect nor gone. */
  hasAlive(): boolean {
    return this.#others.some(({ state }) => state === 'alive');
  }

  add(record: MemberRecord): void {
    this.#records.set(record.name, record);
    this.#others.push(record);
    this.#toProbe.add(record);
    this.#toTell.add(record);
    if (isLive(record)) this.#liveCount++;
  }

  remove(record: MemberRecord): void {
    if (!this.#records.delete(record.name)) return;
    this.#others.splice(this.#others.indexOf(record), 1);
    this.#toProbe.remove(record);
    this.#toTell.remove(record);
    if (isLive(record)) this.#liveCount--;
  }

  setState(record: MemberRecord, state: MemberState): void {
    this.#liveCount += Number(isLiveState(state)) - Number(isLive(record));
    record.state = state;
  }

  /** The living member whose turn it is to be probed. */
  nextToProbe(): MemberRecord | undefined {
    return this.#toProbe.next(isLive);
  }

  /** Up to `count` different members that fit, whose turn it is to get news. */
  nextToTell(count: number, fits: (record: MemberRecord) => boolean): readonly MemberRecord[] {
    const targets: MemberRecord[] = [];
    while (targets.length < count) {
      const record = this.#toTell.next((one) => fits(one) && !targets.includes(one));
      if (record === undefined) break;
      targets.push(record);
    }
    return targets;
  }

  /** At most `count` different members other than this peer that fit, by chance. */
  pick(count: number, fits: (record: MemberRecord) => boolean): readonly MemberRecord[] {
    const others = this.#others;
    const picked: MemberRecord[] = [];
    // Draws without putting back: what was drawn gathers at the front.
    for (let drawn = 0; drawn < others.length && picked.length < count; drawn++) {
      const at = drawn + Math.floor(this.#random() * (others.length - drawn));
      const record = others[at]!;
      others[at] = others[drawn]!;
      others[drawn] = record;
      if (fits(record)) picked.push(record);
    }
    return picked;
  }

  shuffled<T>(items: readonly T[]): T[] {
    const result = [...items];
    shuffle(result, this.#random);
    return result;
  }
}
