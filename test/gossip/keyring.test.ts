import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { gossipLimits } from '../../src/config/defaults.ts';
import { Keyring, sealBytes } from '../../src/gossip/keyring.ts';

const one = new Uint8Array(16).fill(1);
const two = new Uint8Array(24).fill(2);
const three = new Uint8Array(32).fill(3);
const nonce = new Uint8Array(12).fill(9);
const bound = Buffer.from('blue');
const text = Buffer.from('who lives?');

function idOf(key: Uint8Array): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 8);
}

function ids(keyring: Keyring): readonly string[] {
  return keyring.list().map(({ id }) => id);
}

describe('a keyring', () => {
  it('shows ids and sizes of its keys, the primary first', () => {
    assert.deepEqual(new Keyring([three, one, two]).list(), [
      { id: idOf(three), bits: 256, isPrimary: true },
      { id: idOf(one), bits: 128, isPrimary: false },
      { id: idOf(two), bits: 192, isPrimary: false },
    ]);
  });

  it('tells nothing of a key to whoever prints it', () => {
    const keyring = new Keyring([three]);
    assert.doesNotMatch(JSON.stringify(keyring), /3,3|AwMD|0303/u);
  });

  it('gives the keys themselves only where asked for them', () => {
    const keyring = new Keyring([one, two]);
    assert.deepEqual(
      keyring.secrets().map((key) => [...key]),
      [[...one], [...two]],
    );
    assert.deepEqual([...keyring.secretOf(idOf(two))!], [...two]);
    assert.equal(keyring.secretOf(idOf(three)), undefined);
  });

  it('is changed without a gap: install, use, remove', () => {
    const keyring = new Keyring([one]);
    const before = keyring.seal(nonce, text, bound);
    assert.equal(keyring.install(two), 'done');
    assert.deepEqual(ids(keyring), [idOf(one), idOf(two)]);
    assert.equal(keyring.use(two), 'done');
    assert.deepEqual(ids(keyring), [idOf(two), idOf(one)]);
    assert.ok(keyring.open(before, bound).ok);
    assert.ok(new Keyring([two]).open(keyring.seal(nonce, text, bound), bound).ok);
    assert.equal(keyring.remove(one), 'done');
    assert.deepEqual(ids(keyring), [idOf(two)]);
    assert.deepEqual(keyring.open(before, bound), { ok: false, fault: 'wrong-key' });
  });

  it('refuses what would break it, and changes nothing then', () => {
    const keyring = new Keyring([one, two]);
    assert.equal(keyring.install(new Uint8Array(31)), 'bad-size');
    assert.equal(keyring.install(two), 'unchanged');
    assert.equal(keyring.use(one), 'unchanged');
    assert.equal(keyring.use(three), 'unknown');
    assert.equal(keyring.use(new Uint8Array(3)), 'unknown');
    assert.equal(keyring.remove(three), 'unknown');
    assert.equal(keyring.remove(one), 'primary');
    assert.deepEqual(ids(keyring), [idOf(one), idOf(two)]);
  });

  it(`holds ${gossipLimits.keysMax} keys`, () => {
    const keys = Array.from({ length: gossipLimits.keysMax }, (_, at) =>
      new Uint8Array(16).fill(at),
    );
    const keyring = new Keyring(keys);
    assert.equal(keyring.install(three), 'full');
    assert.equal(keyring.list().length, gossipLimits.keysMax);
    assert.throws(() => new Keyring([...keys, three]), /full/u);
  });

  it('is never without a key', () => {
    assert.throws(() => new Keyring([]), RangeError);
    assert.throws(() => new Keyring([new Uint8Array(15)]), /bad-size/u);
  });
});

describe('sealed bytes', () => {
  it('are version, nonce, text as AES-GCM makes it, and tag', () => {
    // Test case 4 of the GCM specification.
    const key = Buffer.from('feffe9928665731c6d6a8f9467308308', 'hex');
    const iv = Buffer.from('cafebabefacedbaddecaf888', 'hex');
    const plain = Buffer.from(
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72' +
        '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
      'hex',
    );
    const data = Buffer.from('feedfacedeadbeeffeedfacedeadbeefabaddad2', 'hex');
    const sealed = new Keyring([key]).seal(iv, plain, data);
    assert.equal(
      Buffer.from(sealed).toString('hex'),
      `01${iv.toString('hex')}` +
        '42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e' +
        '21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091' +
        '5bc94fbc3221a5db94fae95ae7121a47',
    );
  });

  it('open with each key of the ring, and only as they were bound', () => {
    const key = fc.constantFrom(one, two, three);
    fc.assert(
      fc.property(
        key,
        fc.uint8Array({ minLength: 12, maxLength: 12 }),
        fc.uint8Array({ maxLength: 300 }),
        fc.uint8Array({ maxLength: 20 }),
        (own, iv, plain, data) => {
          const sealed = new Keyring([own]).seal(iv, plain, data);
          assert.equal(sealed.length, plain.length + sealBytes);
          const opened = new Keyring([one, two, three]).open(sealed, data);
          assert.ok(opened.ok && Buffer.from(plain).equals(opened.value));
          const other = new Keyring([one, two, three]).open(sealed, Uint8Array.of(...data, 1));
          assert.deepEqual(other, { ok: false, fault: 'wrong-key' });
        },
      ),
    );
  });

  it('do not open when any byte was changed', () => {
    const keyring = new Keyring([one]);
    const sealed = keyring.seal(nonce, text, bound);
    for (let at = 0; at < sealed.length; at++) {
      const changed = Uint8Array.from(sealed);
      changed[at]! ^= 0x40;
      const fault = at === 0 ? 'not-encrypted' : 'wrong-key';
      assert.deepEqual(keyring.open(changed, bound), { ok: false, fault }, `byte ${at}`);
    }
  });

  it('are something else when they are too short or of another version', () => {
    const keyring = new Keyring([one]);
    const sealed = keyring.seal(nonce, new Uint8Array(0), bound);
    assert.equal(sealed.length, sealBytes);
    assert.ok(keyring.open(sealed, bound).ok);
    for (const bytes of [sealed.subarray(0, -1), new Uint8Array(0), Uint8Array.of(0, ...sealed)]) {
      assert.deepEqual(keyring.open(bytes, bound), { ok: false, fault: 'not-encrypted' });
    }
  });

  it('give text or a fault for any bytes', () => {
    const keyring = new Keyring([one, two, three]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, isVersioned) => {
        const sealed = isVersioned ? Uint8Array.of(1, ...bytes) : bytes;
        assert.equal(keyring.open(sealed, bound).ok, false);
      }),
      { numRuns: 500 },
    );
  });
});
