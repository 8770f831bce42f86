/** What befalls packets on their way from one peer to another; the way back has its own. */
export interface Path {
  /** Share of packets that never arrive. */
  readonly loss: number;
  /** Share of packets that arrive twice. */
  readonly duplicated: number;
  /** Share of packets that later ones overtake, held back by up to `heldBackMs`. */
  readonly overtaken: number;
  readonly heldBackMs: number;
  /** Every packet takes at least this, and on top an exponentially distributed time of this mean. */
  readonly leastMs: number;
  readonly meanExtraMs: number;
  /** Nothing passes. */
  readonly isCut: boolean;
  /** What a filter on the way lets nothing of pass. */
  readonly refuses?: 'packets' | 'streams';
}

/** A switched network that is not loaded. */
export const calm: Path = {
  loss: 0,
  duplicated: 0,
  overtaken: 0,
  heldBackMs: 50,
  leastMs: 0.2,
  meanExtraMs: 0.4,
  isCut: false,
};

export const cut: Path = { ...calm, isCut: true };

export function lossy(loss: number): Path {
  return { ...calm, loss };
}

/** True when one packet gets through. */
export function passes(path: Path, random: () => number): boolean {
  return !path.isCut && (path.loss === 0 || random() >= path.loss);
}

/** How long one packet that gets through is on its way. */
export function transitMs(path: Path, random: () => number): number {
  const transit = path.leastMs - path.meanExtraMs * Math.log(1 - random());
  if (path.overtaken === 0 || random() >= path.overtaken) return transit;
  return transit + random() * path.heldBackMs;
}
