/** `SAILRING_SEEDS_FACTOR`: so many times the seeds, over night. `SAILRING_GOSSIP_SEED`: this one alone. */
const only = process.env['SAILRING_GOSSIP_SEED'];
const factor = Number(process.env['SAILRING_SEEDS_FACTOR'] ?? 1);

/** The seeds of one gate: 1 to `count`, times the factor. */
export function seedsUpTo(count: number): readonly number[] {
  if (only !== undefined) return [Number(only)];
  return Array.from({ length: Math.max(1, Math.round(count * factor)) }, (_, i) => i + 1);
}

/** What a failure says, so that anyone can run it again. */
export function replay(seed: number, what: string): string {
  return `SAILRING_GOSSIP_SEED=${seed}: ${what}`;
}
