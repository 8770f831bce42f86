import { randomFillSync } from 'node:crypto';
import { httpLimits } from '../../config/defaults.ts';

/** A trace id of 16 bytes and a span id of 8 (W3C Trace Context level 1, section 3.2.2). */
const idsBytes = 24;

/** Makes what a new `traceparent` needs: 48 random lower-case hex digits with each call. */
export function randomTraceIds(): () => string {
  const pool = Buffer.alloc(idsBytes * httpLimits.traceIdsDrawn);
  let at = pool.length;
  return () => {
    if (at === pool.length) {
      // One call to the system serves many: each costs more than all the rest.
      randomFillSync(pool);
      at = 0;
    }
    const ids = pool.toString('hex', at, at + idsBytes);
    at += idsBytes;
    return ids;
  };
}
