import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';

/**
 * Whether a certificate is for a SIP domain or address (RFC 5922 section 7): a SIP URI or a DNS name
 * of it, the common name where it has neither. Wildcards do not count, as section 7.2 has it.
 *
 * @returns why not; undefined: it is
 */
export function checkSipServer(
  serverName: string,
  certificate: PeerCertificate,
): Error | undefined {
  if (isIP(serverName) !== 0) return checkServerIdentity(serverName, certificate);
  const name = serverName.toLowerCase();
  // Node quotes names that hold separators, so a forged list does not split into a wanted name.
  const alternative = (certificate.subjectaltname ?? '')
    .split(', ')
    .filter((entry) => entry.startsWith('DNS:') || entry.startsWith('URI:sip:'))
    .map((entry) => entry.replace(/^DNS:|^URI:sip:/, ''));
  const names = alternative.length > 0 ? alternative : [certificate.subject.CN].flat();
  const isNamed = names.some((known) => known?.toLowerCase() === name);
  return isNamed ? undefined : new Error(`the certificate does not name ${serverName}`);
}
