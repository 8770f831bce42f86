import {
  HeaderId,
  readRouteUri,
  readUri,
  routeValues,
  type RouteUri,
  type RouteValue,
  type SipMessage,
} from '../sip/index.ts';
import { isOwn, type SipNames } from './arrival.ts';
import { stampText, type Stamp, type Stamper } from './stamp.ts';

/** What a request's routing fields say of us, and what has to go before it travels on. */
export interface Recognised {
  /** Valid stamp of a Route or of the Request-URI that a strict router made of it. */
  readonly stamp: Stamp | undefined;
  /** A stamp was there but not signed by us for this dialog. */
  readonly isForged: boolean;
  /** Route values to remove: our own at the top, and the one that became the Request-URI. */
  readonly removed: readonly RouteValue[];
  /** Replaces the Request-URI; undefined leaves it. */
  readonly requestUri: string | undefined;
  /** Appended as the last Route: the old Request-URI ahead of a strict router. */
  readonly appendedRoute: string | undefined;
}

const nothing: Recognised = {
  stamp: undefined,
  isForged: false,
  removed: [],
  requestUri: undefined,
  appendedRoute: undefined,
};

/**
 * Reads Route and Request-URI as RFC 3261 section 16.4 and 16.6 step 6 ask: undoes a strict router
 * before us, takes our own values off the top, prepares for a strict router behind us. The stamp is
 * read before its Route is removed.
 */
export function recognise(message: SipMessage, names: SipNames, stamper: Stamper): Recognised {
  const strict = readStrictUri(message, names);
  if (strict === undefined && message.line(HeaderId.route) < 0) return nothing;
  const values = routeValues(message, HeaderId.route);
  const removed: RouteValue[] = [];
  const stamped: RouteUri[] = [];
  let requestUri: string | undefined;
  if (strict !== undefined) {
    stamped.push(strict);
    const last = values.pop();
    if (last !== undefined) {
      requestUri = asRequestUri(readRouteUri(last.text));
      if (requestUri !== undefined) removed.push(last);
    }
  }
  let top = 0;
  let next = readTop(values, top);
  while (next !== undefined && isOwn(names, next.hostPort)) {
    stamped.push(next);
    removed.push(values[top]!);
    next = readTop(values, ++top);
  }
  const read = readStamps(message, stamped, stamper);
  const target = asRequestUri(next);
  if (next === undefined || next.isLoose || target === undefined) {
    return { ...read, removed, requestUri, appendedRoute: undefined };
  }
  // RFC 3261 section 16.6 step 6: without `lr` the next hop wants itself in the Request-URI.
  removed.push(values[top]!);
  const current = requestUri ?? message.text.slice(message.uriStart, message.uriEnd);
  return { ...read, removed, requestUri: target, appendedRoute: current };
}

function readTop(values: readonly RouteValue[], top: number): RouteUri | undefined {
  const value = values[top];
  return value === undefined ? undefined : readRouteUri(value.text);
}

/** The Request-URI where it is a Record-Route value of ours (RFC 3261 section 16.4). */
function readStrictUri(message: SipMessage, names: SipNames): RouteUri | undefined {
  const text = message.text.slice(message.uriStart, message.uriEnd);
  if (!text.includes(';besig=')) return undefined;
  const uri = readUri(text);
  const isOurs = uri?.isLoose === true && uri.besig !== undefined && isOwn(names, uri.hostPort);
  return isOurs ? uri : undefined;
}

/** Undefined where the text would break the request line that it came to stand in. */
function asRequestUri(uri: RouteUri | undefined): string | undefined {
  return uri === undefined || /[\0-\x20<>"]/.test(uri.uri) ? undefined : uri.uri;
}

function readStamps(
  message: SipMessage,
  uris: readonly RouteUri[],
  stamper: Stamper,
): Pick<Recognised, 'stamp' | 'isForged'> {
  let isForged = false;
  for (const uri of uris) {
    if (uri.besig === undefined && uri.beroute === undefined) continue;
    const stamp = { bekey: uri.bekey ?? '', beroute: uri.beroute ?? '' };
    if (verify(stamper, stamp, message.callId, uri.besig ?? '')) return { stamp, isForged: false };
    isForged = true;
  }
  return { stamp: undefined, isForged };
}

/** A Route comes from the dialog's Record-Route, or from the Path of a registration. */
function verify(stamper: Stamper, stamp: Stamp, callId: string, signature: string): boolean {
  return (
    stamper.verifyDialog(stamp, callId, signature) ||
    stamper.verify('path', stampText(stamp), signature)
  );
}
