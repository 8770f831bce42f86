let waiting: (() => void)[] = [];

function end(): void {
  const all = waiting;
  waiting = [];
  for (const flush of all) flush();
}

/**
 * Calls back when everything that the operating system had for this process has been worked off, before
 * it waits again. What many sockets have to write then leaves together: whoever reads at the other ends
 * is woken once, and finds more when it is done with the first.
 */
export function atTurnEnd(flush: () => void): void {
  if (waiting.push(flush) === 1) setImmediate(end);
}
