const predefined: ReadonlyMap<string, string> = new Map([
  ['&lt;', '<'],
  ['&gt;', '>'],
  ['&amp;', '&'],
  ['&quot;', '"'],
  ['&apos;', "'"],
]);

/** Whether a reference such as `&lt;` or `&#x41;` stands for a character that XML allows. */
export function isReferenceAllowed(reference: string): boolean {
  return decodeReference(reference) !== undefined;
}

/** Replaces the references of text that was checked; unknown ones would stay as they are. */
export function decodeReferences(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&[^;]{1,16};/g, (reference) => decodeReference(reference) ?? reference);
}

function decodeReference(reference: string): string | undefined {
  const named = predefined.get(reference);
  if (named !== undefined) return named;
  const numeric = /^&#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}));$/.exec(reference);
  if (numeric === null) return undefined;
  const code =
    numeric[1] === undefined ? Number.parseInt(numeric[2]!, 10) : Number.parseInt(numeric[1], 16);
  return isCharacter(code) ? String.fromCodePoint(code) : undefined;
}

/** XML 1.0 section 2.2, without DEL. */
function isCharacter(code: number): boolean {
  if (code < 0x20) return code === 0x9 || code === 0xa || code === 0xd;
  if (code === 0x7f || code === 0xfffe || code === 0xffff) return false;
  return code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}
