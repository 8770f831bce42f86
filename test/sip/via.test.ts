import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readVia, type Via } from '../../src/sip/index.ts';

function via(text: string): Via | undefined {
  return readVia(text, 0, text.length);
}

describe('readVia', () => {
  it('reads parameters after folds and tabs', () => {
    const read = via('SIP / 2.0/UDP\th.example.org ;\r\n branch = z9hG4bK1;\treceived=192.0.2.1');
    assert.equal(read?.branch, 'z9hG4bK1');
    assert.equal(read.received, '192.0.2.1');
    assert.equal(read.host, 'h.example.org');
  });

  it('ends a value at the first comma outside all quotes', () => {
    const first = 'SIP/2.0/UDP h;a="x";b="y,z";c="\\",";rport';
    const read = via(`${first} , SIP/2.0/UDP other`);
    assert.equal(read?.end, first.length + 1);
    assert.equal(read.rport, '');
  });

  it('says where a bare rport ends, whatever stands around it', () => {
    for (const before of ['', ';rportx=1', ';branch=z9hG4bKrport']) {
      for (const rport of [';rport', '; \trport', ';RPORT']) {
        for (const after of ['', ' ', ';x', ' ;x']) {
          const text = `SIP/2.0/UDP h${before}${rport}${after}`;
          const end = `SIP/2.0/UDP h${before}${rport}`.length;
          assert.equal(via(text)?.rportNameEnd, end, JSON.stringify(text));
        }
      }
    }
    assert.equal(via('SIP/2.0/UDP h;branch=z9hG4bK1;rport=')?.rportNameEnd, -1);
  });

  it('takes no port 0, to which nothing can be sent', () => {
    assert.equal(via('SIP/2.0/UDP h:0;branch=z9hG4bK1'), undefined);
    assert.equal(via('SIP/2.0/UDP [2001:db8::1]:5060')?.host, '[2001:db8::1]');
  });
});
