/** Names that a document type of a rule file bears; nothing is ever fetched by them. */
const publicId = '-//Sun Microsystems Inc.//DTD Sailfin 1.0//EN';
const systemId = 'http://www.sun.com/software/appserver/dtds/sun-data-centric-rule_1_0.dtd';

const shape =
  /<!DOCTYPE[ \t\n]+user-centric-rules(?:[ \t\n]+(?:PUBLIC[ \t\n]+("[^"]*"|'[^']*')[ \t\n]+|SYSTEM[ \t\n]+)("[^"]*"|'[^']*'))?[ \t\n]*>/y;

/** Where the document type ends, or why it is refused. */
export type ScannedDoctype =
  { readonly ok: true; readonly end: number } | { readonly ok: false; readonly fault: string };

/**
 * Reads the document type at `start`. Only the documented form passes: the root
 * `user-centric-rules`, without or with the known identifiers, without internal subset.
 */
export function scanDoctype(text: string, start: number): ScannedDoctype {
  if (!text.startsWith('<!DOCTYPE', start)) {
    return { ok: false, fault: 'declarations are not allowed in a rule file' };
  }
  shape.lastIndex = start;
  const found = shape.exec(text);
  if (found === null) {
    return {
      ok: false,
      fault:
        'DOCTYPE is refused: no internal subset, no entities; expected ' +
        `<!DOCTYPE user-centric-rules PUBLIC "${publicId}" "${systemId}"> or none`,
    };
  }
  const isPublicIdKnown = found[1] === undefined || found[1].slice(1, -1) === publicId;
  const isSystemIdKnown = found[2] === undefined || found[2].slice(1, -1) === systemId;
  if (!isPublicIdKnown || !isSystemIdKnown) {
    const expected = isPublicIdKnown ? `"${systemId}"` : `"${publicId}"`;
    return { ok: false, fault: `DOCTYPE names an unknown document type; expected ${expected}` };
  }
  return { ok: true, end: start + found[0].length };
}
