/**
 * Reads parameters of a target's query, decoded as HTML forms encode them; undefined where the first
 * one of that name is missing. Decodes nothing where nothing is encoded.
 */
export type QueryReader = (name: string) => string | undefined;

/** Undefined: the target has no query. @param target origin-form, ASCII */
export function queryReader(target: string): QueryReader | undefined {
  const question = target.indexOf('?');
  if (question < 0) return undefined;
  const from = question + 1;
  return isPlain(target, from) ? plainReader(target, from) : decodingReader(target, from);
}

/** Nothing in the query needs decoding. */
function isPlain(target: string, from: number): boolean {
  const isEncoded = target.includes('%', from) || target.includes('+', from);
  // A fragment never comes from the wire.
  return !isEncoded && !target.includes('#', from);
}

function plainReader(target: string, from: number): QueryReader {
  return (name) => {
    // What a name could be mistaken for, or would itself be encoded.
    if (!/^[\w.~-]+$/.test(name)) return decodingReader(target, from)(name);
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

function decodingReader(target: string, from: number): QueryReader {
  const fragment = target.indexOf('#', from);
  // With its question mark: one at the beginning is passed over.
  const query = target.slice(from - 1, fragment < 0 ? undefined : fragment);
  const parameters = new URLSearchParams(query);
  return (name) => parameters.get(name) ?? undefined;
}
