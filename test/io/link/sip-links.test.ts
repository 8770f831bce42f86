import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { linkLimits } from '../../../src/config/defaults.ts';
import { TestPeer, envelope, linked, stopAll } from './test-peer.ts';

describe('SIP over links', () => {
  it('carries requests one way and responses back, with the envelope, in order', async () => {
    const a = new TestPeer('a');
    const b = new TestPeer('b');
    await linked(a, b);
    b.onSipRequest = (message) => {
      assert.ok(b.links.sendSipResponse('a', Buffer.from(`answer to ${message.toString()}`)));
    };
    const texts = Array.from({ length: 500 }, (_, index) => `request ${index}`);
    for (const text of texts) assert.ok(a.links.sendSipRequest('b', Buffer.from(text), envelope));
    await a.until(() => a.responses.length === texts.length);
    assert.deepEqual(
      b.requests.map(({ text }) => text),
      texts,
    );
    assert.deepEqual(b.requests[7]!.envelope, envelope);
    assert.deepEqual(
      a.responses,
      texts.map((text) => `answer to ${text}`),
    );
    await stopAll(a, b);
  });

  it('sends what one turn produced as few batches', async () => {
    const a = new TestPeer('a');
    const b = new TestPeer('b');
    await linked(a, b);
    const batchesBefore = a.counters.get('link_batches', 'sent');
    const framesBefore = a.counters.get('link_frames', 'sent');
    const count = linkLimits.framesPerBatch * 3 + 1;
    for (let index = 0; index < count; index++) {
      a.links.sendSipRequest('b', Buffer.alloc(600), envelope);
    }
    await b.until(() => b.requests.length === count);
    assert.equal(a.counters.get('link_frames', 'sent') - framesBefore, count);
    assert.equal(a.counters.get('link_batches', 'sent') - batchesBefore, 4);
    await stopAll(a, b);
  });

  it('links three peers, each with each', async () => {
    const peers = ['a', 'b', 'c'].map((name) => new TestPeer(name));
    await linked(...peers);
    for (const from of peers) {
      for (const to of peers) {
        if (from !== to) from.links.sendSipRequest(to.name, Buffer.from(from.name), envelope);
      }
    }
    for (const peer of peers) {
      await peer.until(() => peer.requests.length === 2);
      const others = peers.filter((other) => other !== peer).map((other) => other.name);
      assert.deepEqual(peer.requests.map(({ text }) => text).sort(), others);
    }
    await stopAll(...peers);
  });

  it('refuses what is too large, and work for a peer it does not know', async () => {
    const a = new TestPeer('a');
    const b = new TestPeer('b');
    await linked(a, b);
    const large = Buffer.alloc(linkLimits.sipMessageBytesMax + 1);
    assert.equal(a.links.sendSipRequest('b', large, envelope), false);
    assert.equal(a.counters.get('link_sip_drops', 'too_large'), 1);
    assert.equal(a.links.sendSipRequest('z', Buffer.from('x'), envelope), false);
    assert.equal(a.links.sendSipResponse('z', Buffer.from('x')), false);
    assert.equal(a.counters.get('link_sip_drops', 'not_up'), 2);
    const largest = Buffer.alloc(linkLimits.sipMessageBytesMax);
    assert.equal(a.links.sendSipRequest('b', largest, envelope), true);
    await b.until(() => b.requests.length === 1);
    assert.equal(b.requests[0]!.text.length, largest.length);
    await stopAll(a, b);
  });

  it('goes on after a handler that throws', async () => {
    const a = new TestPeer('a');
    const b = new TestPeer('b');
    await linked(a, b);
    b.onSipRequest = (message) => {
      if (message.toString() === 'bad') throw new Error('a defect');
    };
    for (const text of ['bad', 'good']) a.links.sendSipRequest('b', Buffer.from(text), envelope);
    await b.until(() => b.requests.length === 2);
    assert.equal(b.counters.get('link_sip_drops', 'handler_failed'), 1);
    assert.ok(a.links.isUp('b'));
    await stopAll(a, b);
  });
});
