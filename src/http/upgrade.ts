import { isToken } from './characters.ts';
import type { BodyFraming } from './exchange.ts';

/** Both directions become byte streams once 101 is answered. */
export const tunnelBody: BodyFraming = { kind: 'tunnel' };

/**
 * Protocols that would take the place of HTTP itself on a connection: whoever spoke them through a
 * tunnel would pass by everything that a peer checks (request smuggling by h2c). A dash is that of a draft.
 */
const never = /^(?:h2c?|http|tls|ssl)(?:[/-]|$)/;

/**
 * The protocol that a request asks to go over to (RFC 9110 section 7.8); undefined where it asks for
 * none, for several or for one that is not tunnelled.
 *
 * @param upgrades values of Upgrade in order
 */
export function tunnelProtocol(upgrades: readonly string[]): string | undefined {
  const [only, ...others] = upgrades;
  if (only === undefined || others.length > 0) return undefined;
  const name = only.includes('/') ? only.slice(0, only.indexOf('/')) : only;
  return isToken(name) && !/[,\s]/.test(only) && !never.test(only.toLowerCase()) ? only : undefined;
}
