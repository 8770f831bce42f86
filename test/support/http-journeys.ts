import assert from 'node:assert/strict';
import type { Rules } from '../../src/dcr/index.ts';
import {
  HeaderBlock,
  noBody,
  parseRequestHead,
  type ReceivedRequest,
  type ResponseHead,
} from '../../src/http/index.ts';
import { Counters } from '../../src/pipeline/counters.ts';
import type { HttpRemote } from '../../src/pipeline/http-forward.ts';
import {
  HttpJourney,
  type HttpJourneyParts,
  type HttpRoute,
} from '../../src/pipeline/http-journey.ts';
import { defaultHttpRouting, type HttpRouting } from '../../src/pipeline/http-routing.ts';
import { KeyDeriver } from '../../src/pipeline/key.ts';
import { Stamper, type StampKey } from '../../src/pipeline/stamp.ts';
import { jvmRoutesOf, type ClusterView, type InstanceStatus } from '../../src/pipeline/view.ts';
import { instanceOf, clusterView } from './pipeline-parts.ts';

/** A client of no special trust, in clear text. */
export const httpClient: HttpRemote = {
  address: '192.0.2.7',
  port: 4711,
  isTls: false,
  isTrusted: false,
};

/** Rules that take the key from the query parameter `room`; of a number they wait for ENUM. */
export const roomRules: Rules = {
  kind: 'rule',
  sipKey: () => null,
  httpKey: (subject) => {
    const room = subject.parameter('room');
    if (room?.startsWith('+') === true) return { number: room };
    return room ?? null;
  },
};

/** A view of instances that announce a jvmRoute, `''` for none. */
export function viewWithRoutes(
  instances: Readonly<Record<string, readonly [InstanceStatus, jvmRoute: string]>>,
  self = 'p1',
): ClusterView {
  const statuses = Object.fromEntries(
    Object.entries(instances).map(([name, [status]]) => [name, status]),
  );
  const listed = Object.entries(instances).map(([name, [status, jvmRoute]], at) =>
    instanceOf(name, at + 1, { status, ...(jvmRoute === '' ? {} : { jvmRoute }) }),
  );
  return clusterView(self, statuses, {
    instances: new Map(listed.map((instance) => [instance.name, instance])),
    jvmRoutes: jvmRoutesOf(listed),
  });
}

export interface JourneySetting {
  readonly view: ClusterView;
  readonly rules?: Rules;
  readonly routing?: Partial<HttpRouting>;
  readonly newTraceIds?: HttpJourneyParts['newTraceIds'];
  /** Where this peer's rotation stands. */
  readonly turn?: number;
}

/** The stamps that all these peers sign with. */
export const stampKeys: readonly StampKey[] = [{ id: 'a', secret: Buffer.alloc(32, 1) }];

export interface JourneyRig {
  readonly journey: HttpJourney;
  readonly counters: Counters;
  readonly setView: (view: ClusterView) => void;
}

/** A peer's journey, its view to be replaced. */
export function journeyOf(setting: JourneySetting): JourneyRig {
  let { view } = setting;
  const counters = new Counters();
  const keys = new KeyDeriver(setting.rules);
  const { newTraceIds } = setting;
  const journey = new HttpJourney({
    view: () => view,
    keys: () => keys,
    stamper: new Stamper(stampKeys),
    counters,
    routing: { ...defaultHttpRouting, ...setting.routing },
    roundRobin: { turn: setting.turn ?? 0 },
    ...(newTraceIds === undefined ? {} : { newTraceIds }),
  });
  return { journey, counters, setView: (next) => (view = next) };
}

/** A request as the parser gives it. @param headers lines, each with its CRLF */
export function httpRequest(target: string, headers = '', method = 'GET'): ReceivedRequest {
  const raw = `${method} ${target} HTTP/1.1\r\nHost: shop.example:8080\r\n${headers}\r\n`;
  const progress = parseRequestHead(Buffer.from(raw, 'latin1'));
  assert.ok(progress.kind === 'head', `${method} ${target} ${headers}`);
  return progress.head;
}

/** The decision for a request that must have an instance. */
export function routed(journey: HttpJourney, target: string, headers = ''): HttpRoute {
  const decision = journey.decide(httpRequest(target, headers), httpClient);
  assert.ok(decision.kind === 'route', decision.kind);
  return decision;
}

/** 200 with these Set-Cookie headers. */
export function httpResponse(...cookies: string[]): ResponseHead {
  const headers = HeaderBlock.of(cookies.map((value) => ['Set-Cookie', value] as const));
  return { status: 200, reason: 'OK', headers, framing: noBody };
}

/** Names and plain values of the stamps that a response gets, `[]` for none. */
export function stampsOf(
  journey: HttpJourney,
  route: HttpRoute,
  instance: string,
  head: ResponseHead = httpResponse(),
): string[] {
  const set = journey.responseCookies(route, instance, head).all('set-cookie');
  return set.map((value) => value.split('.')[0]!);
}

/** `Cookie` line with both stamps, or one of them. */
export function stampLine(bekey: string | undefined, beroute: string | undefined): string {
  const stamper = new Stamper(stampKeys);
  const pairs: string[] = [];
  if (bekey !== undefined) pairs.push(`BEKEY=${bekey}.${stamper.sign('bekey', bekey)}`);
  if (beroute !== undefined) pairs.push(`BEROUTE=${beroute}.${stamper.sign('beroute', beroute)}`);
  return pairs.length === 0 ? '' : `Cookie: ${pairs.join('; ')}\r\n`;
}
