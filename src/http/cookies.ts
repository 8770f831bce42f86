/**
 * Values of the cookies of one name, in order, at most `limit`. Tolerant: what is not a pair is
 * passed over, blanks and a pair of double quotes around a value are removed.
 *
 * @param lines values of Cookie headers
 */
export function cookieValues(
  lines: readonly string[],
  name: string,
  limit: number,
): readonly string[] {
  const values: string[] = [];
  for (const line of lines) addValues(line, name, limit, values);
  return values;
}

function addValues(line: string, name: string, limit: number, values: string[]): void {
  let at = line.indexOf(name);
  while (at >= 0 && values.length < limit) {
    const equals = at + name.length;
    if (line[equals] === '=' && isPairStart(line, at)) {
      const semicolon = line.indexOf(';', equals);
      const value = line.slice(equals + 1, semicolon < 0 ? line.length : semicolon).trim();
      values.push(isQuoted(value) ? value.slice(1, -1) : value);
    }
    at = line.indexOf(name, equals);
  }
}

/** Only blanks stand between the pair and the line's begin or the semicolon before it. */
function isPairStart(line: string, at: number): boolean {
  let before = at - 1;
  while (before >= 0 && (line[before] === ' ' || line[before] === '\t')) before--;
  return before < 0 || line[before] === ';';
}

function isQuoted(value: string): boolean {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"');
}

/** Name and value of a Set-Cookie header (RFC 6265 section 5.2); undefined when it is none. */
export function parseSetCookie(value: string): readonly [name: string, value: string] | undefined {
  const semicolon = value.indexOf(';');
  const pair = semicolon < 0 ? value : value.slice(0, semicolon);
  const equals = pair.indexOf('=');
  if (equals < 1) return undefined;
  return [pair.slice(0, equals).trim(), pair.slice(equals + 1).trim()];
}
