import type { SipMessage } from '../sip/index.ts';
import type { Arrival } from './arrival.ts';
import { successorsOf, type Located } from './locate.ts';
import type { PipelineOptions } from './ports.ts';
import type { Recognised } from './recognise.ts';
import { rewriteRequest } from './rewrite.ts';

/** A request with all that was found out about it. */
export interface RoutedRequest {
  readonly message: SipMessage;
  readonly arrival: Arrival;
  readonly recognised: Recognised;
  readonly located: Located;
}

/**
 * Gives a request to its instance, or to the first of its successors that takes it; each gets bytes
 * of its own.
 *
 * @returns false when nobody took it and nothing was sent
 */
export function deliver(request: RoutedRequest, options: PipelineOptions): boolean {
  const { located } = request;
  if (located.instance === undefined) return false;
  if (deliverTo(located.instance, request, options)) return true;
  return successorsOf(located, options.view()).some((successor) => {
    options.counters.count('sip_failovers', located.reason);
    return deliverTo(successor, request, options);
  });
}

function deliverTo(name: string, request: RoutedRequest, options: PipelineOptions): boolean {
  const { names, ports, counters } = options;
  const { instances, ring } = options.view();
  const instance = instances.get(name);
  if (instance === undefined) return false;
  const { keyDigest, reason } = request.located;
  const final = rewriteRequest(request, { bekey: keyDigest, beroute: name }, instance, options);
  const isDelivered = ports.deliver(final, {
    keyDigest,
    instance: name,
    reason,
    ringVersion: ring.version,
    ingressPeer: names.self,
    hop: name === names.self ? 0 : 1,
  });
  if (isDelivered) counters.count('sip_requests', reason);
  return isDelivered;
}
