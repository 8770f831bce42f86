import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { Asks } from '../../../src/io/link/asks.ts';
import type { AskedLane } from '../../../src/io/link/asks.ts';
import { Outbox } from '../../../src/io/link/outbox.ts';
import { defaultLimits } from '../../../src/io/link/options.ts';
import type { LinkLimits } from '../../../src/io/link/options.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import type { Question } from '../../../src/pipeline/ports.ts';
import type { Assignment } from '../../../src/sip/index.ts';
import {
  Cable,
  Recorder,
  TestPeer,
  envelope,
  getRequest,
  linked,
  okResponse,
  stopAll,
} from './test-peer.ts';

const toB: Assignment = { instance: 'b', keyDigest: 'AbCdEfGhIjKlMnOpQrStUv' };
const toC: Assignment = { instance: 'c', keyDigest: '' };
const target = {
  transport: 'UDP',
  address: '192.0.2.7',
  port: 5_062,
  serverName: '192.0.2.7',
} as const;

function question(peer: string, transaction = 'i1', claim?: Assignment): Question {
  return { peer, transaction, claim };
}

function asked(peer: TestPeer, questions: readonly Question[]): Promise<Assignment | undefined> {
  return new Promise((resolve) => {
    peer.links.ask(questions, resolve);
  });
}

describe('transactions over links', () => {
  const started: TestPeer[] = [];

  function peer(...options: ConstructorParameters<typeof TestPeer>): TestPeer {
    const made = new TestPeer(...options);
    started.push(made);
    return made;
  }

  afterEach(async () => {
    await stopAll(...started.splice(0));
  });

  it('carry notes, responses for applications and requests for flows, in order', async () => {
    const a = peer('a');
    const b = peer('b');
    await linked(a, b);
    a.links.sendNote('b', 'i1', toB);
    a.links.sendNote('b', 'n2', toC);
    assert.ok(a.links.sendToApplication('b', Buffer.from('SIP/2.0 200 OK')));
    assert.ok(a.links.sendToFlow('b', 't0-17', undefined, Buffer.from('INVITE')));
    assert.ok(a.links.sendToFlow('b', 'u0', target, Buffer.from('BYE')));
    await b.until(() => b.toFlow.length === 2);
    assert.deepEqual(b.notes, [
      { transaction: 'i1', assignment: toB },
      { transaction: 'n2', assignment: toC },
    ]);
    assert.deepEqual(b.toApplication, ['SIP/2.0 200 OK']);
    assert.deepEqual(b.toFlow, [
      { text: 'INVITE', flow: 't0-17', target: undefined },
      { text: 'BYE', flow: 'u0', target },
    ]);
  });

  it('count what no link could take', async () => {
    const a = peer('a');
    await a.links.start();
    a.links.sendNote('b', 'i1', toB);
    assert.equal(a.counters.get('link_note_drops', 'not_up'), 1);
    assert.equal(a.links.sendToApplication('b', Buffer.from('x')), false);
    assert.equal(a.links.sendToFlow('b', 'u0', undefined, Buffer.from('x')), false);
    assert.equal(a.counters.get('link_sip_drops', 'not_up'), 2);
  });

  it('refuse a flow that no peer has named so, and a message that is too large', async () => {
    const a = peer('a');
    const b = peer('b');
    await linked(a, b);
    assert.equal(a.links.sendToFlow('b', 'u'.repeat(65), undefined, Buffer.from('x')), false);
    assert.equal(a.counters.get('link_sip_drops', 'bad_flow'), 1);
    const large = Buffer.alloc(defaultLimits.sipMessageBytesMax + 1);
    assert.equal(a.links.sendToFlow('b', 'u0', undefined, large), false);
    assert.equal(a.links.sendToApplication('b', large), false);
    assert.equal(a.counters.get('link_sip_drops', 'too_large'), 2);
    assert.ok(a.links.isUp('b'));
  });

  it('break no link by a flow or target that the other side would refuse', async () => {
    const a = peer('a');
    const b = peer('b');
    await linked(a, b);
    const message = Buffer.from('x');
    assert.equal(a.links.sendToFlow('b', '', undefined, message), false);
    for (const wrong of [{ port: 0 }, { port: 65_536 }, { address: 'a.example' }])
      assert.equal(a.links.sendToFlow('b', 'u0', { ...target, ...wrong }, message), false);
    assert.equal(a.counters.get('link_sip_drops', 'bad_flow'), 4);
    assert.ok(a.links.sendToFlow('b', 'u0', target, message));
    await b.until(() => b.toFlow.length === 1);
    assert.equal(b.counters.get('link_violations', 'malformed'), 0);
  });

  it('carry a question and its claim to the directory and the answer back', async () => {
    const a = peer('a');
    const b = peer('b');
    await linked(a, b);
    b.onAsk = (_transaction, claim) => claim;
    assert.deepEqual(await asked(a, [question('b', 'i7', toC)]), toC);
    assert.deepEqual(b.asked, [{ transaction: 'i7', claim: toC }]);
    assert.equal(await asked(a, [question('b', 'i8')]), undefined);
    assert.equal(a.counters.get('link_asks', 'known'), 1);
    assert.equal(a.counters.get('link_asks', 'unknown'), 1);
  });

  it('end with the first directory that knows, whatever the others say', async () => {
    const [a, b, c] = [peer('a'), peer('b'), peer('c')];
    await linked(a, b, c);
    b.onAsk = () => undefined;
    c.onAsk = () => toC;
    assert.deepEqual(await asked(a, [question('b'), question('c'), question('gone')]), toC);
    assert.equal(a.counters.get('link_ask_drops', 'not_up'), 1);
    c.onAsk = () => undefined;
    assert.equal(await asked(a, [question('b'), question('c')]), undefined);
    assert.equal(a.counters.get('link_asks', 'unknown'), 1);
  });

  it('never answer before the call returns, with links or without', async () => {
    const a = peer('a');
    await a.links.start();
    for (const questions of [[], [question('nobody')]]) {
      let isReturned = false;
      const answer = new Promise<boolean>((resolve) => {
        a.links.ask(questions, (assignment) => {
          assert.equal(assignment, undefined);
          resolve(isReturned);
        });
      });
      isReturned = true;
      assert.equal(await answer, true);
    }
  });

  it('serve a thousand questions in a few batches', async () => {
    const a = peer('a', { limits: { askTimeoutMs: 60_000 } });
    const b = peer('b');
    await linked(a, b);
    b.onAsk = (transaction) => ({ instance: transaction, keyDigest: '' });
    const batchesBefore = a.counters.get('link_batches', 'sent');
    const names = Array.from({ length: 1_000 }, (_, index) => `i${index}`);
    const answers = await Promise.all(names.map((name) => asked(a, [question('b', name)])));
    assert.deepEqual(
      answers.map((answer) => answer?.instance),
      names,
    );
    assert.equal(a.counters.get('link_batches', 'sent') - batchesBefore, 16);
    assert.equal(a.counters.get('link_asks', 'known'), 1_000);
  });

  it('fail at once when the link breaks', async () => {
    const a = peer('a', { limits: { askTimeoutMs: 60_000 } });
    const b = peer('b');
    await Promise.all([a.links.start(), b.links.start()]);
    const cable = await Cable.to(b.links.port);
    a.links.setPeers([b.member(cable.address)]);
    b.links.setPeers([a.member()]);
    await a.untilUp(b);
    b.onAsk = () => {
      cable.cut();
      return toB;
    };
    const answers = await Promise.all([asked(a, [question('b')]), asked(a, [question('b')])]);
    assert.deepEqual(answers, [undefined, undefined]);
    assert.equal(a.counters.get('link_ask_drops', 'broken'), 2);
    assert.equal(a.counters.get('link_asks', 'timeout'), 0);
  });

  it('fail at once when the peer leaves the membership or the links stop', async () => {
    const a = peer('a', { limits: { askTimeoutMs: 60_000 } });
    const b = peer('b');
    await linked(a, b);
    const removed = asked(a, [question('b')]);
    a.links.setPeers([]);
    assert.equal(await removed, undefined);
  });

  it('are answered by a peer that leaves, as long as its lane stands', async () => {
    const a = peer('a');
    const b = peer('b');
    await linked(a, b);
    b.onAsk = () => toB;
    // An exchange that runs keeps the lanes after the goodbye.
    const served = new Recorder();
    b.serve = (_request, _envelope, response) => {
      response.head(okResponse);
      return served;
    };
    const response = new Recorder();
    a.links.openHttp('b', getRequest, envelope, response);
    await response.until(({ heads }) => heads.length === 1);
    const stopped = b.links.stop(60_000);
    b.links.sendSipResponse('a', Buffer.from('after the goodbye'));
    await a.until(() => a.responses.length === 1);
    assert.equal(a.links.isUp('b'), false);
    assert.deepEqual(await asked(a, [question('b')]), toB);
    a.links.setPeers([]);
    await stopped;
  });

  it('go on after a directory that throws, and after a waiting call that throws', async () => {
    const a = peer('a');
    const b = peer('b');
    await linked(a, b);
    b.onAsk = () => {
      throw new Error('a defect');
    };
    assert.equal(await asked(a, [question('b')]), undefined);
    assert.equal(b.counters.get('link_sip_drops', 'handler_failed'), 1);
    b.onAsk = () => toB;
    a.links.ask([question('b')], () => {
      throw new Error('a defect');
    });
    assert.deepEqual(await asked(a, [question('b')]), toB);
    assert.equal(a.counters.get('link_sip_drops', 'handler_failed'), 1);
    assert.ok(a.links.isUp('b'));
  });
});

describe('asks that wait', () => {
  function setUp(limits: Partial<LinkLimits> = {}): {
    asks: Asks;
    counters: Counters;
    lane: (takesFrames?: boolean) => AskedLane;
  } {
    const counters = new Counters();
    const all = { ...defaultLimits, ...limits };
    const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
    return {
      asks: new Asks(all, counters, log),
      counters,
      lane: (takesFrames = true) => {
        const outbox = new Outbox({ write: () => undefined }, all, counters, () => undefined);
        if (!takesFrames) outbox.close();
        return { outbox };
      },
    };
  }

  it('end when their time is up, all by one timer, which then stops', async () => {
    const { asks, counters, lane } = setUp({ askTimeoutMs: 5 });
    const silent = lane();
    const answers = Array.from(
      { length: 100 },
      () =>
        new Promise<Assignment | undefined>((resolve) => {
          asks.ask([question('b'), question('c')], () => silent, resolve);
        }),
    );
    assert.ok(asks.isSweeping);
    assert.equal(asks.size, 100);
    for (const answer of await Promise.all(answers)) assert.equal(answer, undefined);
    assert.equal(asks.size, 0);
    assert.equal(asks.isSweeping, false);
    assert.equal(counters.get('link_asks', 'timeout'), 100);
    // The numbers of the first ask: its time was up long ago.
    assert.ok(asks.answer(silent, 1, toB));
    assert.equal(counters.get('link_ask_drops', 'late'), 1);
  });

  it('do not run on from one sweep to the next', async () => {
    const { asks, counters, lane } = setUp({ askTimeoutMs: 5 });
    const silent = lane();
    const again = await new Promise<Assignment | undefined>((resolve) => {
      asks.ask(
        [question('b')],
        () => silent,
        () => {
          asks.ask([question('b')], () => silent, resolve);
        },
      );
    });
    assert.equal(again, undefined);
    assert.equal(counters.get('link_asks', 'timeout'), 2);
  });

  it('are answered once: what comes later is counted', () => {
    const { asks, counters, lane } = setUp();
    const [one, other] = [lane(), lane()];
    const answers: (Assignment | undefined)[] = [];
    asks.ask(
      [question('b'), question('c')],
      (peer) => (peer === 'b' ? one : other),
      (answer) => {
        answers.push(answer);
      },
    );
    assert.ok(asks.answer(other, 2, toC));
    assert.ok(asks.answer(one, 1, toB));
    assert.deepEqual(answers, [toC]);
    assert.equal(counters.get('link_ask_drops', 'late'), 1);
    asks.laneGone(one);
    asks.laneGone(other);
    assert.deepEqual(answers, [toC]);
  });

  it('take no answer on another lane than they were asked on, nor one that nobody asked for', () => {
    const { asks, lane } = setUp();
    const [one, other] = [lane(), lane()];
    const answers: (Assignment | undefined)[] = [];
    asks.ask(
      [question('b')],
      () => one,
      (answer) => answers.push(answer),
    );
    assert.equal(asks.answer(other, 1, toB), false);
    assert.equal(asks.answer(one, 2, toB), false);
    assert.deepEqual(answers, []);
    assert.ok(asks.answer(one, 1, undefined));
    assert.deepEqual(answers, [undefined]);
  });

  it('wait for the other lane when one is gone', () => {
    const { asks, counters, lane } = setUp();
    const [one, other] = [lane(), lane()];
    const answers: (Assignment | undefined)[] = [];
    asks.ask(
      [question('b'), question('c')],
      (peer) => (peer === 'b' ? one : other),
      (answer) => {
        answers.push(answer);
      },
    );
    asks.laneGone(one);
    assert.deepEqual(answers, []);
    assert.ok(asks.answer(other, 2, toC));
    assert.deepEqual(answers, [toC]);
    assert.equal(counters.get('link_ask_drops', 'broken'), 1);
  });

  it('are bounded: one more is told that nothing is known', async () => {
    const { asks, counters, lane } = setUp({ asksMax: 2, questionsPerAskMax: 3 });
    const silent = lane();
    asks.ask(
      [question('b')],
      () => silent,
      () => undefined,
    );
    const many = Array.from({ length: 5 }, () => question('b'));
    asks.ask(
      many,
      () => silent,
      () => undefined,
    );
    assert.equal(counters.get('link_ask_drops', 'limit'), 2);
    const refused = await new Promise((resolve) => {
      asks.ask([question('b')], () => silent, resolve);
    });
    assert.equal(refused, undefined);
    assert.equal(counters.get('link_asks', 'limit'), 1);
    assert.equal(asks.size, 2);
  });

  it('end when their lane closes in the same turn', async () => {
    const { asks, counters, lane } = setUp();
    const closed = lane(false);
    const answer = await new Promise((resolve) => {
      asks.ask([question('b')], () => closed, resolve);
    });
    assert.equal(answer, undefined);
    assert.equal(counters.get('link_ask_drops', 'not_up'), 1);
    assert.equal(asks.size, 0);
  });
});
