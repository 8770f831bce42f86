/** Shortest and longest time that a member stays suspected among `liveCount` members. */
export function suspicionSpan(
  profile: {
    readonly suspicionMult: number;
    readonly suspicionMaxFactor: number;
    readonly probeIntervalMs: number;
  },
  liveCount: number,
): { readonly minMs: number; readonly maxMs: number; readonly confirmationsMax: number } {
  const scale = Math.max(1, Math.log10(Math.max(1, liveCount)));
  const minMs = profile.suspicionMult * scale * profile.probeIntervalMs;
  const wanted = Math.max(0, profile.suspicionMult - 2);
  // Neither the accuser nor the accused can confirm: a tiny cluster has nobody to wait for.
  const confirmationsMax = liveCount - 2 < wanted ? 0 : wanted;
  return { minMs, maxMs: minMs * profile.suspicionMaxFactor, confirmationsMax };
}

/** How long a suspicion with so many independent confirmations lasts, from its start. */
export function suspicionMs(
  span: { readonly minMs: number; readonly maxMs: number; readonly confirmationsMax: number },
  confirmations: number,
): number {
  if (span.confirmationsMax < 1) return span.minMs;
  const share = Math.log(confirmations + 1) / Math.log(span.confirmationsMax + 1);
  return Math.max(span.minMs, Math.floor(span.maxMs - share * (span.maxMs - span.minMs)));
}
