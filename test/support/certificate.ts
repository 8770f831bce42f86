import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';

/** PEM files of a server certificate that signs itself. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/**
 * Makes one, with openssl.
 *
 * @param name its subject
 * @param names of its SAN, as openssl writes them
 */
export async function makeCertificate(
  folder: string,
  name: string,
  names = 'IP:127.0.0.1',
): Promise<CertificateFiles> {
  await mkdir(folder, { recursive: true });
  const files = { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
      ...['-days', '7', '-subj', `/CN=${name}`, '-addext', `subjectAltName=${names}`],
      ...['-out', files.certificate, '-keyout', files.key],
    ],
    { stdio: 'pipe' },
  );
  return files;
}

/** Puts one certificate in the place of another, as renewal programs do. */
export async function replaceCertificate(
  old: CertificateFiles,
  fresh: CertificateFiles,
): Promise<void> {
  await rename(fresh.key, old.key);
  await rename(fresh.certificate, old.certificate);
}

export async function fingerprintOf({ certificate }: CertificateFiles): Promise<string> {
  return new X509Certificate(await readFile(certificate)).fingerprint256;
}
