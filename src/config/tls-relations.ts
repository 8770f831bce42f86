import type { ServerTlsConfig } from './config.ts';
import type { Fault, KeyPath } from './problem.ts';
import { valueFault } from './problem.ts';
import { repeats } from './repeats.ts';

/** What contradicts below the `tls` of a listener. @param path of that key */
export function serverTlsFaults(tls: ServerTlsConfig, path: KeyPath): Fault[] {
  const faults = repeats(tls.servers.map(({ name }) => name.toLowerCase())).map((at) =>
    valueFault(
      [...path, 'servers', at, 'name'],
      `a second certificate is for the server name ${tls.servers[at]!.name}`,
      'leave one of them out',
    ),
  );
  if (tls.clientCertificates !== 'none' && tls.clientCa === undefined)
    faults.push(
      valueFault(
        [...path, 'clientCertificates'],
        'client certificates cannot be checked without their authority',
        'add tls.clientCa: path, or set clientCertificates: none',
      ),
    );
  return faults;
}
