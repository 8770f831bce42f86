import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import type { ServerTlsConfig } from '../../../src/config/config.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
const isRequired = env['SAILRING_REQUIRE_TOOLS'] === '1';

/** Why tests with TLS cannot run; false: they can. */
export const withoutOpenssl: string | false =
  hasOpenssl || isRequired ? false : 'openssl is not installed';

export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

/** Authorities and certificates made for one run, in a directory that goes with it. */
export class Certificates {
  readonly #directory = mkdtempSync(join(tmpdir(), 'sailring-certificates-'));

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }

  /** Makes an authority. */
  authority(name: string): void {
    this.#openssl(
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-subj', `/CN=${name}`, '-keyout', this.path(`${name}.key`)],
      ...['-out', this.path(`${name}.pem`)],
    );
  }

  /** Certificate of an authority, as a client believes it. */
  ca(name: string): Buffer {
    return readFileSync(this.path(`${name}.pem`));
  }

  /** @param names of the SAN, as openssl writes them; none: the common name alone */
  issue(
    file: string,
    authority: string,
    names: string,
    { days = 1, commonName = file }: { days?: number; commonName?: string } = {},
  ): Pair {
    const extensions = this.path(`${file}.cnf`);
    writeFileSync(extensions, names === '' ? '' : `subjectAltName=${names}\n`);
    const key = this.path(`${file}.key`);
    const certificate = this.path(`${file}.pem`);
    this.#openssl(
      ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-subj', `/CN=${commonName}`, '-keyout', key, '-out', this.path(`${file}.csr`)],
    );
    this.#openssl(
      ...['x509', '-req', '-in', this.path(`${file}.csr`), '-CA', this.path(`${authority}.pem`)],
      ...['-CAkey', this.path(`${authority}.key`), '-CAcreateserial', '-days', String(days)],
      ...['-extfile', extensions, '-out', certificate],
    );
    return { certificate, key };
  }

  path(name: string): string {
    return join(this.#directory, name);
  }

  #openssl(...parameters: string[]): void {
    execFileSync('openssl', parameters, { stdio: 'pipe' });
  }
}

/** TLS files of a listener that asks for no client certificate. */
export function tlsOf(pair: Pair, more: Partial<ServerTlsConfig> = {}): ServerTlsConfig {
  return { ...pair, servers: [], clientCertificates: 'none', ...more };
}
