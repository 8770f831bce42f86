import { readInstanceFlags, type DecidedInstance, type InstanceFlags } from '../cluster/index.ts';
import { json, type AdminRequest, type Answer, type Route } from './route.ts';
import type { AuditLog } from './server.ts';
import { changeAnswer, objectOf, type ChangeOutcome, type StateVersion } from './state-change.ts';
import type { MemberStatus } from './status.ts';

/** What operators decided about instances. */
export interface InstancesSource {
  readonly status: StateVersion;
  instance(name: string): InstanceFlags | undefined;
  instances(): readonly DecidedInstance[];
  /** Undefined forgets what was decided. */
  setInstance(name: string, flags: InstanceFlags | undefined): Promise<ChangeOutcome>;
}

const settable: readonly string[] = ['status', 'weight', 'quiesceMs'];

const usage =
  'expected {"status": "enabled", "draining" or "disabled", "weight": 0.1 to 100, ' +
  '"quiesceMs": 0 to 86400000}, at least one of them; null takes weight or quiesceMs away';

/**
 * `GET /instances`, and `PUT` and `DELETE /instances/<name>`: what operators decided about an instance,
 * wherever it runs. `DELETE` forgets it. An instance that nobody knows is set with `?create=1` only.
 */
export function instancesPages(
  source: InstancesSource,
  members: () => readonly MemberStatus[],
  audit: AuditLog,
): readonly Route[] {
  const pages = new InstancesPages(source, members, audit);
  const path = '/instances/';
  return [
    { method: 'GET', path: '/instances', serve: () => pages.list() },
    { method: 'PUT', path, serve: (request) => pages.put(request) },
    { method: 'DELETE', path, serve: (request) => pages.forget(request) },
  ];
}

class InstancesPages {
  readonly #source: InstancesSource;
  readonly #members: () => readonly MemberStatus[];
  readonly #audit: AuditLog;

  constructor(source: InstancesSource, members: () => readonly MemberStatus[], audit: AuditLog) {
    this.#source = source;
    this.#members = members;
    this.#audit = audit;
  }

  list(): Answer {
    const decided = new Map(this.#source.instances().map(({ name, flags }) => [name, flags]));
    const members = new Map(this.#members().map((member) => [member.name, member]));
    const names = [...new Set([...members.keys(), ...decided.keys()])].sort();
    const instances = names.map((name) => {
      const { state = null, status = null, weight = null } = members.get(name) ?? {};
      return { name, state, status, weight, decided: decided.get(name) ?? null };
    });
    return json(200, { instances });
  }

  async put({ rest: name, body, query, by }: AdminRequest): Promise<Answer> {
    const given = objectOf(await body());
    const flags = given && merged(this.#source.instance(name), given);
    if (flags === undefined) return json(400, { error: usage });
    if (!isName(name)) return noInstance(name);
    if (!this.#isKnown(name) && query.get('create') !== '1') return noInstance(name);
    this.#audit(`admin: instance ${name} set to ${JSON.stringify(flags)} by ${by}`);
    const outcome = await this.#source.setInstance(name, flags);
    return changeAnswer(outcome, this.#source.status, { name, ...flags });
  }

  async forget({ rest: name, by }: AdminRequest): Promise<Answer> {
    if (!isName(name)) return noInstance(name);
    if (this.#source.instance(name) === undefined) {
      return json(404, { error: `nothing is decided about ${name}` });
    }
    this.#audit(`admin: what was decided about instance ${name} forgotten by ${by}`);
    const outcome = await this.#source.setInstance(name, undefined);
    return changeAnswer(outcome, this.#source.status, { name });
  }

  #isKnown(name: string): boolean {
    if (this.#source.instance(name) !== undefined) return true;
    return this.#members().some((member) => member.name === name);
  }
}

/** What is given goes over what was decided; a decision about the status ends the time of the last one. */
function merged(
  known: InstanceFlags | undefined,
  given: Readonly<Record<string, unknown>>,
): InstanceFlags | undefined {
  const names = Object.keys(given);
  if (names.length === 0 || names.some((name) => !settable.includes(name))) return undefined;
  const { quiesceMs, ...kept } = known ?? { status: 'enabled' as const };
  const before = given['status'] === undefined ? { ...kept, quiesceMs } : kept;
  const all: Readonly<Record<string, unknown>> = { ...before, ...given };
  const kinds = Object.entries(all).filter(([, value]) => value !== null);
  return readInstanceFlags(Object.fromEntries(kinds));
}

function isName(text: string): boolean {
  return /^[A-Za-z0-9._-]{1,64}$/u.test(text);
}

function noInstance(name: string): Answer {
  const error = isName(name)
    ? `no member and no decision is called ${name}; ?create=1 (sailring: --create) decides about an instance to come`
    : 'no such instance; names have 1 to 64 of the characters A-Z a-z 0-9 . _ -';
  return json(404, { error });
}
