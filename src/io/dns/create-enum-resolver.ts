import type { Counters } from '../../pipeline/counters.ts';
import { createNaptrQuery } from './dns-query.ts';
import { EnumResolver } from './enum.ts';

/** An ENUM resolver on real DNS servers and the system's clock. */
export function createEnumResolver(
  options: {
    readonly suffix: string;
    /** `host:port`; empty means those of the system. */
    readonly servers: readonly string[];
    readonly timeoutMs: number;
  },
  counters: Counters,
): EnumResolver {
  const { suffix, servers, timeoutMs } = options;
  return new EnumResolver({
    // A second server is asked while there is still time for its answer.
    query: createNaptrQuery(servers, timeoutMs / 2),
    clock: {
      now: () => performance.now(),
      after: (delayMs, callback) => {
        const timer = setTimeout(callback, delayMs);
        return () => clearTimeout(timer);
      },
    },
    counters,
    suffix,
    timeoutMs,
  });
}
