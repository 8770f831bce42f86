import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { memoryLimits } from '../../config/defaults.ts';

/**
 * Has V8 free the buffers of bodies that have passed. By itself it lets tens of megabytes of them lie
 * until their memory has gone cold or back to the system, which makes a stream of any rate cost that
 * much memory and twice the processor time.
 */
export class BufferCollector {
  readonly #collect: () => void;
  #bytes = 0;

  constructor(collect: () => void = minorCollection()) {
    this.#collect = collect;
  }

  /** That many body bytes went through this process. */
  readonly passed = (bytes: number): void => {
    this.#bytes += bytes;
    if (this.#bytes < memoryLimits.bytesPerCollection) return;
    this.#bytes = 0;
    this.#collect();
  };
}

/** A collection of the young generation alone, well below a millisecond; nothing where V8 gives none. */
export function minorCollection(): () => void {
  setFlagsFromString('--expose-gc');
  // The function appears in contexts made from now on only.
  const collect: unknown = runInNewContext('globalThis.gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof collect !== 'function') return () => undefined;
  const collectGarbage = collect as NodeJS.GCFunction;
  return () => {
    collectGarbage({ type: 'minor' });
  };
}
