/**
 * The key that a URL carries: the value of the first of these query parameters that is there and not
 * empty, decoded as HTML forms encode it and as the rules see it (`HttpSubject.parameter`). A SIP request
 * with the same string as its key goes to the same instance.
 *
 * @param target origin-form, ASCII
 * @param names case-sensitive, of unreserved characters (RFC 3986 section 2.3)
 */
export function affinityKeyOf(target: string, names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  const question = target.indexOf('?');
  if (question < 0) return undefined;
  const from = question + 1;
  const read = isPlain(target, from) ? plainReader(target, from) : decodingReader(target, from);
  for (const name of names) {
    const value = read(name);
    if (value !== undefined && value !== '') return value;
  }
  return undefined;
}

type Reader = (name: string) => string | undefined;

/** Nothing in the query needs decoding. */
function isPlain(target: string, from: number): boolean {
  const isEncoded = target.includes('%', from) || target.includes('+', from);
  // URLSearchParams passes over a second question mark; a fragment never comes from the wire.
  return !isEncoded && target.charCodeAt(from) !== 0x3f && !target.includes('#', from);
}

function plainReader(target: string, from: number): Reader {
  return (name) => {
    let at = target.indexOf(name, from);
    while (at >= 0) {
      const end = at + name.length;
      const next = target.charCodeAt(end);
      const isWhole = at === from || target.charCodeAt(at - 1) === 0x26;
      if (isWhole && next === 0x3d) {
        const ampersand = target.indexOf('&', end);
        return target.slice(end + 1, ampersand < 0 ? target.length : ampersand);
      }
      // The name without a value: an empty one, and the first counts.
      if (isWhole && (next === 0x26 || end === target.length)) return '';
      at = target.indexOf(name, at + 1);
    }
    return undefined;
  };
}

function decodingReader(target: string, from: number): Reader {
  const fragment = target.indexOf('#', from);
  const parameters = new URLSearchParams(target.slice(from, fragment < 0 ? undefined : fragment));
  return (name) => parameters.get(name) ?? undefined;
}
