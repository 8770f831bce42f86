import { assignmentKey, type Assignment } from '../sip/index.ts';
import { followsAnother } from './classify.ts';
import { successorsOf, type Located } from './locate.ts';
import type { PipelineOptions } from './ports.ts';
import { readdress } from './readdress.ts';
import { rewriteRequest, type RewriteInput } from './rewrite.ts';

/** A request with all that was found out about it. */
export interface RoutedRequest extends RewriteInput {
  readonly located: Located;
  /**
   * {@link assignmentKey} of what is to be remembered. Empty for what its stamp routed, and for a
   * CANCEL or ACK of an unknown transaction: its request may be known elsewhere after all.
   */
  readonly transaction: string;
  /** What was known of the transaction before. */
  readonly known: Assignment | undefined;
}

/**
 * Gives a request to its instance, or to the first of its successors that takes it; each gets bytes
 * of its own. What belongs to an instance that may only be held up comes again by retransmission, and
 * would be refused by any other.
 *
 * @param took told which instance has taken a request that is to be remembered
 * @returns false when nobody took it and its sender is to be told
 */
export function deliver(
  request: RoutedRequest,
  options: PipelineOptions,
  took: (request: RoutedRequest, instance: string) => void,
): boolean {
  const { located } = request;
  if (located.instance === undefined) return false;
  if (deliverTo(located.instance, request, options)) {
    if (request.transaction !== '') took(request, located.instance);
    return true;
  }
  if (isWorthWaiting(request, options)) {
    options.counters.count('sip_drops', 'instance-silent');
    return true;
  }
  // What left its stamped instance is known by its transaction alone.
  const isStamped = located.reason === 'stamp' && !followsAnother(request.message);
  const moved = isStamped ? { ...request, transaction: transactionOf(request) } : request;
  return successorsOf(located, options.view()).some((successor) => {
    options.counters.count('sip_failovers', located.reason);
    const isTaken = deliverTo(successor, moved, options);
    if (isTaken && moved.transaction !== '') took(moved, successor);
    return isTaken;
  });
}

/** Over UDP its sender repeats it (RFC 3261 section 17.1); whoever sends by a stream does not. */
function isWorthWaiting({ located, arrival }: RoutedRequest, { ports }: PipelineOptions): boolean {
  const { instance, isNew } = located;
  return !isNew && arrival.transport === 'UDP' && ports.isSilent(instance ?? '');
}

/**
 * The {@link assignmentKey} of a request. What an application sends on, e.g. to another room, is the
 * request that it was given in all but its branch, which the application's CANCEL shares.
 */
export function transactionOf({ message, sender }: RewriteInput): string {
  const isSentOn = sender !== undefined && message.toTag === undefined;
  return assignmentKey(message, isSentOn ? message.topVia?.branch : '');
}

function deliverTo(name: string, request: RoutedRequest, options: PipelineOptions): boolean {
  const { names, ports, counters } = options;
  const view = options.view();
  const instance = view.instances.get(name);
  if (instance === undefined) return false;
  const { located, transaction } = request;
  const { keyDigest, reason } = located;
  const isStamped = reason === 'stamp' && name === located.instance;
  const input = isStamped ? request : readdress(request, instance, view);
  const final = rewriteRequest(input, { bekey: keyDigest, beroute: name }, instance, options);
  const isDelivered = ports.deliver(final, {
    keyDigest,
    instance: name,
    reason,
    ringVersion: view.ring.version,
    ingressPeer: names.self,
    hop: name === names.self ? 0 : 1,
    transaction,
  });
  if (isDelivered) counters.count('sip_requests', reason);
  return isDelivered;
}
