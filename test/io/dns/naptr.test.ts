import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { chooseSipUri } from '../../../src/io/dns/index.ts';
import type { NaptrRecord } from '../../../src/io/dns/index.ts';

const record = (parts: Partial<NaptrRecord>): NaptrRecord => ({
  order: 10,
  preference: 10,
  flags: 'u',
  service: 'E2U+sip',
  regexp: '!^.*$!sip:x@y!',
  replacement: '',
  ...parts,
});

const uriOf = (...records: Partial<NaptrRecord>[]): string | undefined =>
  chooseSipUri(records.map(record), '+4689761234');

describe('choice among NAPTR records', () => {
  const rows: readonly [name: string, records: Partial<NaptrRecord>[], uri: string | undefined][] = [
    ['the lowest order wins', [{ order: 20, regexp: '!^.*$!sip:b!' }, { order: 10, preference: 99, regexp: '!^.*$!sip:a!' }], 'sip:a'],
    ['in one order the lowest preference wins', [{ preference: 20, regexp: '!^.*$!sip:b!' }, { regexp: '!^.*$!sip:a!' }], 'sip:a'],
    ['other services are passed over', [{ order: 1, service: 'E2U+mailto', regexp: '!^.*$!mailto:a@b!' }, {}], 'sip:x@y'],
    ['sip may be one of several services', [{ service: 'E2U+voice:tel+SIP' }], 'sip:x@y'],
    ['a subtype does not matter', [{ service: 'e2u+sip:video' }], 'sip:x@y'],
    ['the old form of the service is none', [{ service: 'sip+E2U' }], undefined],
    ['flags are compared without case', [{ flags: 'U' }], 'sip:x@y'],
    ['a record that is not terminal is passed over', [{ flags: '' }], undefined],
    ['groups are put in', [{ regexp: '!^\\+46(89)(.*)$!sip:\\2@a\\1.example!' }], 'sip:761234@a89.example'],
    ['a group that does not exist is empty', [{ regexp: '!^(.*)$!sip:u\\9@y!' }], 'sip:u@y'],
    ['only the match is replaced', [{ regexp: '!^\\+46!sip:0!' }], 'sip:089761234'],
    ['any delimiter will do', [{ regexp: '#^.*$#sip:a!b@y#' }], 'sip:a!b@y'],
    ['an escaped delimiter is no delimiter', [{ regexp: '!^.*$!sip:a\\!b@y!' }], 'sip:a!b@y'],
    ['the flag i is known', [{ regexp: '!^.*$!sip:x@y!i' }], 'sip:x@y'],
    ['another flag is not', [{ regexp: '!^.*$!sip:x@y!g' }], undefined],
    ['what does not match does not apply', [{ order: 1, regexp: '!^\\+1!sip:us!' }, {}], 'sip:x@y'],
    ['another scheme does not apply', [{ regexp: '!^.*$!http://x!' }], undefined],
    ['a sips URI applies', [{ regexp: '!^.*$!sips:x@y!' }], 'sips:x@y'],
    ['a URI with a line break does not apply', [{ regexp: '!^.*$!sip:x\r\nEvil: 1!' }], undefined],
    ['a URI that is too long does not apply', [{ regexp: `!^.*$!sip:${'x'.repeat(2_000)}!` }], undefined],
    ['a broken expression does not apply', [{ regexp: '!^(!sip:x!' }], undefined],
    ['look-ahead does not apply', [{ regexp: '!^(?=.).*$!sip:x!' }], undefined],
    ['an expression without end does not apply', [{ regexp: '!^.*$!sip:x' }], undefined],
    ['an expression with too many parts does not apply', [{ regexp: '!^.*$!sip:x!!' }], undefined],
    ['an empty expression does not apply', [{ regexp: '' }, { regexp: '!' }, { regexp: '!!sip:x!' }], undefined],
    ['an expression that backtracks is harmless', [{ regexp: '!^(([0-9+]+)+)+$!sip:x!' }], 'sip:x'],
    ['no record, no URI', [], undefined],
  ]; // prettier-ignore
  for (const [name, records, uri] of rows) {
    it(name, () => {
      assert.equal(uriOf(...records), uri);
    });
  }

  it('never throws, and gives only SIP URIs without white space', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(fc.string(), fc.constantFrom('!^', '.*', '!', 'sip:', '\\1', '(', ')', '$')),
        ),
        (pieces) => {
          const uri = uriOf({ regexp: pieces.join('') });
          assert.ok(uri === undefined || /^sips?:\S+$/i.test(uri));
        },
      ),
    );
  });
});
