/** 1 for the characters of `token` (RFC 3261 section 25.1). */
const tokenCharacters = new Uint8Array(256);
for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~") {
  tokenCharacters[character.charCodeAt(0)] = 1;
}

/** Whether the text is a `token` of RFC 3261 section 25.1. */
export function isToken(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    if (tokenCharacters[text.charCodeAt(at)] !== 1) return false;
  }
  return text !== '';
}

/** Whether one character, as its code, may stand in a `token`. */
export function isTokenCharacter(code: number): boolean {
  return tokenCharacters[code] === 1;
}

/** The text without linear white space around it; unlike `trim`, every other character stays. */
export function trimmed(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/** Whether a character, as its code, is linear white space. */
export function isBlank(code: number): boolean {
  return code === 32 || code === 9 || code === 13 || code === 10;
}
