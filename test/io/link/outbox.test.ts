import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderBlock } from '../../../src/http/index.ts';
import { setImmediate as turn } from 'node:timers/promises';
import { AskedExchanges } from '../../../src/io/link/exchanges.ts';
import { defaultLimits as linkLimits } from '../../../src/io/link/options.ts';
import { Outbox } from '../../../src/io/link/outbox.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import { Recorder, envelope, getRequest } from './test-peer.ts';

/** A connection that takes batches only when told. */
class StuckStream {
  readonly batches: Buffer[] = [];
  readonly #waiting: (() => void)[] = [];
  write(batch: Buffer, done: () => void): void {
    this.batches.push(batch);
    this.#waiting.push(done);
  }
  takeAll(): void {
    for (const done of this.#waiting.splice(0)) done();
  }
}

function setUp(): {
  stream: StuckStream;
  counters: Counters;
  outbox: Outbox;
  exchanges: AskedExchanges;
} {
  const stream = new StuckStream();
  const counters = new Counters();
  const outbox: Outbox = new Outbox(stream, linkLimits, counters, () => {
    exchanges.resume();
  });
  const exchanges = new AskedExchanges({
    outbox,
    limits: linkLimits,
    counters,
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    peerWindowBytes: 4 * linkLimits.laneQueueBytesMax,
    onClosed: () => undefined,
  });
  return { stream, counters, outbox, exchanges };
}

describe('the outbox of a lane', () => {
  it('writes nothing before the turn ends and nothing in an idle turn', async () => {
    const { stream, outbox } = setUp();
    outbox.sipResponse(Buffer.from('one'));
    outbox.sipResponse(Buffer.from('two'));
    assert.equal(stream.batches.length, 0);
    await turn();
    assert.equal(stream.batches.length, 1);
    await turn();
    assert.equal(stream.batches.length, 1);
  });

  it('copies a message at once', async () => {
    const { stream, outbox } = setUp();
    const message = Buffer.from('original');
    outbox.sipResponse(message);
    message.fill(0);
    await turn();
    assert.ok(stream.batches[0]!.includes('original'));
  });

  it('drops requests that start something before those in a dialog, and counts both', () => {
    const { stream, counters, outbox } = setUp();
    const message = Buffer.alloc(10_000);
    const inDialog = { ...envelope, reason: 'stamp' as const };
    while (outbox.sipRequest(message, envelope));
    assert.ok(outbox.queuedBytes <= linkLimits.laneQueueInitialBytesMax);
    assert.equal(counters.get('link_sip_drops', 'congested'), 1);
    assert.ok(outbox.sipRequest(message, inDialog));
    assert.ok(outbox.sipResponse(message));
    while (outbox.sipRequest(message, inDialog));
    assert.ok(outbox.queuedBytes <= linkLimits.laneQueueBytesMax + 10_100);
    assert.equal(counters.get('link_sip_drops', 'congested'), 2);
    stream.takeAll();
    assert.ok(outbox.sipRequest(message, envelope));
  });

  it('drops notes first, then questions, then requests that start something', () => {
    const { outbox, counters } = setUp();
    const message = Buffer.alloc(1_000);
    const inDialog = { ...envelope, reason: 'stamp' as const };
    const assignment = { instance: 'b', keyDigest: '' };
    const kinds: readonly [string, () => boolean][] = [
      ['note', () => outbox.note('i1', assignment)],
      ['ask', () => outbox.ask(1, 'i1', undefined)],
      ['answer', () => outbox.answer(1, assignment)],
      ['initial', () => outbox.sipRequest(message, envelope)],
      ['in-dialog', () => outbox.sipRequest(message, inDialog)],
      ['to application', () => outbox.toApplication(message)],
      ['to flow', () => outbox.toFlow(message, 'u0', undefined)],
    ];
    const order: string[] = [];
    while (order.length < kinds.length) {
      outbox.sipResponse(Buffer.alloc(10_000));
      for (const [kind, isTaken] of kinds) {
        if (!order.includes(kind) && !isTaken()) order.push(kind);
      }
    }
    assert.deepEqual(order.slice(0, 4), ['note', 'ask', 'answer', 'initial']);
    assert.equal(counters.get('link_note_drops', 'congested'), 1);
    assert.equal(counters.get('link_ask_drops', 'congested'), 2);
    assert.ok(outbox.queuedBytes <= linkLimits.laneQueueBytesMax);
  });

  it('pauses bodies while the connection is behind and goes on when it drains', async () => {
    const { stream, counters, exchanges, outbox } = setUp();
    const response = new Recorder();
    const request = exchanges.ask(getRequest, envelope, response);
    assert.ok(request !== undefined);
    let written = 0;
    while (!response.isPaused) {
      request.data(Buffer.alloc(30_000));
      written += 30_000;
    }
    assert.ok(written <= linkLimits.laneQueueBytesMax + 30_000);
    assert.equal(exchanges.ask(getRequest, envelope, new Recorder()), undefined);
    assert.equal(counters.get('link_http_refusals', 'congested'), 1);
    await turn();
    stream.takeAll();
    assert.equal(response.isPaused, false);
    assert.ok(outbox.takesBodies());
  });

  it('resets what was never written as refused, the rest as broken', async () => {
    const { exchanges } = setUp();
    const written = new Recorder();
    exchanges.ask(getRequest, envelope, written);
    await turn();
    const unwritten = new Recorder();
    exchanges.ask(getRequest, envelope, unwritten);
    exchanges.fail(false);
    assert.equal(written.code, 'broken');
    assert.equal(unwritten.code, 'refused');
    assert.equal(exchanges.count, 0);
  });

  it('resets what a peer that left in order had not begun as refused', async () => {
    const { exchanges } = setUp();
    const [begun, onItsWay] = [new Recorder(), new Recorder()];
    for (const response of [begun, onItsWay]) exchanges.ask(getRequest, envelope, response);
    await turn();
    const response = { status: 200, reason: '', headers: HeaderBlock.empty } as const;
    exchanges.receive({
      kind: 'head',
      exchange: 1,
      response: { ...response, framing: { kind: 'chunked' } },
      data: Buffer.alloc(0),
      end: false,
      trailers: [],
    });
    exchanges.fail(true);
    assert.equal(begun.code, 'broken');
    assert.equal(onItsWay.code, 'refused');
  });

  it('is finished when all that waits was given to the connection, and takes nothing more', async () => {
    const { stream, outbox } = setUp();
    const frame = { kind: 'data', exchange: 1, end: false, trailers: [] } as const;
    let isSent = false;
    while (outbox.takesBodies()) {
      outbox.post({ ...frame, data: Buffer.alloc(30_000) }, 30_000);
      outbox.flush();
    }
    outbox.post({ ...frame, data: Buffer.from('last words') }, 10);
    outbox.finish(() => {
      isSent = true;
    });
    outbox.post({ ...frame, data: Buffer.from('too late') }, 8);
    assert.equal(isSent, false);
    await turn();
    stream.takeAll();
    assert.equal(isSent, true);
    const sent = Buffer.concat(stream.batches);
    assert.ok(sent.includes('last words'));
    assert.ok(!sent.includes('too late'));
  });
});

describe('the exchanges of a lane', () => {
  const data = { kind: 'data' as const, trailers: [] };
  const head = {
    kind: 'head' as const,
    exchange: 1,
    response: {
      status: 200,
      reason: 'OK',
      headers: HeaderBlock.empty,
      framing: { kind: 'chunked' as const },
    },
    data: Buffer.alloc(0),
    end: false,
    trailers: [],
  };

  it('break with a peer that sends beyond its credit', () => {
    const { exchanges } = setUp();
    const response = new Recorder();
    const request = exchanges.ask(getRequest, envelope, response);
    request?.pause();
    assert.ok(exchanges.receive(head));
    const full = Buffer.alloc(linkLimits.exchangeWindowBytes);
    assert.ok(exchanges.receive({ ...data, exchange: 1, data: full, end: false }));
    assert.equal(
      exchanges.receive({ ...data, exchange: 1, data: Buffer.alloc(1), end: false }),
      false,
    );
    assert.equal(response.code, 'broken');
    assert.equal(response.bytes, full.length);
  });

  it('break with a peer that ends twice, sends a body before its head, or invents an exchange', () => {
    const end = { ...data, exchange: 1, data: Buffer.alloc(0), end: true };
    const twice = setUp().exchanges;
    twice.ask(getRequest, envelope, new Recorder());
    assert.ok(twice.receive({ ...head, end: true }));
    assert.equal(twice.receive(end), false);
    const headless = setUp().exchanges;
    headless.ask(getRequest, envelope, new Recorder());
    assert.equal(headless.receive(end), false);
    assert.equal(setUp().exchanges.receive(end), false);
  });

  it('pass over frames of an exchange that ended here', () => {
    const { exchanges } = setUp();
    exchanges.ask(getRequest, envelope, new Recorder())?.reset('cancelled');
    assert.ok(exchanges.receive(head));
    assert.ok(exchanges.receive({ kind: 'credit', exchange: 1, bytes: 5 }));
  });
});
