import { readFile, stat } from 'node:fs/promises';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { ServerTlsConfig } from '../../config/config.ts';

/** What TLS handshakes need, as the files had it at one time. */
interface Loaded {
  readonly signature: string;
  readonly server: SecureContextOptions;
  /** By lower-case server name. */
  readonly named: ReadonlyMap<string, SecureContext>;
  readonly dialling: SecureContext;
}

const minVersion = 'TLSv1.2';

/** Certificates and authorities of one listener, read from files that may be replaced at any time. */
export class TlsCredentials {
  readonly #files: ServerTlsConfig;
  readonly #serverCa: string | undefined;
  #loaded: Loaded | undefined;

  /** @param serverCa authorities of the servers that are dialled; without it those of Node */
  constructor(files: ServerTlsConfig, serverCa: string | undefined) {
    this.#files = files;
    this.#serverCa = serverCa;
  }

  /** For clients that ask for no name or one that has no certificate of its own. */
  get server(): SecureContextOptions {
    return this.#current.server;
  }

  /** For connections that we dial: our certificate, and the authorities that we believe. */
  get dialling(): SecureContext {
    return this.#current.dialling;
  }

  /** The certificate for a server name; a name that begins with `*.` stands for one label. */
  named(serverName: string): SecureContext | undefined {
    const { named } = this.#current;
    const name = serverName.toLowerCase();
    return named.get(name) ?? named.get(`*${name.slice(name.indexOf('.'))}`);
  }

  /**
   * Reads the files if they changed. Rejects when one cannot be read or they do not fit together;
   * what was loaded before stays then.
   *
   * @returns whether there is something new
   */
  async refresh(): Promise<boolean> {
    const signature = await this.#signature();
    if (signature === this.#loaded?.signature) return false;
    this.#loaded = await this.#load(signature);
    return true;
  }

  get #current(): Loaded {
    if (this.#loaded === undefined) throw new Error('TLS files have not been read');
    return this.#loaded;
  }

  async #signature(): Promise<string> {
    const { certificate, key, servers, clientCa } = this.#files;
    const paths = [
      certificate,
      key,
      ...servers.flatMap((server) => [server.certificate, server.key]),
      clientCa,
      this.#serverCa,
    ].filter((path) => path !== undefined);
    const seen = await Promise.all(paths.map((path) => stat(path)));
    return seen.map(({ mtimeMs, size, ino }) => `${mtimeMs} ${size} ${ino}`).join('\n');
  }

  async #load(signature: string): Promise<Loaded> {
    const { certificate, key, servers, clientCa } = this.#files;
    const pair = {
      cert: await readFile(certificate),
      key: await readFile(key),
      minVersion,
    } as const;
    const trust = clientCa === undefined ? {} : { ca: await readFile(clientCa) };
    const server = { ...pair, ...trust };
    // Faults must show here: the TLS server would already have given up what it had.
    createSecureContext(server);
    const named = new Map<string, SecureContext>();
    for (const { name, ...own } of servers) {
      const cert = await readFile(own.certificate);
      const context = createSecureContext({
        ...trust,
        minVersion,
        cert,
        key: await readFile(own.key),
      });
      named.set(name.toLowerCase(), context);
    }
    const ca = this.#serverCa === undefined ? {} : { ca: await readFile(this.#serverCa) };
    return { signature, server, named, dialling: createSecureContext({ ...pair, ...ca }) };
  }
}
