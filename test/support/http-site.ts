import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { makeCertificate, type CertificateFiles } from './certificate.ts';
import { freeTcpPort } from './free-port.ts';
import { sessionAt, startHttpApplication, startHttpPeer } from './http-cluster.ts';
import { ringOf, type PeerProcess } from './peers.ts';
import { findTool } from './tools.ts';

const host = '127.0.0.1';

/** What clients name in Host, so that requests look alike whichever way they come. */
export const siteName = 'app.example';

/** A peer with its listeners, each as `host:port`. */
export interface SitePeer {
  readonly process: PeerProcess;
  readonly listeners: SiteListeners;
}

export interface SiteListeners {
  readonly clear: string;
  readonly tls: string;
  /** For connections that begin with a PROXY header. */
  readonly clearProxied: string;
  readonly tlsProxied: string;
}

/** An instance of http-application.ts at one peer, another peer, and a session of that instance. */
export interface Site {
  /** `host:port` of the instance itself. */
  readonly application: string;
  readonly owner: SitePeer;
  /** Hands everything of the session over to the owner. */
  readonly other: SitePeer;
  /** The session's cookies, which bring a request to its instance. */
  readonly cookie: string;
  /** PEM file of the authority that clients believe; without openssl there is no TLS. */
  readonly authority: string | undefined;
  /** What was seen of it without peers, by a name and the version of HTTP that it is compared in. */
  readonly straight: Map<string, Promise<unknown>>;
}

export async function startSite(t: TestContext): Promise<Site> {
  const [one, two] = await Promise.all([
    startHttpApplication(t, 'app-1'),
    startHttpApplication(t, 'app-2'),
  ]);
  const tls = await certificate(t);
  const start = (name: string, port: number, others: PeerProcess[]): Promise<SitePeer> =>
    startSitePeer(t, { name, upstream: { host, port }, others, tls });
  const owner = await start('peer-1', one.port, []);
  const other = await start('peer-2', two.port, [owner.process]);
  await ringOf([owner.process.admin, other.process.admin], 2);
  const cookie = await sessionAt(owner.process, '/session');
  return {
    ...{ application: `${host}:${one.port}`, owner, other, cookie },
    authority: tls?.certificate,
    straight: new Map(),
  };
}

/** For the address that clients connect to, and for the name that undici reads in Host. */
async function certificate(t: TestContext): Promise<CertificateFiles | undefined> {
  if (findTool('openssl') === undefined) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'sailring-site-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return makeCertificate(folder, 'site', `IP:${host},DNS:${siteName}`);
}

interface SitePeerOptions {
  readonly name: string;
  readonly upstream: Readonly<Record<string, unknown>>;
  readonly others: readonly PeerProcess[];
  readonly tls: CertificateFiles | undefined;
}

async function startSitePeer(t: TestContext, options: SitePeerOptions): Promise<SitePeer> {
  const { name, upstream, others, tls } = options;
  const ports = { tls: await freeTcpPort(), clear: await freeTcpPort(), both: await freeTcpPort() };
  const proxyProtocol = [host];
  const secured = [
    { address: host, port: ports.tls, tls },
    { address: host, port: ports.both, tls, proxyProtocol },
  ];
  const process = await startHttpPeer(t, name, upstream, others, {
    http: {
      listeners: [
        { address: host, port: 0, http2: true },
        { address: host, port: ports.clear, proxyProtocol },
        ...(tls === undefined ? [] : secured),
      ],
      contextRoots: [{ path: '/', kind: 'web' }],
    },
  });
  const at = (port: number): string => `${host}:${port}`;
  const listeners = {
    clear: process.http,
    tls: at(ports.tls),
    clearProxied: at(ports.clear),
    tlsProxied: at(ports.both),
  };
  return { process, listeners };
}
