import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { CertificateFiles } from './certificate.ts';
import { freeTcpPort } from './free-port.ts';
import { findTool } from './tools.ts';

const address = '127.0.0.1';

export interface EtcdTls {
  readonly server: CertificateFiles;
  /** Of clients, and of etcd's gateway, which is a client of etcd itself. */
  readonly clientCa: string;
  /** The test's own. */
  readonly client: CertificateFiles;
}

interface Entry {
  readonly key: string;
  readonly value: string;
  readonly lease: string;
}

/** A real etcd with one member on loopback, spoken to by its JSON gateway. */
export class Etcd {
  readonly endpoint: string;
  /** Sent with each request of the test. */
  token = '';
  readonly #folder: string;
  readonly #peerPort: number;
  readonly #tls: EtcdTls | undefined;
  #child: ChildProcess | undefined;

  private constructor(folder: string, port: number, peerPort: number, tls: EtcdTls | undefined) {
    this.#folder = folder;
    this.#peerPort = peerPort;
    this.#tls = tls;
    this.endpoint = `${tls === undefined ? 'http' : 'https'}://${address}:${port}`;
  }

  /** One that does not run yet. */
  static async create(t: TestContext, tls?: EtcdTls): Promise<Etcd> {
    const folder = await mkdtemp(join(tmpdir(), 'sailring-etcd-'));
    const etcd = new Etcd(folder, await freeTcpPort(), await freeTcpPort(), tls);
    t.after(async () => {
      await etcd.kill();
      await rm(folder, { recursive: true, force: true });
    });
    return etcd;
  }

  static async start(t: TestContext, tls?: EtcdTls): Promise<Etcd> {
    const etcd = await Etcd.create(t, tls);
    await etcd.start();
    return etcd;
  }

  /** Starts it on what it had stored, and waits until it answers. */
  async start(): Promise<void> {
    const peer = `http://${address}:${this.#peerPort}`;
    const { server, clientCa } = this.#tls ?? {};
    this.#child = spawn(
      findTool('etcd') ?? 'etcd',
      [
        ...['--name', 'one', '--data-dir', this.#folder, '--log-level', 'fatal'],
        ...['--listen-client-urls', this.endpoint, '--advertise-client-urls', this.endpoint],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
        ...['--initial-cluster', `one=${peer}`],
        // It elects itself after this time.
        ...['--heartbeat-interval', '10', '--election-timeout', '100'],
        ...(server === undefined
          ? []
          : ['--cert-file', server.certificate, '--key-file', server.key]),
        ...(clientCa === undefined ? [] : ['--client-cert-auth', '--trusted-ca-file', clientCa]),
      ],
      { stdio: 'ignore' },
    );
    // A read that goes through the cluster's agreement; without a login it is refused where one is due.
    for (;;) {
      const answer = await this.#ask('/v3/kv/range', { key: 'AA==' });
      if (answer !== undefined && answer.status < 500) return;
    }
  }

  /** Ends it at once, as kill -9 does. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  /** Forgets all that it stored; it must not run. */
  async wipe(): Promise<void> {
    await rm(join(this.#folder, 'member'), { recursive: true, force: true });
  }

  /** Holds it, so that it takes connections and answers nothing. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** What one call of the gateway answers; throws when it is refused. */
  async call(path: string, body: object): Promise<Record<string, unknown>> {
    const answer = await this.#ask(path, body);
    if (answer?.status !== 200) throw new Error(`etcd ${path}: ${answer?.text ?? 'no answer'}`);
    return JSON.parse(answer.text) as Record<string, unknown>;
  }

  async entries(prefix: string): Promise<readonly Entry[]> {
    const end = prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
    const answer = await this.call('/v3/kv/range', { key: base64(prefix), range_end: base64(end) });
    const kvs = (answer['kvs'] ?? []) as readonly Partial<Entry>[];
    return kvs.map(({ key = '', value = '', lease = '0' }) => ({
      key: Buffer.from(key, 'base64').toString(),
      value: Buffer.from(value, 'base64').toString(),
      lease,
    }));
  }

  /** Waits until an entry below the prefix is as it should be. */
  async until(prefix: string, holds: (entries: readonly Entry[]) => boolean): Promise<void> {
    while (!holds(await this.entries(prefix)));
  }

  async put(key: string, value: string): Promise<void> {
    await this.call('/v3/kv/put', { key: base64(key), value: base64(value) });
  }

  async remove(prefix: string): Promise<void> {
    for (const { key } of await this.entries(prefix)) {
      await this.call('/v3/kv/deleterange', { key: base64(key) });
    }
  }

  /** Ends a lease, as running out does. */
  async revoke(lease: string): Promise<void> {
    await this.call('/v3/lease/revoke', { ID: lease });
  }

  /** Turns logins on: `root` of the test, and a user that may use one prefix. */
  async enableLogin(user: string, password: string, prefix: string): Promise<void> {
    const end = prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
    const perm = { permType: 'READWRITE', key: base64(prefix), range_end: base64(end) };
    await this.call('/v3/auth/user/add', { name: 'root', password: 'root' });
    await this.call('/v3/auth/role/add', { name: 'root' });
    await this.call('/v3/auth/user/grant', { user: 'root', role: 'root' });
    await this.call('/v3/auth/user/add', { name: user, password });
    await this.call('/v3/auth/role/add', { name: 'member' });
    await this.call('/v3/auth/role/grant', { name: 'member', perm });
    await this.call('/v3/auth/user/grant', { user, role: 'member' });
    await this.call('/v3/auth/enable', {});
    await this.login();
  }

  /** The test's own login; needed again after a restart. */
  async login(): Promise<void> {
    this.token = '';
    const root = { name: 'root', password: 'root' };
    const { token } = await this.call('/v3/auth/authenticate', root);
    this.token = String(token);
  }

  /** Undefined while it is not there. */
  #ask(path: string, body: object): Promise<{ status: number; text: string } | undefined> {
    const send = this.#tls === undefined ? requestHttp : requestHttps;
    const { client, server } = this.#tls ?? {};
    return new Promise((resolve) => {
      const request = send(
        `${this.endpoint}${path}`,
        {
          method: 'POST',
          agent: false,
          ...(this.token === '' ? {} : { headers: { authorization: this.token } }),
          ...(client === undefined || server === undefined
            ? {}
            : {
                cert: readFileSync(client.certificate),
                key: readFileSync(client.key),
                ca: readFileSync(server.certificate),
              }),
        },
        (response) => {
          let text = '';
          response.on('data', (piece: Buffer) => (text += piece.toString()));
          response.on('end', () => {
            resolve({ status: response.statusCode ?? 0, text });
          });
        },
      );
      request.on('error', () => {
        resolve(undefined);
      });
      request.end(JSON.stringify(body));
    });
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
