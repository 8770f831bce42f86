import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { digestOf } from '../../src/pipeline/key.ts';
import { sha256Of16 } from '../../src/pipeline/sha256.ts';
import { Stamper, stampText } from '../../src/pipeline/stamp.ts';

describe('Digests and signatures', () => {
  it('a digest is base64url of the first 16 bytes of SHA-256 of the text as UTF-8', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const expected = createHash('sha256').update(text).digest().subarray(0, 16);
        assert.equal(digestOf(text), expected.toString('base64url'));
        assert.equal(sha256Of16(Buffer.from(text)), expected.toString('base64url'));
      }),
    );
  });

  it('a signature is HMAC-SHA-256 over version, kind, value and scope, cut to 16 bytes', () => {
    const word = fc.string({
      unit: fc.constantFrom('a', 'Z', '0', '-', '_', '.', '@', 'é'),
      maxLength: 60,
    });
    const secrets = fc.uint8Array({ minLength: 16, maxLength: 100 });
    fc.assert(
      fc.property(secrets, word, word, word, (secret, bekey, beroute, callId) => {
        const stamper = new Stamper([{ id: 'k', secret }]);
        const stamp = { bekey, beroute };
        const mac = createHmac('sha256', secret)
          .update(`v1\ndialog\n${stampText(stamp)}\n${callId}`)
          .digest()
          .subarray(0, 16);
        assert.equal(stamper.signDialog(stamp, callId), `k.${mac.toString('base64url')}`);
        assert.ok(
          new Stamper([{ id: 'k', secret }]).verifyDialog(
            stamp,
            callId,
            `k.${mac.toString('base64url')}`,
          ),
        );
      }),
    );
  });
});
