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
import { readFlowToken, type FlowToken } from './flow-token.ts';
import { stampText, type Stamp, type Stamper } from './stamp.ts';

/** What a request's routing fields say of us, and what has to go before it travels on. */
export interface Recognised {
  /**
   * Valid stamp of a Route or of the Request-URI that a strict router made of it. Of several the last
   * one: it is the receiver's.
   */
  readonly stamp: Stamp | undefined;
  /** A stamp was there but not signed by us for this dialog. */
  readonly isForged: boolean;
  /** The client's flow that our Routes name, the last one of several. */
  readonly flow: FlowToken | undefined;
  /** It stands behind another Route of ours: it is not the sender's own flow but that of the other end. */
  readonly isFlowOnward: boolean;
  /** A flow token was there that we did not sign. */
  readonly isFlowForged: boolean;
  /** Route values to remove: our own at the top, and the one that became the Request-URI. */
  readonly removed: readonly RouteValue[];
  /** The top Route that stays, when it is a loose one: where the request is to go next. */
  readonly nextRoute: RouteUri | undefined;
  /** Replaces the Request-URI; undefined leaves it. */
  readonly requestUri: string | undefined;
  /** Appended as the last Route: the old Request-URI ahead of a strict router. */
  readonly appendedRoute: string | undefined;
}

const nothing: Recognised = {
  stamp: undefined,
  isForged: false,
  flow: undefined,
  isFlowOnward: false,
  isFlowForged: false,
  removed: [],
  nextRoute: undefined,
  requestUri: undefined,
  appendedRoute: undefined,
};

/**
 * Reads Route and Request-URI as RFC 3261 section 16.4 and 16.6 step 6 ask: undoes a strict router
 * before us, takes our own values off the top, prepares for a strict router behind us. Ours is what
 * names the cluster, and what bears our signature: the inner one of two Record-Routes names the
 * address of an instance (RFC 5658).
 */
export function recognise(message: SipMessage, names: SipNames, stamper: Stamper): Recognised {
  const strict = readStrictUri(message, names);
  if (strict === undefined && message.line(HeaderId.route) < 0) return nothing;
  const values = routeValues(message, HeaderId.route);
  const removed: RouteValue[] = [];
  const found = new OwnUris(message, stamper);
  let requestUri: string | undefined;
  if (strict !== undefined) {
    found.take(strict, names);
    const last = values.pop();
    if (last !== undefined) {
      requestUri = asRequestUri(readRouteUri(last.text));
      if (requestUri !== undefined) removed.push(last);
    }
  }
  let top = 0;
  let next = readTop(values, top);
  while (next !== undefined && found.take(next, names)) {
    removed.push(values[top]!);
    next = readTop(values, ++top);
  }
  const read = found.result();
  const target = asRequestUri(next);
  if (next === undefined || next.isLoose || target === undefined) {
    return { ...read, removed, nextRoute: next, requestUri, appendedRoute: undefined };
  }
  // RFC 3261 section 16.6 step 6: without `lr` the next hop wants itself in the Request-URI.
  removed.push(values[top]!);
  const current = requestUri ?? message.text.slice(message.uriStart, message.uriEnd);
  return {
    ...read,
    removed,
    nextRoute: undefined,
    requestUri: target,
    appendedRoute: current,
  };
}

/** What the URIs of ours in one request say together. */
class OwnUris {
  readonly #message: SipMessage;
  readonly #stamper: Stamper;
  #stamp: Stamp | undefined;
  /** Of the stamp. */
  #signature = '';
  #isForged = false;
  #flow: FlowToken | undefined;
  #isFlowOnward = false;
  #isFlowForged = false;

  constructor(message: SipMessage, stamper: Stamper) {
    this.#message = message;
    this.#stamper = stamper;
  }

  /** @returns whether the URI is ours: it bears our signature or names us */
  take(uri: RouteUri, names: SipNames): boolean {
    const { user, besig, beroute } = uri;
    const isFirst = this.#stamp === undefined;
    const isStamped = besig !== undefined || beroute !== undefined;
    const stamp = { bekey: uri.bekey ?? '', beroute: beroute ?? '' };
    const isSigned = isStamped && this.#verify(stamp, besig ?? '');
    if (!isSigned && !isOwn(names, uri.hostPort)) return false;
    if (isStamped && !isSigned) this.#isForged = true;
    if (user !== '') this.#takeToken(user, isFirst);
    return true;
  }

  /** Both faces of a peer mostly bear one stamp: it is verified once. */
  #verify(stamp: Stamp, signature: string): boolean {
    const { bekey, beroute } = this.#stamp ?? {};
    const isSame = signature === this.#signature && stamp.bekey === bekey;
    if (isSame && stamp.beroute === beroute) return true;
    if (!verify(this.#stamper, stamp, this.#message.callId, signature)) return false;
    this.#stamp = stamp;
    this.#signature = signature;
    return true;
  }

  result(): Pick<Recognised, 'stamp' | 'isForged' | 'flow' | 'isFlowOnward' | 'isFlowForged'> {
    const stamp = this.#stamp;
    return {
      stamp,
      isForged: stamp === undefined && this.#isForged,
      flow: this.#flow,
      isFlowOnward: this.#isFlowOnward,
      isFlowForged: this.#flow === undefined && this.#isFlowForged,
    };
  }

  /** @param isFirst no Route above it is ours: a client's own request bears its own flow there */
  #takeToken(user: string, isFirst: boolean): void {
    const token = readFlowToken(user, this.#message.callId, this.#stamper);
    if (token === undefined) return;
    if (token === 'forged') this.#isFlowForged = true;
    else if (isFirst) this.#flow ??= token;
    else if (token.text !== this.#flow?.text) {
      this.#flow = token;
      this.#isFlowOnward = true;
    }
  }
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

/**
 * Undefined where the text would break the request line that it came to stand in. Headers are not
 * allowed there (RFC 3261 section 19.1.1).
 */
function asRequestUri(uri: RouteUri | undefined): string | undefined {
  if (uri === undefined || /[\0-\x20<>"]/.test(uri.uri)) return undefined;
  const headers = uri.uri.indexOf('?', uri.uri.lastIndexOf('@') + 1);
  return headers < 0 ? uri.uri : uri.uri.slice(0, headers);
}

/** A Route comes from the dialog's Record-Route, or from the Path of a registration. */
function verify(stamper: Stamper, stamp: Stamp, callId: string, signature: string): boolean {
  return (
    stamper.verifyDialog(stamp, callId, signature) ||
    stamper.verify('path', stampText(stamp), signature)
  );
}
