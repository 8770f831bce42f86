import { readFileSync } from 'node:fs';

/**
 * What an element that only proxies does with a message:
 *
 * - `passes`: the request reaches the application, its other fields and its body byte for byte
 * - `400 cause`: it is answered with this status, counted under this cause
 * - `drop reason`: nobody can be answered
 * - `response passes`, `response discarded`: the same of a response that has our Via on top
 */
export type DatagramVerdict =
  'passes' | `${number} ${string}` | `drop ${string}` | 'response passes' | 'response discarded';

/** What the framer makes of it on a stream: the number of messages, a fault, or waiting for more. */
export type StreamVerdict = '1' | 'waits' | `fault ${string}` | `${number}, fault ${string}`;

export interface TortureCase {
  readonly file: string;
  /** Of RFC 4475. */
  readonly section: string;
  readonly datagram: DatagramVerdict;
  readonly stream: StreamVerdict;
  readonly why: string;
}

const rows: readonly (readonly [
  section: string,
  file: string,
  datagram: DatagramVerdict,
  stream: StreamVerdict,
  why: string,
])[] = [
  ['3.1.1.1', 'wsinv', 'passes', '1', 'valid: folds, blanks, escapes and compact forms everywhere'],
  ['3.1.1.2', 'intmeth', 'passes', '1', 'valid: every character that a token may have; quoted NUL'],
  ['3.1.1.3', 'esc01', 'passes', '1', 'valid: escapes in URIs are not ours to undo'],
  ['3.1.1.4', 'escnull', 'passes', '1', 'valid: an escaped NUL is no NUL'],
  ['3.1.1.5', 'esc02', 'passes', '1', 'valid: % in a method or header name escapes nothing'],
  ['3.1.1.6', 'lwsdisp', 'passes', '1', 'valid: no blank between display name and bracket'],
  ['3.1.1.7', 'longreq', 'passes', '1', 'valid: long, but below the limits'],
  [
    '3.1.1.8',
    'dblreq',
    'passes',
    '2, fault not-sip',
    'valid: a datagram ends with its Content-Length; the second body is longer than it says',
  ],
  ['3.1.1.9', 'semiuri', 'passes', '1', 'valid: the user part may hold a semicolon'],
  ['3.1.1.10', 'transports', 'passes', '1', 'valid: other Vias may name any transport'],
  ['3.1.1.11', 'mpart01', 'passes', '1', 'valid: the body is bytes; a strict router follows'],
  ['3.1.1.12', 'unreason', 'response passes', '1', 'valid: the reason phrase may be UTF-8'],
  ['3.1.1.13', 'noreason', 'response passes', '1', 'valid: the reason phrase may be empty'],
  ['3.1.2.1', 'badinv01', '400 via', '1', 'nobody can tell where the Via ends'],
  ['3.1.2.2', 'clerr', '400 content-length', 'waits', 'less body than it says'],
  ['3.1.2.3', 'ncl', '400 content-length', 'fault content-length', 'a negative length'],
  [
    '3.1.2.4',
    'scalar02',
    '400 cseq',
    '1',
    'CSeq above 2**31; Expires would be left to the registrar',
  ],
  ['3.1.2.5', 'scalarlg', 'response discarded', '1', 'CSeq above 2**31 matches nothing'],
  ['3.1.2.6', 'quotbal', '400 tag', '1', 'after an open quote nobody can tell the tag'],
  ['3.1.2.7', 'ltgtruri', '400 uri', '1', 'brackets are no part of a Request-URI'],
  ['3.1.2.8', 'lwsruri', '400 start-line', '1', 'a blank in the Request-URI'],
  ['3.1.2.9', 'lwsstart', '400 start-line', '1', 'two blanks in the request line'],
  ['3.1.2.10', 'trws', '400 start-line', '1', 'blanks behind the version'],
  [
    '3.1.2.11',
    'escruri',
    '400 uri-headers',
    '1',
    'a proxy must not pass headers of a Request-URI on',
  ],
  ['3.1.2.12', 'baddate', 'passes', '1', 'Date is not ours to read'],
  ['3.1.2.13', 'regbadct', 'passes', '1', 'Contact is the registrar’s to refuse'],
  ['3.1.2.14', 'badaspec', 'passes', '1', 'blanks in brackets leave the tag clear'],
  ['3.1.2.15', 'baddn', 'passes', '1', 'an unquoted comma in the name leaves the tag clear'],
  ['3.1.2.16', 'badvers', '505 version', '1', 'another version of SIP'],
  ['3.1.2.17', 'mismatch01', '400 cseq-method', '1', 'the methods differ'],
  ['3.1.2.18', 'mismatch02', '400 cseq-method', '1', 'the methods differ, one is unknown'],
  ['3.1.2.19', 'bigcode', 'drop not-sip', '1', 'a status of ten digits is none'],
  ['3.2.1', 'badbranch', 'passes', '1', 'the bare cookie counts as a branch of RFC 2543'],
  [
    '3.3.1',
    'insuf',
    '400 missing-header',
    '1',
    'no From, To and Call-ID; Via and CSeq find the client',
  ],
  ['3.3.2', 'unkscm', '416 scheme', '1', 'a scheme that nobody knows'],
  ['3.3.3', 'novelsc', '416 scheme', '1', 'a scheme that is not for SIP'],
  ['3.3.4', 'unksm2', 'passes', '1', 'schemes of From, To and Contact are not ours to read'],
  ['3.3.5', 'bext01', '420 proxy-require', '1', 'Proxy-Require; Require is for the application'],
  ['3.3.6', 'invut', 'passes', '1', 'the type of the body is the application’s'],
  ['3.3.7', 'regaut01', 'passes', '1', 'the scheme of Authorization is the registrar’s'],
  ['3.3.8', 'multi01', '400 repeated-header', '1', 'two of From, To, Call-ID, CSeq, Max-Forwards'],
  ['3.3.9', 'mcl01', '400 content-length', 'fault content-length', 'two different lengths'],
  ['3.3.10', 'bcast', 'response discarded', '1', 'the next Via is a broadcast address'],
  ['3.3.11', 'zeromf', '483 max-forwards', '1', 'no hop is left, be it for OPTIONS'],
  ['3.3.12', 'cparam01', 'passes', '1', 'Contact parameters are the registrar’s'],
  ['3.3.13', 'cparam02', 'passes', '1', 'the same of the URI'],
  ['3.3.14', 'regescrt', 'passes', '1', 'headers in a Contact URI are allowed'],
  ['3.3.15', 'sdp01', 'passes', '1', 'Accept is the application’s'],
  ['3.4.1', 'inv2543', 'passes', 'fault length-missing', 'RFC 2543: no tag, branch, length'],
];

/** The 49 messages of RFC 4475 with what becomes of each. */
export const tortureCases: readonly TortureCase[] = rows.map(
  ([section, file, datagram, stream, why]) => ({ section, file, datagram, stream, why }),
);

const folder = new URL('../../node_modules/sip/test/messages/', import.meta.url);

/** The message as the RFC has it. */
export function tortureBytes(file: string): Buffer {
  const bytes = readFileSync(new URL(`${file}.dat`, folder));
  // The file ends ahead of the empty line.
  return file === 'baddn' ? Buffer.concat([bytes, Buffer.from('\r\n')]) : bytes;
}
