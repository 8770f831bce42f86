import type { Endpoint } from './address.ts';
import { isLive, type MemberRecord } from './member.ts';

/** All members that this peer knows, itself first, and the order in which it probes them. */
export class Roster {
  readonly self: MemberRecord;
  readonly #random: () => number;
  readonly #records = new Map<string, MemberRecord>();
  #probeOrder: MemberRecord[] = [];
  #probeNext = 0;

  constructor(self: MemberRecord, random: () => number) {
    this.self = self;
    this.#random = random;
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

  all(): Iterable<MemberRecord> {
    return this.#records.values();
  }

  /** Living members, this peer included while it has not left. */
  liveCount(): number {
    let count = 0;
    for (const record of this.#records.values()) if (isLive(record)) count++;
    return count;
  }

  /** True when no other member lives. */
  isAlone(): boolean {
    for (const record of this.#records.values()) {
      if (record !== this.self && isLive(record)) return false;
    }
    return true;
  }

  /** New members take a random place in the running probe round, so that nobody is probed by all. */
  add(record: MemberRecord): void {
    this.#records.set(record.name, record);
    const at = Math.floor(this.#random() * (this.#probeOrder.length + 1));
    this.#probeOrder.splice(at, 0, record);
    if (at < this.#probeNext) this.#probeNext++;
  }

  remove(record: MemberRecord): void {
    this.#records.delete(record.name);
    const at = this.#probeOrder.indexOf(record);
    if (at === -1) return;
    this.#probeOrder.splice(at, 1);
    if (at < this.#probeNext) this.#probeNext--;
  }

  /** The next living member of the round; the order is shuffled when the round is over. */
  nextToProbe(): MemberRecord | undefined {
    for (let tried = this.#probeOrder.length; tried > 0; tried--) {
      if (this.#probeNext >= this.#probeOrder.length) {
        this.#probeOrder = this.shuffled(this.#probeOrder);
        this.#probeNext = 0;
      }
      const record = this.#probeOrder[this.#probeNext++]!;
      if (isLive(record)) return record;
    }
    return undefined;
  }

  /** At most `count` different members other than this peer that fit, by chance. */
  pick(count: number, fits: (record: MemberRecord) => boolean): readonly MemberRecord[] {
    const candidates = this.#probeOrder.filter(fits);
    const picked: MemberRecord[] = [];
    while (picked.length < count && candidates.length > 0) {
      const at = Math.floor(this.#random() * candidates.length);
      picked.push(candidates[at]!);
      candidates[at] = candidates[candidates.length - 1]!;
      candidates.pop();
    }
    return picked;
  }

  shuffled<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const other = Math.floor(this.#random() * (i + 1));
      [result[i], result[other]] = [result[other]!, result[i]!];
    }
    return result;
  }
}
