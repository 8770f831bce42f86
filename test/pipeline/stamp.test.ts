import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { stampLimits } from '../../src/config/defaults.ts';
import { Stamper } from '../../src/pipeline/stamp.ts';

const old = { id: 'old', secret: Buffer.alloc(16, 1) };
const fresh = { id: 'fresh', secret: Buffer.alloc(16, 2) };
const stamp = { bekey: 'k', beroute: 'peer-1' };

describe('Stamper', () => {
  it('finds every altered character of a signature, and other values, scopes and kinds', () => {
    const stamper = new Stamper([old]);
    const signature = stamper.signDialog(stamp, 'call');
    assert.ok(stamper.verifyDialog(stamp, 'call', signature));
    for (let at = 0; at < signature.length; at++) {
      const altered = `${signature.slice(0, at)}${signature[at] === 'A' ? 'B' : 'A'}${signature.slice(at + 1)}`;
      assert.ok(!stamper.verifyDialog(stamp, 'call', altered), altered);
    }
    assert.ok(!stamper.verifyDialog(stamp, 'other call', signature));
    assert.ok(!stamper.verifyDialog({ ...stamp, bekey: 'l' }, 'call', signature));
    assert.ok(!stamper.verifyDialog({ ...stamp, beroute: 'peer-2' }, 'call', signature));
    assert.ok(!stamper.verifyDialog(stamp, 'call', ''));
    const cookie = stamper.sign('bekey', 'v');
    assert.ok(stamper.verify('bekey', 'v', cookie));
    assert.ok(!stamper.verify('beroute', 'v', cookie));
    assert.ok(!stamper.verify('path', 'v', cookie));
    assert.ok(!stamper.verify('bekey', 'w', cookie));
  });

  it('verifies what an older key signed, and signs anew with the first key', () => {
    const before = new Stamper([old]);
    const rotated = new Stamper([fresh, old]);
    const dialog = before.signDialog(stamp, 'call');
    const cookie = before.sign('beroute', 'peer-1');
    assert.ok(rotated.verifyDialog(stamp, 'call', dialog));
    assert.ok(rotated.verify('beroute', 'peer-1', cookie));
    assert.match(rotated.signDialog(stamp, 'call'), /^fresh\./);
    assert.match(rotated.sign('beroute', 'peer-1'), /^fresh\./);
    assert.ok(!new Stamper([fresh]).verifyDialog(stamp, 'call', dialog));
  });

  it('signs texts longer than its buffer, each in its own way', () => {
    const stamper = new Stamper([old]);
    const long = 'x'.repeat(stampLimits.signedTextBytesMax);
    assert.ok(stamper.verifyDialog(stamp, long, stamper.signDialog(stamp, long)));
    assert.notEqual(stamper.signDialog(stamp, `${long}y`), stamper.signDialog(stamp, `${long}z`));
  });

  it('gives the same signatures when its memory has overflowed', () => {
    const stamper = new Stamper([old]);
    const first = stamper.signDialog(stamp, 'call');
    for (let call = 0; call < stampLimits.signaturesRemembered * 2 + 1; call++) {
      stamper.signDialog(stamp, `other-${call}`);
    }
    assert.equal(stamper.signDialog(stamp, 'call'), first);
    assert.ok(stamper.verifyDialog(stamp, 'call', first));
  });
});
