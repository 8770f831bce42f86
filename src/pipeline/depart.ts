import type { Arrival } from './arrival.ts';
import type { FlowToken } from './flow-token.ts';
import { nextHopOf, sendOut, sendToFlow, type OutgoingRequest, type Refuse } from './outgoing.ts';
import type { PipelineOptions } from './ports.ts';
import type { Recognised } from './recognise.ts';
import { staysInside } from './sender.ts';

/**
 * Tells a request that leaves the cluster from one that is for an instance, and sends the former on
 * its way: to a client whose flow is named (RFC 5626), or, when an application sent it, to wherever
 * its Route or Request-URI points. What comes from outside is never sent to a host that it names.
 *
 * @returns undefined: it left; else what the routing to an instance is to go by
 */
export function depart(
  request: OutgoingRequest,
  options: PipelineOptions,
  refuse: Refuse,
): Recognised | undefined {
  const { arrival, recognised, sender } = request;
  const { flow, isFlowOnward } = recognised;
  const isForOther = flow?.isPath === true || isFlowOnward || sender !== undefined;
  if (flow !== undefined && isForOther && !isFlowOf(flow, arrival, options)) {
    sendToFlow(request, flow, options, refuse);
    return undefined;
  }
  if (sender === undefined) return recognised;
  const hop = nextHopOf(request);
  if (hop === undefined || !staysInside(hop.hostPort, options.names, options.view())) {
    sendOut(request, options, refuse);
    return undefined;
  }
  return recognised;
}

function isFlowOf(
  { peer, flow, target }: FlowToken,
  arrival: Arrival,
  { names }: PipelineOptions,
): boolean {
  if (peer !== names.self || flow !== arrival.flow) return false;
  return (
    target === undefined || (target.address === arrival.address && target.port === arrival.port)
  );
}
