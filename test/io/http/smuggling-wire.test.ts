import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { corpus, type SmugglingCase } from '../../http/smuggling/corpus.ts';
import { bytewise, seeded, split } from '../../http/smuggling/reading.ts';
import { exchange, RawClient, type Rig, startRig } from './http-rig.ts';
import { until } from './listener-parts.ts';
import { answersIn, type Judge, startJudge } from './smuggling-judge.ts';

/** Sent behind everything: served by itself where the connection goes on, never where it does not. */
const last = 'GET /last HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n';
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function send(client: RawClient, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    if (!client.socket.writable) return;
    client.socket.write(piece);
    // Each piece is read by itself.
    if (pieces.length > 1) await turn();
  }
}

/** What the client of one case sent and got. */
async function play(
  t: TestContext,
  rig: Rig,
  known: SmugglingCase,
  pieces: readonly Buffer[],
): Promise<string> {
  const client = new RawClient(t, rig.port);
  await new Promise((resolve) => client.socket.once('connect', resolve));
  await send(client, pieces);
  if (!known.isWaiting) {
    await send(client, [Buffer.from(last)]);
    return client.end();
  }
  // When another client has its answer, these bytes have long been read.
  await exchange(t, rig.port, last);
  client.socket.end();
  return client.end();
}

function expectedAnswers(known: SmugglingCase): number[] {
  // A method that the judge does not know gets 400 of the judge itself.
  const answers = known.upstream.map(() => (known.isJudged ? 200 : 400));
  if (known.refused !== undefined) return [...answers, known.refused];
  return known.isClosed || known.isWaiting ? answers : [...answers, 200];
}

function checkUpstream(known: SmugglingCase, judge: Judge): void {
  const isLastServed = known.refused === undefined && !known.isClosed;
  assert.deepEqual(
    judge.requests.map(({ text }) => text),
    [...(known.isJudged ? known.upstream : []), ...(isLastServed ? ['GET /last'] : [])],
  );
  assert.deepEqual([...new Set(judge.faults)], known.isJudged ? [] : ['HPE_INVALID_METHOD']);
  const [firstHead] = judge.bytes.split('\r\n\r\n', 1);
  assert.doesNotMatch(firstHead!, /(?<!\r)\n|\r(?!\n)/, 'lines end with CRLF');
  for (const { text, marks } of judge.requests) assert.equal(marks, 1, `${text} passed the peer`);
  if (!known.isJudged) {
    assert.ok(
      judge.bytes.startsWith(`${known.upstream[0]!.split(' ').slice(0, 2).join(' ')} HTTP`),
    );
    assert.equal(judge.bytes.split('proxy-beroute').length, 3);
  }
}

function checkHeaders(known: SmugglingCase, judge: Judge): void {
  const [first] = judge.requests;
  if (known.host !== undefined) assert.equal(first?.host, known.host);
  for (const name of known.with) assert.ok(first?.headers.includes(name), `has ${name}`);
  for (const name of known.without) {
    assert.ok(!first?.trailers.includes(name.replace(/^-/, '')), `no trailer ${name}`);
    if (!name.startsWith('-')) assert.ok(!first?.headers.includes(name), `no header ${name}`);
  }
}

describe('the corpus of ambiguous requests, on the wire', { concurrency: 4 }, () => {
  for (const known of corpus) {
    it(`${known.name}: ${known.why}`, { todo: known.todo ?? false, timeout: 10_000 }, async (t) => {
      const judge = await startJudge(t);
      const rig = await startRig(t, { instances: { p1: judge.port } });
      const ways = [
        [known.bytes],
        bytewise(known.bytes),
        split(known.bytes, seeded(known.bytes.length)),
      ];
      const methods = known.upstream.map((text) => text.slice(0, text.indexOf(' ')));
      for (const pieces of ways) {
        judge.clear();
        const text = await play(t, rig, known, pieces);
        assert.deepEqual(answersIn(text, methods), expectedAnswers(known));
        checkUpstream(known, judge);
        checkHeaders(known, judge);
        if (known.code !== undefined) {
          assert.ok(rig.counters.get('http_faults', known.code) > 0, known.code);
        }
        // What was begun and not ended is broken off: its connection serves nobody any more.
        await until(() => judge.begun === 0);
        if (!known.isBroken && !known.isWaiting) assert.equal(judge.broken, 0);
      }
      assert.equal(rig.counters.get('http_defects', 'connection'), 0);
    });
  }
});

describe('bytes behind an upgrade', () => {
  const upgrade =
    'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    'Sec-WebSocket-Version: 99\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
  const hidden = 'GET /hidden HTTP/1.1\r\nHost: evil\r\nproxy-beroute: evil\r\n\r\n';

  it('reach the server as a request that the peer has read, or not at all, when it refuses', async (t) => {
    const judge = await startJudge(t);
    const rig = await startRig(t, { instances: { p1: judge.port } });
    const text = await exchange(t, rig.port, upgrade + hidden + last);
    assert.equal(judge.requests[0]?.text, 'GET /chat');
    const marks = judge.requests.map((request) => request.marks);
    assert.deepEqual(new Set(marks), new Set([1]));
    assert.deepEqual(judge.faults, []);
    assert.doesNotMatch(judge.bytes, /proxy-beroute: evil/);
    assert.ok(!answersIn(text, []).some((answer) => typeof answer === 'string'), text);
  });
});
