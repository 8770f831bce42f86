import assert from 'node:assert/strict';
import { compileRules, parseRules } from '../../src/dcr/index.ts';
import type {
  HttpSubject,
  KeyResult,
  NumberResolver,
  Rules,
  RuleTools,
  SipSubject,
} from '../../src/dcr/index.ts';
import { parseRequestHead } from '../../src/http/index.ts';
import { httpSubject, sipSubject, uriReader } from '../../src/pipeline/subjects.ts';
import { parseSipMessage } from '../../src/sip/index.ts';

/** A SIP request from lines as a test writes them. */
export function sip(text: string): SipSubject {
  const parsed = parseSipMessage(wire(text));
  assert.ok(parsed.ok, 'the test holds a malformed SIP message');
  assert.ok(parsed.message.isRequest);
  return sipSubject(parsed.message);
}

/** An HTTP request from lines as a test writes them. */
export function http(text: string): HttpSubject {
  const parsed = parseRequestHead(wire(text));
  assert.ok(parsed.kind === 'head', `the test holds a malformed HTTP head: ${text}`);
  return httpSubject(parsed.head);
}

function wire(text: string): Buffer {
  return Buffer.from(`${text.trimEnd().replace(/\r?\n/g, '\r\n')}\r\n\r\n`);
}

/** A resolver that knows these numbers at once; others stand for themselves. */
export function numbersOf(answers: Readonly<Record<string, string>> = {}): NumberResolver {
  return { resolve: (number) => answers[number] ?? number };
}

export function toolsOf(answers: Readonly<Record<string, string>> = {}): RuleTools {
  return { uris: uriReader, numbers: numbersOf(answers) };
}

/** Rules of the text of a file. */
export function rulesOf(xml: string, tools: RuleTools = toolsOf()): Rules {
  const parsed = parseRules(Buffer.from(xml), 'test.xml');
  assert.ok(parsed.ok, parsed.ok ? '' : JSON.stringify(parsed.errors));
  return compileRules(parsed.document, tools);
}

/** Key of a SIP request under the given content of `sip-rules`. */
export function sipKeyOf(body: string, request: string, tools?: RuleTools): KeyResult {
  return rulesOf(section('sip', body), tools).sipKey(sip(request));
}

/** Key of an HTTP request under the given content of `http-rules`. */
export function httpKeyOf(body: string, request: string, tools?: RuleTools): KeyResult {
  return rulesOf(section('http', body), tools).httpKey(http(request));
}

export function section(protocol: 'sip' | 'http', body: string): string {
  return `<user-centric-rules><${protocol}-rules>${body}</${protocol}-rules></user-centric-rules>`;
}
