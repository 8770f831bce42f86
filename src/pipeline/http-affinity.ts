import { queryReader } from './query.ts';

/**
 * The key that a URL carries: the value of the first of these query parameters that is there and not
 * empty, decoded as HTML forms encode it and as the rules see it (`HttpSubject.parameter`). A SIP request
 * with the same string as its key goes to the same instance.
 *
 * @param target origin-form, ASCII
 * @param names case-sensitive, of unreserved characters (RFC 3986 section 2.3)
 */
export function affinityKeyOf(target: string, names: readonly string[]): string | undefined {
  const read = names.length === 0 ? undefined : queryReader(target);
  if (read === undefined) return undefined;
  for (const name of names) {
    const value = read(name);
    if (value !== undefined && value !== '') return value;
  }
  return undefined;
}
