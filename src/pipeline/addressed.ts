import { readUri, type RouteUri, type SipMessage } from '../sip/index.ts';
import type { Recognised } from './recognise.ts';
import type { ClusterView } from './view.ts';

/** Where a request says itself that it goes. */
export interface Addressees {
  /** Its top Route, ours gone. */
  readonly route: RouteUri | undefined;
  /** Its Request-URI, undone what strict routers made of it. */
  readonly target: RouteUri | undefined;
}

/** Reads where a request goes next and where it goes in the end. */
export function addressees(message: SipMessage, recognised: Recognised): Addressees {
  const { nextRoute, requestUri, appendedRoute } = recognised;
  if (appendedRoute !== undefined) {
    const route = requestUri === undefined ? undefined : readUri(requestUri);
    return { route, target: readUri(appendedRoute) };
  }
  const target = requestUri ?? message.text.slice(message.uriStart, message.uriEnd);
  return { route: nextRoute, target: readUri(target) };
}

/**
 * The instance whose application a request names: in its top Route, else in its Request-URI, which
 * counts inside a dialog only when no Route remains. What begins something needs a ready instance.
 */
export function addressedInstance(
  message: SipMessage,
  recognised: Recognised,
  view: ClusterView,
): string | undefined {
  if (view.applications.size === 0) return undefined;
  const isInDialog = message.toTag !== undefined;
  const { route, target } = addressees(message, recognised);
  const named = route === undefined ? undefined : serving(route, view, isInDialog);
  if (named !== undefined || (route !== undefined && isInDialog)) return named;
  return target === undefined ? undefined : serving(target, view, isInDialog);
}

function serving(uri: RouteUri, view: ClusterView, isInDialog: boolean): string | undefined {
  const name = nameOf(uri, view.applications);
  const status = name === undefined ? undefined : view.instances.get(name)?.status;
  if (status === undefined || status === 'disabled') return undefined;
  return isInDialog || status === 'ready' ? name : undefined;
}

/** Looks a URI's address up; without a port its scheme's default is meant. */
export function nameOf(
  { scheme, hostPort }: RouteUri,
  addresses: ReadonlyMap<string, string>,
): string | undefined {
  const address = hostPort.toLowerCase();
  if (/:\d+$/.test(address)) return addresses.get(address);
  return addresses.get(`${address}:${scheme === 'sips' ? 5061 : 5060}`);
}
