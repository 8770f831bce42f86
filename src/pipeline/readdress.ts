import { HeaderId, routeValues, type RouteUri } from '../sip/index.ts';
import { addressees, nameOf } from './addressed.ts';
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
  const { message, recognised } = request;
  const { route, target } = addressees(message, recognised);
  const named = route ?? target;
  const lost = named === undefined ? undefined : otherInstance(named, instance, view);
  if (named === undefined || lost === undefined) return request;
  const [address] = instance.applications;
  const isStrict = recognised.appendedRoute !== undefined;
  const targetIsLost = target !== undefined && otherInstance(target, instance, view) === lost;
  const changed = { ...recognised };
  if (targetIsLost && address !== undefined) {
    if (isStrict) changed.appendedRoute = withAddress(target, address);
    else changed.requestUri = withAddress(target, address);
  }
  if (route === undefined) return { ...request, recognised: changed };
  if (isStrict && address !== undefined) changed.requestUri = withAddress(route, address);
  if (isStrict) return { ...request, recognised: changed };
  return { ...request, recognised: changed, ...routeChange(request, route, address) };
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
): Pick<RewriteInput, 'readdress'> & Partial<Pick<RewriteInput, 'recognised'>> {
  const removed = new Set(recognised.removed.map(({ start }) => start));
  const value = routeValues(message, HeaderId.route).find(({ start }) => !removed.has(start));
  if (value === undefined) return {};
  if (address === undefined) {
    return { recognised: { ...recognised, removed: [...recognised.removed, value] } };
  }
  const at = value.text.indexOf(route.uri);
  const text =
    value.text.slice(0, at) +
    withAddress(route, address) +
    value.text.slice(at + route.uri.length);
  return { readdress: { start: value.start, end: value.end, text } };
}

function withAddress({ uri, hostPort }: RouteUri, address: string): string {
  const at = uri.lastIndexOf('@');
  const start = (at < 0 ? uri.indexOf(':') : at) + 1;
  return uri.slice(0, start) + address + uri.slice(start + hostPort.length);
}
