/** Which bytes may stand where (RFC 9110 section 5.6.2, RFC 9112 section 3.2, RFC 3986). */
const tokenBit = 1;
const valueBit = 2;
const targetBit = 4;
const hostBit = 8;
const visibleBit = 16;
const addressBit = 32;
const digitBit = 64;

const classes = new Uint8Array(256);

function mark(bit: number, text: string): void {
  for (const character of text) {
    const code = character.charCodeAt(0);
    classes[code] = classes[code]! | bit;
  }
}

const alphanumeric = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
mark(tokenBit, `${alphanumeric}!#$%&'*+-.^_\`|~`);
// No userinfo, no comma: an authority that two readers could split differently is refused.
mark(hostBit, `${alphanumeric}-._~%!$&'()*+;=`);
mark(addressBit, '0123456789abcdefABCDEF:.');
mark(digitBit, '0123456789');
for (let code = 0; code < 256; code++) {
  const isControl = (code < 0x20 && code !== 0x09) || code === 0x7f;
  if (!isControl) classes[code] = classes[code]! | valueBit;
  if (!isControl && code < 0x7f) classes[code] = classes[code]! | visibleBit;
  // A fragment never goes on the wire.
  if (code > 0x20 && code < 0x7f && code !== 0x23) classes[code] = classes[code]! | targetBit;
}

/** Letters of a method or a header name. */
export function isTokenByte(byte: number): boolean {
  return (classes[byte]! & tokenBit) !== 0;
}

/** Everything that may stand in a header value: no control character but the tab. */
export function isValueByte(byte: number): boolean {
  return (classes[byte]! & valueBit) !== 0;
}

/** The same of a character's code; none for NaN and what is no byte. */
export function isTokenCode(code: number): boolean {
  return code < 256 && (classes[code]! & tokenBit) !== 0;
}

/** The same of a character's code; none for NaN and what is no byte. */
export function isValueCode(code: number): boolean {
  return code < 256 && (classes[code]! & valueBit) !== 0;
}

/** Visible ASCII without `#`, by code. */
export function isTargetCode(code: number): boolean {
  return code < 256 && (classes[code]! & targetBit) !== 0;
}

/** Visible ASCII without `#`. */
export function isTargetByte(byte: number): boolean {
  return (classes[byte]! & targetBit) !== 0;
}

/** ASCII without control characters, blanks included: chunk extensions. */
export function isVisibleByte(byte: number): boolean {
  return (classes[byte]! & visibleBit) !== 0;
}

/**
 * Whether the text may be the value of Host: `host[:port]` or empty (RFC 9112 section 3.2). One
 * colon, brackets around an IPv6 address alone: nobody can find another host in it.
 */
export function isAuthority(text: string): boolean {
  if (text === '') return true;
  const hostEnd = text.charCodeAt(0) === 0x5b ? addressEnd(text) : runOf(hostBit, text, 0);
  if (hostEnd <= 0) return false;
  if (hostEnd === text.length) return true;
  return text.charCodeAt(hostEnd) === 0x3a && runOf(digitBit, text, hostEnd + 1) === text.length;
}

/** Offset behind the bracket that closes an address, or -1. */
function addressEnd(text: string): number {
  const end = runOf(addressBit, text, 1);
  return end > 1 && text.charCodeAt(end) === 0x5d ? end + 1 : -1;
}

/** Offset behind the characters of one class. */
function runOf(bit: number, text: string, from: number): number {
  let at = from;
  while (at < text.length && (classes[text.charCodeAt(at)]! & bit) !== 0) at++;
  return at;
}

/** Whether the text may be written as a header name or a method. */
export function isToken(text: string): boolean {
  if (text.length === 0) return false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 0xff || (classes[code]! & tokenBit) === 0) return false;
  }
  return true;
}

/**
 * Whether the text may be written as a header value or a reason phrase. Characters above U+00FF are
 * refused: cut down to one byte they could become a line feed.
 */
export function isHeaderValue(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 0xff || (classes[code]! & valueBit) === 0) return false;
  }
  return true;
}

/**
 * The text between two offsets without the blanks around it. Only blank and tab are blanks here
 * (RFC 9110 section 5.6.3): `trim` takes a no-break space for one as well, which others do not.
 */
export function withoutBlanks(text: string, from = 0, to: number = text.length): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
