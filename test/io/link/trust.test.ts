import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { env } from 'node:process';
import type { LinkTlsFiles } from '../../../src/io/link/index.ts';
import { isLoopback } from '../../../src/io/link/trust.ts';
import { TestPeer, envelope, linked, stopAll } from './test-peer.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
const isRequired = env['SAILRING_REQUIRE_TOOLS'] === '1';
const skip = hasOpenssl || isRequired ? false : 'openssl is not installed';

/** Certificate authorities and certificates made for one run, in a directory that goes with it. */
class Certificates {
  readonly #directory = mkdtempSync(join(tmpdir(), 'sailring-link-'));

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }

  authority(name: string): void {
    this.#openssl(
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-subj', `/CN=${name}`, '-keyout', this.#path(`${name}.key`)],
      ...['-out', this.#path(`${name}.pem`)],
    );
  }

  issue(file: string, authority: string, peer: string): LinkTlsFiles {
    const extensions = this.#path(`${file}.cnf`);
    writeFileSync(extensions, `subjectAltName=DNS:${peer}\n`);
    const key = this.#path(`${file}.key`);
    this.#openssl(
      ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-subj', '/CN=peer', '-keyout', key, '-out', this.#path(`${file}.csr`)],
    );
    const ca = this.#path(`${authority}.pem`);
    const certificate = this.#path(`${file}.pem`);
    this.#openssl(
      ...['x509', '-req', '-in', this.#path(`${file}.csr`), '-CA', ca],
      ...['-CAkey', this.#path(`${authority}.key`), '-CAcreateserial', '-days', '1'],
      ...['-extfile', extensions, '-out', certificate],
    );
    return { certificate, key, ca };
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }

  #openssl(...parameters: string[]): void {
    execFileSync('openssl', parameters, { stdio: 'pipe' });
  }
}

describe('links with mutual TLS', { skip }, () => {
  let made: Certificates;
  let ofA: LinkTlsFiles;
  let ofB: LinkTlsFiles;
  let ofStranger: LinkTlsFiles;
  const started: TestPeer[] = [];

  before(() => {
    made = new Certificates();
    made.authority('ours');
    made.authority('theirs');
    ofA = made.issue('a', 'ours', 'a');
    ofB = made.issue('b', 'ours', 'b');
    ofStranger = made.issue('stranger', 'theirs', 'a');
  });
  after(() => {
    made.remove();
  });
  afterEach(async () => {
    await stopAll(...started.splice(0));
  });

  async function start(name: string, tls?: LinkTlsFiles): Promise<TestPeer> {
    const peer = new TestPeer(name, tls === undefined ? {} : { tls });
    started.push(peer);
    await peer.links.start();
    return peer;
  }

  it('join peers whose certificates name them', async () => {
    const a = new TestPeer('a', { tls: ofA });
    const b = new TestPeer('b', { tls: ofB });
    started.push(a, b);
    await linked(a, b);
    a.links.sendSipRequest('b', Buffer.from('secret'), envelope);
    await b.until(() => b.requests.length === 1);
  });

  it('refuse a peer with a certificate of another authority', async () => {
    const a = await start('a', { ...ofStranger, ca: ofA.ca });
    const b = await start('b', ofB);
    b.links.setPeers([a.member()]);
    a.links.setPeers([b.member()]);
    await Promise.all([a, b].map((peer) => peer.until(() => peer.downReasons.length > 0)));
    assert.deepEqual([a.ups, b.ups], [0, 0]);
  });

  it('refuse a peer without a certificate', async () => {
    const a = await start('a');
    const b = await start('b', ofB);
    b.links.setPeers([a.member()]);
    a.links.setPeers([b.member()]);
    await Promise.all([a, b].map((peer) => peer.until(() => peer.downReasons.length > 0)));
    assert.deepEqual([a.ups, b.ups], [0, 0]);
  });

  it('refuse a caller whose certificate names another peer', async () => {
    const a = await start('a', ofB);
    const b = await start('b', ofB);
    b.links.setPeers([a.member()]);
    a.links.setPeers([b.member()]);
    await a.until(() => a.downReasons.length > 0);
    assert.equal(a.downReasons[0], 'refused');
    assert.ok(b.counters.get('link_refusals', 'certificate') > 0);
    assert.deepEqual(a.ups, 0);
  });

  it('refuse to dial a peer whose certificate names another', async () => {
    const a = await start('a', ofA);
    const impostor = await start('b', ofA);
    impostor.links.setPeers([a.member()]);
    a.links.setPeers([impostor.member()]);
    await a.until(() => a.downReasons.length > 0);
    assert.equal(a.downReasons[0], 'unreachable');
    assert.equal(a.ups, 0);
    assert.equal(impostor.counters.get('link_batches', 'received'), 0);
  });

  it('take a new certificate without a restart', async () => {
    const rotating = made.issue('rotating', 'theirs', 'a');
    const limits = { certificateRefreshMs: 10, reconnectBackoffMaxMs: 20 };
    const a = new TestPeer('a', { tls: { ...rotating, ca: ofA.ca }, limits });
    const b = new TestPeer('b', { tls: ofB, limits });
    started.push(a, b);
    await Promise.all([a.links.start(), b.links.start()]);
    b.links.setPeers([a.member()]);
    a.links.setPeers([b.member()]);
    await Promise.all([a, b].map((peer) => peer.until(() => peer.downReasons.length > 0)));
    copyFileSync(ofA.certificate, rotating.certificate);
    copyFileSync(ofA.key, rotating.key);
    await a.untilUp(b);
    await b.untilUp(a);
  });

  it('do not start without their files', async () => {
    const peer = new TestPeer('a', { tls: { ...ofA, key: '/nonexistent' } });
    await assert.rejects(peer.links.start(), /ENOENT/);
  });
});

describe('plaintext links', () => {
  it('are refused off loopback unless named insecure', async () => {
    // An address for documentation, which no machine has: once allowed, the bind itself fails.
    const listen = { address: '192.0.2.1', port: 0 };
    await assert.rejects(new TestPeer('a', { listen }).links.start(), /need TLS/);
    const insecure = new TestPeer('a', { listen, insecure: true });
    await assert.rejects(insecure.links.start(), /No address added/);
  });

  const addresses: [string, boolean][] = [
    ['127.0.0.1', true],
    ['127.9.9.9', true],
    ['::1', true],
    ['localhost', true],
    ['0.0.0.0', false],
    ['::', false],
    ['10.0.0.1', false],
    ['::ffff:10.0.0.1', false],
    ['127.0.0.1.example.org', false],
  ];
  for (const [address, expected] of addresses) {
    it(`take ${address} for ${expected ? 'loopback' : 'reachable from elsewhere'}`, () => {
      assert.equal(isLoopback(address), expected);
    });
  }
});
