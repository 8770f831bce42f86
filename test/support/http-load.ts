import { request, type IncomingMessage } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { HttpSpray } from './http-spray.ts';

/** What a visitor keeps: the cookies, and what the application last said of the session. */
export interface Visitor {
  readonly cookies: Map<string, string>;
  instance: string;
  visits: number;
}

/** One request and what became of it. */
export interface Outcome {
  readonly startedMs: number;
  readonly tookMs: number;
  /** Peer that the connection went to; undefined: to none. */
  readonly ingress: string | undefined;
  /** Instance of the session when the request was sent. */
  readonly owner: string;
  /** Undefined: the connection broke. */
  readonly status: number | undefined;
  /** Of the answer, where it is one of the application. */
  readonly instance: string | undefined;
  readonly visits: number | undefined;
  readonly fault: string | undefined;
}

/** A request that is not answered for so long has failed. */
const patienceMs = 30_000;

export interface LoadOptions {
  readonly spray: HttpSpray;
  /** Target with a path of http-application.ts that answers as /session does. */
  readonly target: string;
  readonly perSecond: number;
}

/** Makes sessions, one request each. */
export async function openVisitors(spray: HttpSpray, count: number): Promise<Visitor[]> {
  const visitors = Array.from({ length: count }, (): Visitor => ({
    cookies: new Map(),
    instance: '',
    visits: 0,
  }));
  const firsts = await Promise.all(
    visitors.map((visitor) => visit({ spray, target: '/session' }, visitor)),
  );
  for (const { fault } of firsts) if (fault !== undefined) throw new Error(fault);
  return visitors;
}

/**
 * Requests of visitors in turn at an even rate, whatever becomes of those before, each on a connection of
 * its own, until `until` is settled and those under way have ended. Who still waits for an answer is
 * passed over.
 */
export async function loadUntil(
  options: LoadOptions,
  visitors: readonly Visitor[],
  until: Promise<unknown>,
): Promise<Outcome[]> {
  const running: Promise<Outcome>[] = [];
  const free = [...visitors];
  const state = { isOver: false };
  const over = until.finally(() => (state.isOver = true));
  const startMs = performance.now();
  for (let at = 0; !state.isOver; at++) {
    const dueMs = startMs + (at * 1_000) / options.perSecond - performance.now();
    if (dueMs > 1) await Promise.race([pause(dueMs), over]);
    const visitor = free.shift();
    if (visitor === undefined) continue;
    const visiting = visit(options, visitor);
    void visiting.then(() => free.push(visitor));
    running.push(visiting);
  }
  await over;
  return Promise.all(running);
}

async function visit(
  { spray, target }: Pick<LoadOptions, 'spray' | 'target'>,
  visitor: Visitor,
): Promise<Outcome> {
  const startedMs = performance.now();
  const owner = visitor.instance;
  let port = 0;
  const answer = await new Promise<{ response: IncomingMessage; text: string } | Error>(
    (resolve) => {
      const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const headers = cookie === '' ? {} : { cookie };
      const signal = AbortSignal.timeout(patienceMs);
      const sent = request(`http://${spray.address}${target}`, { agent: false, headers, signal });
      sent.on('socket', (socket) => {
        socket.once('connect', () => (port = socket.localPort ?? 0));
      });
      sent.on('error', resolve);
      sent.on('response', (response) => {
        read(response).then((text) => resolve({ response, text }), resolve);
      });
      sent.end();
    },
  );
  const tookMs = performance.now() - startedMs;
  const common = { startedMs, tookMs, owner, ingress: spray.takenBy(port) };
  if (answer instanceof Error) return { ...common, ...nothing, fault: answer.message };
  const { response, text } = answer;
  const status = response.statusCode ?? 0;
  if (status !== 200) return { ...common, ...nothing, status, fault: `${status} ${text.trim()}` };
  for (const line of response.headers['set-cookie'] ?? []) {
    const [, cookieName, value] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (cookieName !== undefined && value !== undefined) visitor.cookies.set(cookieName, value);
  }
  const { instance, visits } = JSON.parse(text) as { instance: string; visits: number };
  visitor.instance = instance;
  visitor.visits = visits;
  return { ...common, status, instance, visits, fault: undefined };
}

const nothing = { status: undefined, instance: undefined, visits: undefined };

async function read(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of response) text += String(piece);
  return text;
}
