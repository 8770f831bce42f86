import { randomBytes } from 'node:crypto';
import { extname, resolve } from 'node:path';
import type {
  ApplicationConfig,
  Config,
  DiscoveryConfig,
  GossipConfig,
  HttpConfig,
  LinkConfig,
  SipConfig,
  ServerTlsConfig,
  StampSecret,
} from './config.ts';
import { configLimits, gossipKeyBytes } from './defaults.ts';
import type { Fault, KeyPath } from './problem.ts';
import { repeats } from './repeats.ts';
import type { Settings } from './schema.ts';
import type { SecretSource } from './values.ts';

/** What a configuration may ask of the machine it is read on. */
export interface ConfigWorld {
  readonly hostname: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Content of a file, or undefined when it cannot be read. */
  readFile(path: string): Uint8Array | undefined;
}

const ruleFiles: readonly string[] = ['.xml', '.js', '.mjs', '.ts'];
const modules: readonly string[] = ['.js', '.mjs', '.ts'];

/** Reads secrets, resolves paths against `directory` and fills in what depends on the machine. */
export function resolveSettings(
  settings: Settings,
  directory: string,
  world: ConfigWorld,
): { config: Config; faults: readonly Fault[] } {
  const resolver = new Resolver(directory, world);
  const { name, gossip, stamps, admin, link, sip, http, rules, application, dataDir, ...rest } =
    settings;
  const { token, ...openAdmin } = admin;
  const { file, ...openRules } = rules;
  const config: Config = {
    ...rest,
    name: name ?? nameFromHost(world.hostname),
    gossip: resolver.gossip(gossip),
    link: resolver.link(link),
    sip: resolver.sip(sip),
    http: resolver.http(http),
    stamps: { ...stamps, keys: resolver.stampKeys(stamps.keys) },
    rules: { ...openRules, ...resolver.rules(file) },
    application: resolver.application(application),
    ...(dataDir === undefined ? {} : { dataDir: resolve(directory, dataDir) }),
    admin: { ...openAdmin, ...resolver.token(token) },
  };
  return { config, faults: resolver.faults };
}

/** The host's name made a peer's name: other characters become `-`; never empty. */
export function nameFromHost(hostname: string): string {
  const name = hostname.replaceAll(/[^A-Za-z0-9._-]+/gu, '-').slice(0, 64);
  return name === '' ? 'peer' : name;
}

class Resolver {
  readonly faults: Fault[] = [];
  readonly #directory: string;
  readonly #world: ConfigWorld;

  constructor(directory: string, world: ConfigWorld) {
    this.#directory = directory;
    this.#world = world;
  }

  stampKeys(keys: Settings['stamps']['keys']): StampSecret[] {
    // A peer of its own needs no agreement, only a secret that nobody knows.
    if (keys.length === 0) return [{ id: 'random', secret: randomBytes(32) }];
    return keys.map(({ id, secret }, at) => {
      const path = ['stamps', 'keys', at, 'secret'];
      const bytes = this.#secret(path, secret);
      if (bytes !== undefined && bytes.length < configLimits.stampSecretBytesMin)
        this.#fault(
          path,
          `the secret of stamp key "${id}" has fewer than ${configLimits.stampSecretBytesMin} bytes`,
          'make one, for example with: openssl rand -base64 32',
        );
      return { id, secret: bytes ?? new Uint8Array() };
    });
  }

  token(source: SecretSource | undefined): { token?: string } {
    if (source === undefined) return {};
    const path = ['admin', 'token'];
    const bytes = this.#secret(path, source);
    if (bytes === undefined) return {};
    const token = Buffer.from(bytes).toString('utf8');
    if (!/^[\x21-\x7e]+$/u.test(token) || token.length < configLimits.adminTokenCharactersMin)
      this.#fault(
        path,
        `the admin token is no line of at least ${configLimits.adminTokenCharactersMin} printable ASCII characters without spaces`,
        'make one, for example with: openssl rand -hex 32',
      );
    return { token };
  }

  gossip({ discovery, keys, ...gossip }: Settings['gossip']): GossipConfig {
    return { ...gossip, discovery: this.#discovery(discovery), keys: this.#gossipKeys(keys) };
  }

  #gossipKeys(sources: readonly SecretSource[]): Uint8Array[] {
    const keys = sources.map((source, at) => {
      const path = ['gossip', 'keys', at];
      const text = this.#secret(path, source);
      if (text === undefined) return new Uint8Array();
      const key = fromBase64(Buffer.from(text).toString('latin1').trim());
      if (key === undefined || !gossipKeyBytes.includes(key.length))
        this.#fault(
          path,
          `gossip key ${at + 1} is not 16, 24 or 32 bytes as base64`,
          'make one, for example with: openssl rand -base64 32',
        );
      return key ?? new Uint8Array();
    });
    const texts = keys.map((key) => Buffer.from(key).toString('base64'));
    for (const at of repeats(texts.map((text, at) => (text === '' ? String(at) : text))))
      this.#fault(
        ['gossip', 'keys', at],
        `gossip key ${at + 1} is there twice`,
        'leave one of them out',
      );
    return keys;
  }

  link(link: LinkConfig): LinkConfig {
    if (link.tls === undefined) return link;
    const { certificate, key, ca } = link.tls;
    const path = ['link', 'tls'];
    return {
      ...link,
      tls: {
        certificate: this.#file([...path, 'certificate'], certificate),
        key: this.#file([...path, 'key'], key),
        ca: this.#file([...path, 'ca'], ca),
      },
    };
  }

  sip(sip: SipConfig): SipConfig {
    const { serverCa, ...connections } = sip.connections;
    const path: KeyPath = ['sip', 'connections', 'serverCa'];
    return {
      ...sip,
      listeners: sip.listeners.map((listener, at) =>
        listener.tls === undefined
          ? listener
          : { ...listener, tls: this.#serverTls(['sip', 'listeners', at, 'tls'], listener.tls) },
      ),
      connections: {
        ...connections,
        ...(serverCa === undefined ? {} : { serverCa: this.#file(path, serverCa) }),
      },
    };
  }

  http(http: HttpConfig): HttpConfig {
    return {
      ...http,
      listeners: http.listeners.map((listener, at) =>
        listener.tls === undefined
          ? listener
          : { ...listener, tls: this.#serverTls(['http', 'listeners', at, 'tls'], listener.tls) },
      ),
    };
  }

  #serverTls(path: KeyPath, { clientCa, ...tls }: ServerTlsConfig): ServerTlsConfig {
    return {
      ...tls,
      certificate: this.#file([...path, 'certificate'], tls.certificate),
      key: this.#file([...path, 'key'], tls.key),
      servers: tls.servers.map(({ name, certificate, key }, at) => ({
        name,
        certificate: this.#file([...path, 'servers', at, 'certificate'], certificate),
        key: this.#file([...path, 'servers', at, 'key'], key),
      })),
      ...(clientCa === undefined ? {} : { clientCa: this.#file([...path, 'clientCa'], clientCa) }),
    };
  }

  rules(file: string | undefined): { file?: string } {
    if (file === undefined) return {};
    return { file: this.#module(['rules', 'file'], file, ruleFiles) };
  }

  application(application: ApplicationConfig): ApplicationConfig {
    if (application.kind === 'upstream' || application.module === 'demo') return application;
    const module = this.#module(['application', 'module'], application.module, modules);
    return { kind: 'embedded', module };
  }

  #discovery({ etcd: given, ...discovery }: Settings['gossip']['discovery']): DiscoveryConfig {
    if (given === undefined) return discovery;
    const path: KeyPath = ['gossip', 'discovery', 'etcd'];
    const { password, tls, ...etcd } = given;
    const bytes = password && this.#secret([...path, 'password'], password);
    const files = Object.entries(tls ?? {}).map(([name, file]: [string, string]) => [
      name,
      this.#file([...path, 'tls', name], file),
    ]);
    return {
      ...discovery,
      etcd: {
        ...etcd,
        ...(bytes === undefined ? {} : { password: Buffer.from(bytes).toString('utf8') }),
        ...(tls === undefined ? {} : { tls: Object.fromEntries(files) as typeof tls }),
      },
    };
  }

  #secret(path: KeyPath, source: SecretSource): Uint8Array | undefined {
    if (typeof source === 'string') return Buffer.from(source, 'utf8');
    if ('env' in source) {
      const value = this.#world.env[source.env];
      if (value !== undefined) return Buffer.from(value, 'utf8');
      const message = `the environment variable ${source.env} is not set`;
      this.#fault([...path, 'env'], message, 'set it before the peer starts');
      return undefined;
    }
    const content = this.#read([...path, 'file'], source.file);
    if (content === undefined) return undefined;
    if (content.length > configLimits.secretFileBytesMax) {
      const message = `${source.file} is larger than ${configLimits.secretFileBytesMax} bytes`;
      this.#fault([...path, 'file'], message, 'write a file that holds the secret alone');
      return undefined;
    }
    return withoutLineEnd(content);
  }

  #file(path: KeyPath, file: string): string {
    this.#read(path, file);
    return resolve(this.#directory, file);
  }

  #read(path: KeyPath, file: string): Uint8Array | undefined {
    const absolute = resolve(this.#directory, file);
    const content = this.#world.readFile(absolute);
    if (content === undefined)
      this.#fault(
        path,
        `cannot read ${absolute}`,
        'correct the path, which counts from the folder of this file, or its permissions',
      );
    return content;
  }

  /** A file of one of these kinds; what is none, is not looked for. */
  #module(path: KeyPath, file: string, known: readonly string[]): string {
    if (known.includes(extname(file))) return this.#file(path, file);
    this.#fault(
      path,
      `${file} has an unknown extension`,
      `name a file that ends in ${known.join(', ')}`,
    );
    return file;
  }

  #fault(path: KeyPath, message: string, remedy: string): void {
    this.faults.push({ path, at: 'value', message, remedy });
  }
}

/** Bytes of strict base64, with or without its padding. */
function fromBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  const bare = text.replace(/={1,2}$/u, '');
  return bytes.toString('base64').replace(/=+$/u, '') === bare ? bytes : undefined;
}

function withoutLineEnd(content: Uint8Array): Uint8Array {
  let end = content.length;
  if (content[end - 1] === 0x0a) end--;
  if (content[end - 1] === 0x0d) end--;
  return content.subarray(0, end);
}
