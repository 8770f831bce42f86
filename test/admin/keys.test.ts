import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keyPages, type AdminRequest, type KeySource } from '../../src/admin/index.ts';
import { changeKeys, keyId, Keyring, type KeyOperation } from '../../src/gossip/index.ts';

const old = new Uint8Array(32).fill(1);
const fresh = new Uint8Array(16).fill(2);
const freshText = Buffer.from(fresh).toString('base64');

/** Members with a keyring each; the first is the one that is asked. */
class Members implements KeySource {
  readonly rings = new Map<string, Keyring | undefined>();
  /** Further members that live and say nothing. */
  silent = 0;

  constructor(...names: readonly string[]) {
    for (const name of names) this.rings.set(name, new Keyring([old]));
  }

  get own(): Keyring | undefined {
    return [...this.rings.values()][0];
  }

  list(): ReturnType<KeySource['list']> {
    return this.own?.list();
  }

  secretOf(id: string): Uint8Array | undefined {
    return this.own?.secretOf(id);
  }

  idOf(key: Uint8Array): string {
    return keyId(key);
  }

  ask(): ReturnType<KeySource['ask']> {
    return this.#all({ kind: 'list' });
  }

  change(kind: 'install' | 'use' | 'remove', key: Uint8Array): ReturnType<KeySource['ask']> {
    return this.#all({ kind, key });
  }

  async #all(operation: KeyOperation): ReturnType<KeySource['ask']> {
    const answers = [...this.rings].map(
      ([name, ring]) => [name, changeKeys(ring, operation)] as const,
    );
    return Promise.resolve({ answers: new Map(answers), of: answers.length + this.silent });
  }
}

interface Asked {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function ask(source: KeySource, body?: unknown, audit: string[] = []): Promise<Asked> {
  const method = body === undefined ? 'GET' : 'POST';
  const page = keyPages(source, (line) => audit.push(line)).find((one) => one.method === method)!;
  const request: AdminRequest = {
    query: new Map(),
    rest: '',
    by: '127.0.0.1',
    body: () => Promise.resolve(typeof body === 'string' ? body : JSON.stringify(body)),
  };
  const answer = await page.serve(request);
  return { status: answer.status, body: JSON.parse(answer.body) as Record<string, unknown> };
}

describe('the page of gossip keys', () => {
  it('shows who has which keys by their ids, never a key', async () => {
    const members = new Members('a', 'b');
    members.rings.get('b')!.install(fresh);
    members.silent = 1;
    const { status, body } = await ask(members);
    assert.equal(status, 200);
    assert.deepEqual(body, {
      keys: [{ id: keyId(old), bits: 256, isPrimary: true }],
      members: [
        { member: 'a', keys: [keyId(old)] },
        { member: 'b', keys: [keyId(old), keyId(fresh)] },
      ],
      silent: 1,
    });
    assert.doesNotMatch(JSON.stringify(body), new RegExp(freshText.slice(0, 10), 'u'));
  });

  it('changes the key of all: install, use, remove', async () => {
    const members = new Members('a', 'b', 'c');
    const audit: string[] = [];
    const steps = [
      { change: 'install', key: freshText },
      { change: 'use', id: keyId(fresh) },
      { change: 'remove', id: keyId(old) },
    ];
    for (const step of steps) {
      const { status, body } = await ask(members, step, audit);
      assert.equal(status, 200);
      assert.equal(body['isDone'], true);
      assert.deepEqual(
        body['members'],
        ['a', 'b', 'c'].map((member) => ({ member, isDone: true })),
      );
    }
    for (const ring of members.rings.values()) {
      assert.deepEqual(
        ring!.list().map(({ id }) => id),
        [keyId(fresh)],
      );
    }
    assert.deepEqual(audit, [
      `admin: install of gossip key ${keyId(fresh)} asked for by 127.0.0.1`,
      `admin: use of gossip key ${keyId(fresh)} asked for by 127.0.0.1`,
      `admin: remove of gossip key ${keyId(old)} asked for by 127.0.0.1`,
    ]);
  });

  it('uses no key that a member lacks, unless told to', async () => {
    const members = new Members('a', 'b', 'c');
    members.own!.install(fresh);
    members.rings.get('c')!.install(fresh);
    const request = { change: 'use', id: keyId(fresh) };
    const { status, body } = await ask(members, request);
    assert.equal(status, 409);
    assert.equal(
      body['error'],
      `these have not installed key ${keyId(fresh)}: b; nothing was done`,
    );
    assert.equal(members.own!.list()[0]!.id, keyId(old));
    const forced = await ask(members, { ...request, force: true });
    assert.deepEqual([forced.status, forced.body['isDone']], [200, false]);
    assert.deepEqual((forced.body['members'] as unknown[])[1], {
      member: 'b',
      isDone: false,
      fault: 'the key is not installed',
    });
    assert.equal(members.own!.list()[0]!.id, keyId(fresh));
  });

  it('removes no key that a member encrypts with', async () => {
    const members = new Members('a', 'b');
    for (const ring of members.rings.values()) ring!.install(fresh);
    members.own!.use(fresh);
    const { status, body } = await ask(members, { change: 'remove', id: keyId(old) });
    assert.equal(status, 409);
    assert.match(String(body['error']), /^these still encrypt with key \w{8}: b; nothing/u);
    assert.equal(members.own!.list().length, 2);
  });

  it('changes nothing while a member is silent', async () => {
    const members = new Members('a');
    members.own!.install(fresh);
    members.silent = 2;
    const { status, body } = await ask(members, { change: 'use', id: keyId(fresh) });
    assert.equal(status, 409);
    assert.match(String(body['error']), /^2 of the members did not say/u);
    const installed = await ask(members, { change: 'install', key: freshText });
    assert.deepEqual([installed.body['isDone'], installed.body['silent']], [false, 2]);
  });

  it('says that gossip is plain where it is', async () => {
    const members = new Members();
    for (const body of [undefined, { change: 'install', key: freshText }]) {
      const answer = await ask(members, body);
      assert.equal(answer.status, 409);
      assert.match(String(answer.body['error']), /gossip is not encrypted/u);
    }
  });

  const faults: readonly (readonly [string, unknown, RegExp])[] = [
    ['no JSON', '{', /^change must be/u],
    ['a list', '[]', /^change must be/u],
    ['null', 'null', /^change must be/u],
    ['an unknown change', { change: 'forget' }, /^change must be/u],
    ['no key', { change: 'install' }, /^key must be/u],
    ['a key of another size', { change: 'install', key: 'AAAA' }, /^key must be/u],
    ['an id that nobody knows', { change: 'use', id: '00000000' }, /no gossip key of that id/u],
    ['a force that is none', { change: 'use', id: keyId(old), force: 1 }, /^force must be/u],
  ];
  for (const [title, body, message] of faults) {
    it(`refuses ${title}`, async () => {
      const answer = await ask(new Members('a'), body);
      assert.equal(answer.status, 400);
      assert.match(String(answer.body['error']), message);
    });
  }
});
