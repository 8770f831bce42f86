import { HeaderId, routeValues, type RouteUri } from '../sip/index.ts';
import { addressees, nameOf } from './addressed.ts';
import type { Recognised } from './recognise.ts';
import type { RewriteInput } from './rewrite.ts';
import type { ClusterView, InstanceView } from './view.ts';

/** A Route value that is written anew. */
export interface Readdress {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/**
 * A request that goes to another instance than the one whose application it names: its Route, and
 * its Request-URI if that named the same, are made to name the application that serves now. Without
 * that, the application would send it on to the one that is gone.
 *
 * @returns the request as it was, when it names nobody else
 */
export function readdress<Request extends RewriteInput>(
  request: Request,
  instance: InstanceView,
  view: ClusterView,
): Request {
  if (view.applications.size + view.departed.size === 0) return request;
  const { route, target } = addressees(request.message, request.recognised);
  const named = route ?? target;
  const lost = named === undefined ? undefined : otherInstance(named, instance, view);
  if (lost === undefined) return request;
  const [address] = instance.applications;
  const isTargetLost = target !== undefined && otherInstance(target, instance, view) === lost;
  const lostTarget = isTargetLost ? target : undefined;
  if (request.recognised.appendedRoute !== undefined) {
    return { ...request, recognised: strictChange(request.recognised, route, lostTarget, address) };
  }
  const requestUri = withAddress(lostTarget, address) ?? request.recognised.requestUri;
  const recognised = { ...request.recognised, requestUri };
  if (route === undefined) return { ...request, recognised };
  return { ...request, ...routeChange({ ...request, recognised }, route, address) };
}

/** Ahead of a strict router, the Route stands in the Request-URI and the Request-URI in the last Route. */
function strictChange(
  recognised: Recognised,
  route: RouteUri | undefined,
  target: RouteUri | undefined,
  address: string | undefined,
): Recognised {
  return {
    ...recognised,
    requestUri: withAddress(route, address) ?? recognised.requestUri,
    appendedRoute: withAddress(target, address) ?? recognised.appendedRoute,
  };
}

/** Name of another instance that the URI names; undefined where the serving one has that address, too. */
function otherInstance(
  uri: RouteUri,
  instance: InstanceView,
  { applications, departed }: ClusterView,
): string | undefined {
  const own = new Map(instance.applications.map((address) => [address, instance.name]));
  if (nameOf(uri, own) !== undefined) return undefined;
  const name = nameOf(uri, applications) ?? nameOf(uri, departed);
  return name === instance.name ? undefined : name;
}

/** Names the new application in the lost one's Route; an embedded application needs no Route at all. */
function routeChange(
  { message, recognised }: RewriteInput,
  route: RouteUri,
  address: string | undefined,
): Pick<RewriteInput, 'readdress' | 'recognised'> {
  const removed = new Set(recognised.removed.map(({ start }) => start));
  const value = routeValues(message, HeaderId.route).find(({ start }) => !removed.has(start));
  if (value === undefined) return { recognised };
  const uri = withAddress(route, address);
  if (uri === undefined) {
    return { recognised: { ...recognised, removed: [...recognised.removed, value] } };
  }
  const { start, end } = value;
  const at = value.text.indexOf(route.uri);
  const text = value.text.slice(0, at) + uri + value.text.slice(at + route.uri.length);
  return { recognised, readdress: { start, end, text } };
}

function withAddress(uri: RouteUri | undefined, address: string | undefined): string | undefined {
  if (uri === undefined || address === undefined) return undefined;
  const { uri: text, hostPort } = uri;
  const at = text.lastIndexOf('@');
  const start = (at < 0 ? text.indexOf(':') : at) + 1;
  return text.slice(0, start) + address + text.slice(start + hostPort.length);
}
