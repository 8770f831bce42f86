import { json, type AdminRequest, type Answer, type Route } from './route.ts';
import type { AuditLog } from './server.ts';

/** A key of gossip as an operator sees it. */
export interface KeyDescription {
  readonly id: string;
  readonly bits: number;
  /** The one that encrypts. */
  readonly isPrimary: boolean;
}

export type KeyChange = 'install' | 'use' | 'remove';

/** What members answered, of so many that live. */
export interface MemberAnswers {
  readonly answers: ReadonlyMap<string, MemberAnswer>;
  readonly of: number;
}

export interface MemberAnswer {
  readonly isDone: boolean;
  /** Why not. */
  readonly message: string;
  /** Of a question for them: the keys in base64, the one that encrypts first. */
  readonly keys: readonly string[];
}

/** The keys of gossip, here and at the other members. */
export interface KeySource {
  /** Keys of this peer; undefined where gossip is plain. */
  list(): readonly KeyDescription[] | undefined;
  /** The key of this id. */
  secretOf(id: string): Uint8Array | undefined;
  idOf(key: Uint8Array): string;
  /** Which keys all members have, this peer included. */
  ask(): Promise<MemberAnswers>;
  /** Does this at all members, at this peer first. */
  change(change: KeyChange, key: Uint8Array): Promise<MemberAnswers>;
}

interface ChangeRequest {
  readonly change: KeyChange;
  readonly key: Uint8Array;
  /** Do it though not every member is known to follow. */
  readonly isForced: boolean;
}

/** Members that would not understand the others any more. */
interface Obstacle {
  readonly members: readonly string[];
  readonly silent: number;
}

const changes: readonly string[] = ['install', 'use', 'remove'];

/**
 * `GET /gossip/keys` and `POST /gossip/keys`: the keys of gossip at all members, one change at a time.
 * Keys go in, never out: what is shown is their id.
 */
export function keyPages(source: KeySource, audit: AuditLog): readonly Route[] {
  const pages = new KeyPages(source, audit);
  const path = '/gossip/keys';
  return [
    { method: 'GET', path, serve: () => pages.list() },
    { method: 'POST', path, serve: (request) => pages.change(request) },
  ];
}

class KeyPages {
  readonly #source: KeySource;
  readonly #audit: AuditLog;

  constructor(source: KeySource, audit: AuditLog) {
    this.#source = source;
    this.#audit = audit;
  }

  async list(): Promise<Answer> {
    const keys = this.#source.list();
    if (keys === undefined) return plain;
    const { answers, of } = await this.#source.ask();
    const members = [...answers].map(([member, { isDone, message, keys: held }]) => {
      const ids = held.map((key) => this.#source.idOf(Buffer.from(key, 'base64')));
      return { member, keys: ids, ...(isDone ? {} : { fault: message }) };
    });
    return json(200, { keys, members, silent: of - answers.size });
  }

  async change(request: AdminRequest): Promise<Answer> {
    if (this.#source.list() === undefined) return plain;
    const given = this.#read(await request.body());
    if (typeof given === 'string') return json(400, { error: given });
    const { change, key, isForced } = given;
    const id = this.#source.idOf(key);
    const obstacle = isForced ? undefined : await this.#obstacle(change, id);
    if (obstacle !== undefined) return json(409, { error: explained(change, id, obstacle) });
    this.#audit(`admin: ${change} of gossip key ${id} asked for by ${request.by}`);
    const { answers, of } = await this.#source.change(change, key);
    const members = [...answers].map(([member, { isDone, message }]) => ({
      member,
      isDone,
      ...(isDone ? {} : { fault: message }),
    }));
    const silent = of - answers.size;
    const isDone = silent === 0 && members.every((member) => member.isDone);
    return json(200, { change, id, isDone, members, silent });
  }

  /** The request, or what is wrong with it. */
  #read(body: string): ChangeRequest | string {
    const { change, key, id, force } = fieldsOf(body);
    if (typeof change !== 'string' || !changes.includes(change)) {
      return 'change must be install, use or remove';
    }
    if (force !== undefined && typeof force !== 'boolean') return 'force must be true or false';
    const bytes = this.#keyOf(key, id);
    if (typeof bytes === 'string') return bytes;
    return { change: change as KeyChange, key: bytes, isForced: force === true };
  }

  #keyOf(key: unknown, id: unknown): Uint8Array | string {
    if (typeof id === 'string') {
      return this.#source.secretOf(id) ?? 'this peer has no gossip key of that id';
    }
    const bytes = typeof key === 'string' ? Buffer.from(key, 'base64') : undefined;
    if (bytes === undefined || ![16, 24, 32].includes(bytes.length)) {
      return 'key must be 16, 24 or 32 bytes as base64, or id name an installed key';
    }
    return bytes;
  }

  /** Who could not follow: whoever encrypts with a key that others lack is dead to them. */
  async #obstacle(change: KeyChange, id: string): Promise<Obstacle | undefined> {
    if (change === 'install') return undefined;
    const { answers, of } = await this.#source.ask();
    const members = [...answers].flatMap(([member, { keys }]) => {
      const ids = keys.map((key) => this.#source.idOf(Buffer.from(key, 'base64')));
      const isMet = change === 'use' ? ids.includes(id) : ids[0] !== id;
      return isMet ? [] : [member];
    });
    const silent = of - answers.size;
    return members.length === 0 && silent === 0 ? undefined : { members, silent };
  }
}

const plain: Answer = json(409, { error: 'gossip is not encrypted: gossip.keys is empty' });

function explained(change: KeyChange, id: string, { members, silent }: Obstacle): string {
  const state = change === 'use' ? 'have not installed' : 'still encrypt with';
  const named = members.length === 0 ? [] : [`these ${state} key ${id}: ${members.join(', ')}`];
  const unheard = silent === 0 ? [] : [`${silent} of the members did not say which keys they have`];
  return `${[...named, ...unheard].join('; ')}; nothing was done`;
}

function fieldsOf(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
