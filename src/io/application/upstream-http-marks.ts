import type { Envelope } from '../../pipeline/envelope.ts';

/**
 * Lines of headers that tell the application why it got the request; outsiders cannot write them.
 *
 * @returns each with its CRLF; none for a server that is no instance
 */
export function marksOf({ instance, keyDigest }: Envelope): string {
  if (instance === '') return '';
  const route = `proxy-beroute: ${instance}\r\n`;
  return keyDigest === '' ? route : `${route}proxy-bekey: ${keyDigest}\r\n`;
}
