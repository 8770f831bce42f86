import { Buffer, isUtf8 } from 'node:buffer';
import { dcrLimits } from '../config/defaults.ts';

/** The characters of a file, or why it has none; `offset` is that of the fault in `text`. */
export type XmlText =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly text: string; readonly offset: number; readonly fault: string };

const declaration =
  /^<\?xml\s+version\s*=\s*(?:"1\.0"|'1\.0')(?:\s+encoding\s*=\s*(?:"([^"]*)"|'([^']*)'))?(?:\s+standalone\s*=\s*(?:"(?:yes|no)"|'(?:yes|no)'))?\s*\?>/;

// What XML 1.0 section 2.2 does not allow, and DEL, which no rule needs.
const forbidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffe\uffff]/;

/**
 * Decodes a rule file: UTF-8 (with or without byte order mark) or ISO-8859-1 as its declaration
 * says, line ends normalised to LF (XML 1.0 section 2.11), no control characters.
 */
export function decodeXml(bytes: Uint8Array): XmlText {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length > dcrLimits.fileBytesMax) {
    return refused('', 0, `the file has ${buffer.length} bytes; at most ${dcrLimits.fileBytesMax}`);
  }
  const start = buffer.length >= 3 && buffer.readUIntBE(0, 3) === 0xefbbbf ? 3 : 0;
  const encoding = encodingOf(buffer.toString('latin1', start, start + 256));
  switch (encoding) {
    case 'ISO-8859-1':
      return checked(buffer.toString('latin1', start));
    case 'UTF-8':
      return decodeUtf8(buffer, start);
    case undefined:
      return refused('', 0, 'the XML declaration is not understood; expected version="1.0"');
    default:
      return refused('', 0, 'the encoding is not supported; expected UTF-8 or ISO-8859-1');
  }
}

/** The declared encoding in upper case, UTF-8 without one; undefined for a broken declaration. */
function encodingOf(head: string): string | undefined {
  const declared = declaration.exec(head);
  if (declared === null) return /^<\?xml\s/.test(head) ? undefined : 'UTF-8';
  return (declared[1] ?? declared[2] ?? 'UTF-8').toUpperCase();
}

function decodeUtf8(buffer: Buffer, start: number): XmlText {
  const text = buffer.toString('utf8', start);
  if (isUtf8(buffer)) return checked(text);
  const offset = Math.max(0, text.indexOf('\ufffd'));
  return refused(
    text,
    offset,
    'bytes that are not UTF-8; declare encoding="ISO-8859-1" or convert',
  );
}

function checked(raw: string): XmlText {
  const text = raw.replace(/\r\n?/g, '\n');
  const found = forbidden.exec(text);
  if (found === null) return { ok: true, text };
  const code = found[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
  return refused(text, found.index, `control character U+${code} is not allowed`);
}

function refused(text: string, offset: number, fault: string): XmlText {
  return { ok: false, text, offset, fault };
}
