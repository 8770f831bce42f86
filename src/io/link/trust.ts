import { readFile } from 'node:fs/promises';
import { BlockList, isIP } from 'node:net';
import type { PeerCertificate } from 'node:tls';
import { ChannelCredentials, ServerCredentials, experimental } from '@grpc/grpc-js';
import type { LinkTlsFiles } from './options.ts';

/** How links prove who they are. */
export interface Trust {
  server(): ServerCredentials;
  /** Credentials that accept only the named peer. */
  client(peer: string): ChannelCredentials;
  /** Whether the certificate that came with a call names the peer. */
  names(certificate: PeerCertificate | undefined, peer: string): boolean;
}

/** Plaintext: whoever reaches the port is believed. */
export const plaintextTrust: Trust = {
  server: () => ServerCredentials.createInsecure(),
  client: () => ChannelCredentials.createInsecure(),
  names: () => true,
};

/**
 * Mutual TLS with one CA for all peers. The files are read again every `refreshMs`; connections that
 * stand keep what they were made with, new ones use what is read. Rejects when a file cannot be read.
 */
export async function readTlsTrust(files: LinkTlsFiles, refreshMs: number): Promise<Trust> {
  await Promise.all([files.certificate, files.key, files.ca].map((path) => readFile(path)));
  const watched = new experimental.FileWatcherCertificateProvider({
    certificateFile: files.certificate,
    privateKeyFile: files.key,
    caCertificateFile: files.ca,
    refreshIntervalMs: refreshMs,
  });
  // A server whose files have not been read would drop the first connections.
  await new Promise<void>((resolve) => {
    const loaded = (): void => {
      watched.removeIdentityCertificateListener(loaded);
      resolve();
    };
    watched.addIdentityCertificateListener(loaded);
  });
  return {
    server: () => experimental.createCertificateProviderServerCredentials(watched, watched, true),
    client: (peer) =>
      experimental.createCertificateProviderChannelCredentials(watched, watched, {
        checkServerIdentity: (_host, presented) =>
          namesPeer(presented, peer) ? undefined : new Error(`certificate does not name ${peer}`),
      }),
    names: (presented, peer) => presented !== undefined && namesPeer(presented, peer),
  };
}

/**
 * A DNS name of the SAN equals the member name. No wildcards: a certificate is for one peer. Node
 * quotes names that hold separators, so a forged list does not split into a wanted name.
 */
function namesPeer(certificate: PeerCertificate, peer: string): boolean {
  const names = certificate.subjectaltname?.split(', ') ?? [];
  return names.includes(`DNS:${peer}`);
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** True for addresses that other hosts cannot reach. */
export function isLoopback(address: string): boolean {
  if (address === 'localhost') return true;
  const family = isIP(address);
  return family !== 0 && loopback.check(address, family === 6 ? 'ipv6' : 'ipv4');
}
