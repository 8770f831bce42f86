import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readRulesText, rulesDigest, rulesText } from '../../../src/io/rules/index.ts';
import { section, sip, toolsOf } from '../../dcr/request.ts';

const rules = section('sip', '<header name="Größe" return="request.Größe"><exist/></header>');
const declared = (encoding: string): string =>
  `<?xml version="1.0" encoding="${encoding}"?>${rules}`;
const plain = rules.replaceAll('Größe', 'Size');
const message = sip('INVITE sip:a@b SIP/2.0\nSize: 5\nCall-ID: 1');

describe('the text of rules that clusters keep', () => {
  it('is that of the file, with the same digest', () => {
    for (const text of [plain, `\ufeff${plain}`, declared('UTF-8').replaceAll('Größe', 'Size')]) {
      const bytes = Buffer.from(text);
      assert.equal(rulesText(bytes), text);
      const read = readRulesText(text, 'rules', toolsOf());
      assert.ok(read.ok);
      assert.equal(read.digest, rulesDigest(bytes));
      assert.equal(read.rules.sipKey(message), '5');
    }
  });

  it('is converted from ISO-8859-1', () => {
    const text = rulesText(Buffer.from(declared('iso-8859-1'), 'latin1'));
    assert.equal(text, declared('UTF-8'));
  });

  it('is refused with its faults, and their places', () => {
    const read = readRulesText(`${plain}\n<x/>`, 'my.xml', toolsOf());
    assert.ok(!read.ok);
    assert.deepEqual([read.errors[0]!.file, read.errors[0]!.line], ['my.xml', 2]);
  });

  it('is refused when it was no UTF-8, rather than read as something else', () => {
    const broken = readRulesText(rulesText(Buffer.from(rules, 'latin1')), 'r', toolsOf());
    assert.ok(!broken.ok);
    assert.match(broken.errors[0]!.text, /not UTF-8/);
    const other = readRulesText(declared('ISO-8859-1'), 'r', toolsOf());
    assert.ok(!other.ok);
    assert.match(other.errors[0]!.text, /declares ISO-8859-1/);
  });
});
