import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContext } from 'node:tls';
import { z } from 'zod';
import { discoveryLimits } from '../../config/defaults.ts';
import type { EtcdDiscoveryConfig } from '../../config/index.ts';
import { exchange } from './etcd-exchange.ts';
import type { Outcome } from './rendezvous.ts';

export type EtcdAccess = Pick<EtcdDiscoveryConfig, 'endpoints' | 'username' | 'password' | 'tls'>;

/** What came instead of what was asked for; `status` when etcd itself refused. */
export interface EtcdFault {
  readonly ok: false;
  readonly fault: string;
  readonly status?: number;
}

export type EtcdOutcome<Value> = { readonly ok: true; readonly value: Value } | EtcdFault;

const refusal = z.object({ message: z.string().optional(), error: z.string().optional() });
const login = z.object({ token: z.string() });

/** etcd says so about a token that is too old, and where it expects one that is not there. */
const tokenRefused = /invalid auth token|user name is empty|revision of auth store is old/u;

/**
 * etcd's own JSON gateway (`/v3/…`, etcd 3.4 and later). Each request has its deadline; endpoints are
 * tried in turn, beginning with the one that answered last.
 */
export class EtcdClient {
  readonly #access: EtcdAccess;
  readonly #requestMs: number;
  #first = 0;
  /** Of the login; '' where etcd wants none. */
  #token: string | undefined;

  constructor(access: EtcdAccess, requestMs: number = discoveryLimits.etcdRequestMs) {
    this.#access = access;
    this.#requestMs = requestMs;
  }

  /** Asks `path`, and asks again after a new login where the old one is not valid any more. */
  async call<Value>(
    path: string,
    body: object,
    answer: z.ZodType<Value>,
    signal: AbortSignal,
  ): Promise<EtcdOutcome<Value>> {
    const hadToken = this.#token !== undefined;
    const first = await this.#withToken(path, body, answer, signal);
    if (first.ok || !hadToken || !tokenRefused.test(first.fault)) return first;
    this.#token = undefined;
    return this.#withToken(path, body, answer, signal);
  }

  async #withToken<Value>(
    path: string,
    body: object,
    answer: z.ZodType<Value>,
    signal: AbortSignal,
  ): Promise<EtcdOutcome<Value>> {
    const { username, password } = this.#access;
    if (username !== undefined && this.#token === undefined) {
      const credentials = { name: username, password };
      const entered = await this.#inTurn('/v3/auth/authenticate', credentials, login, {}, signal);
      if (entered.ok) this.#token = entered.value.token;
      else if (entered.fault.includes('authentication is not enabled')) this.#token = '';
      else return entered;
    }
    const token = this.#token ?? '';
    return this.#inTurn(path, body, answer, token === '' ? {} : { authorization: token }, signal);
  }

  async #inTurn<Value>(
    path: string,
    body: object,
    answer: z.ZodType<Value>,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<EtcdOutcome<Value>> {
    const { endpoints } = this.#access;
    let last: EtcdFault = { ok: false, fault: 'there is no endpoint' };
    for (let step = 0; step < endpoints.length && !signal.aborted; step++) {
      const at = (this.#first + step) % endpoints.length;
      const found = await this.#ask(endpoints[at]!, path, body, answer, headers, signal);
      // A refusal is the whole cluster's word.
      if (found.ok || found.status !== undefined) {
        this.#first = at;
        return found;
      }
      last = found;
    }
    return last;
  }

  async #ask<Value>(
    endpoint: string,
    path: string,
    body: object,
    answer: z.ZodType<Value>,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<EtcdOutcome<Value>> {
    const credentials = await this.#credentials(endpoint);
    if (!credentials.ok) return credentials;
    const response = await exchange(
      {
        url: new URL(path, endpoint),
        body: JSON.stringify(body),
        headers,
        ...(credentials.value === undefined ? {} : { credentials: credentials.value }),
        timeoutMs: this.#requestMs,
        answerBytesMax: discoveryLimits.etcdAnswerBytesMax,
      },
      signal,
    );
    if (!response.ok) return { ok: false, fault: `${endpoint}: ${response.fault}` };
    return read(endpoint, response.value.status, response.value.body, answer);
  }

  /** Read for each request, so that renewed files count; files of the operator, so a bad one is a fault. */
  async #credentials(endpoint: string): Promise<Outcome<SecureContext | undefined>> {
    const { tls } = this.#access;
    if (!endpoint.startsWith('https:')) return { ok: true, value: undefined };
    const file = async (path: string | undefined): Promise<Buffer | undefined> =>
      path === undefined ? undefined : readFile(path);
    try {
      const [ca, cert, key] = await Promise.all([
        file(tls?.ca),
        file(tls?.certificate),
        file(tls?.key),
      ]);
      return { ok: true, value: createSecureContext({ ca, cert, key }) };
    } catch (error) {
      return { ok: false, fault: `TLS files for ${endpoint}: ${(error as Error).message}` };
    }
  }
}

/** An answer of another shape, and 5xx (no leader, overload), are that endpoint's fault alone. */
function read<Value>(
  endpoint: string,
  status: number,
  body: string,
  answer: z.ZodType<Value>,
): EtcdOutcome<Value> {
  const content = parseJson(body);
  if (status === 200) {
    const wanted = answer.safeParse(content);
    if (wanted.success) return { ok: true, value: wanted.data };
    return { ok: false, fault: `${endpoint}: unexpected answer` };
  }
  const said = refusal.safeParse(content);
  const message = (said.success ? (said.data.message ?? said.data.error) : undefined) ?? '';
  const fault = `${endpoint}: ${status} ${message}`.trimEnd();
  return status >= 400 && status < 500 ? { ok: false, fault, status } : { ok: false, fault };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Judged by its shape like any other answer.
    return undefined;
  }
}
