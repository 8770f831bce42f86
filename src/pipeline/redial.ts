import {
  HeaderId,
  readRouteUri,
  readUri,
  routeValues,
  viaParameter,
  type RouteUri,
  type SipMessage,
} from '../sip/index.ts';
import { destinationOf, isRedialled } from './outgoing.ts';
import type { PipelineOptions } from './ports.ts';
import type { SipTarget } from './sip-target.ts';

/**
 * Sends a final request of another peer's application, whose connection here is gone, on a new one to
 * where it points. What comes from outside never goes to a host that it names.
 *
 * @param failed called once when nobody can be reached
 * @returns false: it is none that may be sent so
 */
export function redial(
  message: SipMessage,
  { ports, counters }: PipelineOptions,
  failed: () => void,
): boolean {
  const via = message.topVia;
  const isOfApplication =
    via !== undefined && viaParameter(via.parameters, 'connid')?.startsWith('a') === true;
  if (!isOfApplication || !isRedialled(message, via.transport)) return false;
  const requestUri = readUri(message.text.slice(message.uriStart, message.uriEnd));
  const destination = destinationOf(
    looseRoute(message) ?? requestUri,
    requestUri?.scheme === 'sips',
  );
  if (destination === undefined) return false;
  const sendToFirst = ([target, ...others]: readonly SipTarget[]): void => {
    if (target === undefined) return failed();
    counters.count('sip_outgoing', 'redialled');
    ports.send(target, message.bytes, () => sendToFirst(others));
  };
  // Our Via names the transport of the connection that was lost.
  ports.resolve(destination, message.callId, (targets) => {
    sendToFirst(targets.filter(({ transport }) => transport === via.transport));
  });
  return true;
}

/** Ahead of a strict router the next hop stands in the Request-URI, and what follows it has no `lr`. */
function looseRoute(message: SipMessage): RouteUri | undefined {
  const [top] = routeValues(message, HeaderId.route);
  const route = top && readRouteUri(top.text);
  return route?.isLoose === true ? route : undefined;
}
