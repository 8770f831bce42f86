import { setTimeout as pause } from 'node:timers/promises';

/** A reader takes its bytes in portions of this time. */
const portionMs = 20;

/**
 * Gives the pieces of a body no faster than `bytesPerSecond`, so that whoever sends it is held back all
 * the time.
 */
export async function* throttled(
  body: AsyncIterable<Uint8Array>,
  bytesPerSecond: number,
): AsyncGenerator<Uint8Array> {
  const startMs = performance.now();
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    yield piece;
    const aheadMs = (bytes / bytesPerSecond) * 1_000 - (performance.now() - startMs);
    if (aheadMs >= portionMs) await pause(aheadMs);
  }
}
