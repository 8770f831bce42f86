import { randomFillSync } from 'node:crypto';
import { httpLimits } from '../../config/defaults.ts';

/** A trace id of 16 bytes and a span id of 8 (W3C Trace Context level 1, section 3.2.2). */
const idsBytes = 24;
const idsDigits = 2 * idsBytes;

/** Makes what a new `traceparent` needs: 48 random lower-case hex digits with each call. */
export function randomTraceIds(): () => string {
  const bytes = Buffer.alloc(idsBytes * httpLimits.traceIdsDrawn);
  let digits = '';
  let at = 0;
  return () => {
    if (at === digits.length) {
      // One call to the system serves many: each costs more than all the rest.
      digits = randomFillSync(bytes).toString('hex');
      at = 0;
    }
    at += idsDigits;
    return digits.slice(at - idsDigits, at);
  };
}
