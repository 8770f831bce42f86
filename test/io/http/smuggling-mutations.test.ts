import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { describe, it } from 'node:test';
import { corpus } from '../../http/smuggling/corpus.ts';
import { readRequests, seeded } from '../../http/smuggling/reading.ts';
import { exchange, RawClient, startRig } from './http-rig.ts';
import { until } from './listener-parts.ts';
import { Judge, startJudge } from './smuggling-judge.ts';

const seed = 20_240_607;
/** What readers stumble over. */
const morsels = [
  ...[
    '\r',
    '\n',
    '\0',
    '\t',
    ' ',
    '\x0b',
    '\x0c',
    '\x7f',
    '\x80',
    '\xa0',
    ':',
    ',',
    ';',
    '"',
    '0',
    '+',
  ],
  ...[
    '\r\n',
    '\r\n\r\n',
    '\n\n',
    'chunked',
    'identity',
    '0\r\n\r\n',
    '3\r\nabc\r\n',
    'HTTP/1.0',
    'x',
  ],
  ...['Content-Length: 5\r\n', 'Content-Length: 3\r\n', 'Transfer-Encoding: chunked\r\n'],
  ...['Host: b\r\n', 'Connection: close\r\n', 'Expect: 100-continue\r\n', 'GET /x HTTP/1.1\r\n'],
].map((text) => Buffer.from(text, 'latin1'));
const bases = corpus.filter(({ bytes, isJudged }) => isJudged && bytes.length < 500);

const accepted = bases.filter(({ upstream }) => upstream.length > 0);

const judgedMethods = /^(?:GET|HEAD|POST|PUT|DELETE|OPTIONS) /;

type Random = () => number;
const below = (random: Random, end: number): number => Math.floor(random() * end);

function mutated(bytes: Buffer, random: Random): Buffer {
  const at = below(random, bytes.length + 1);
  const end = Math.min(bytes.length, at + 1 + below(random, 12));
  const [before, inside, behind] = [
    bytes.subarray(0, at),
    bytes.subarray(at, end),
    bytes.subarray(end),
  ];
  const morsel = morsels[below(random, morsels.length)]!;
  switch (below(random, 5)) {
    case 0:
      return Buffer.concat([before, morsel, inside, behind]);
    case 1:
      return Buffer.concat([before, behind]);
    case 2:
      return Buffer.concat([before, morsel, behind]);
    case 3:
      return Buffer.concat([before, inside, inside, behind]);
    default: {
      const lines = bytes.toString('latin1').split('\r\n');
      const line = lines[below(random, lines.length)]!;
      lines.splice(below(random, lines.length), below(random, 2), line);
      return Buffer.from(lines.join('\r\n'), 'latin1');
    }
  }
}

function mutants(count: number, random: Random): Buffer[] {
  return Array.from({ length: count }, () => {
    // Most mutants of what is refused are refused.
    const origin = random() < 0.7 ? accepted : bases;
    let { bytes } = origin[below(random, origin.length)]!;
    for (let rounds = 1 + below(random, 2); rounds > 0; rounds--) bytes = mutated(bytes, random);
    return bytes;
  });
}

/** How a reader that keeps absolute-form targets would have said it. */
const inOriginForm = (text: string): string =>
  text
    .replace(/^(OPTIONS) https?:\/\/[^/? ]+(?= |$)/i, '$1 *')
    .replace(/^(\S+) https?:\/\/[^/? ]*/i, '$1 ')
    .replace(/^(\S+) (?=\?)/, '$1 /')
    .replace(/^(\S+) (?= |$)/, '$1 /');

/** What the strict parser of `node:http` makes of the same bytes. */
async function judged(bytes: Buffer): Promise<string[]> {
  const judge = new Judge();
  const [client, server] = duplexPair();
  judge.accept(server);
  client.on('error', () => undefined).resume();
  client.end(bytes);
  await new Promise((resolve) => client.once('close', resolve));
  return judge.requests.map(({ text }) => inOriginForm(text));
}

describe(`mutations of the corpus, seed ${seed}`, () => {
  it('are understood alike by the parser of node:http wherever both accept', async () => {
    let agreed = 0;
    for (const bytes of mutants(2_000, seeded(seed))) {
      const ours = readRequests([bytes]).requests;
      const theirs = await judged(bytes);
      const both = Math.min(ours.length, theirs.length);
      assert.deepEqual(
        ours.slice(0, both),
        theirs.slice(0, both),
        JSON.stringify(bytes.toString('latin1')),
      );
      agreed += both;
    }
    assert.ok(agreed > 400, `${agreed} requests were read by both`);
  });

  it('reach an upstream server as the requests that were read, neither more nor fewer', async (t) => {
    const judge = await startJudge(t);
    const rig = await startRig(t, { instances: { p1: judge.port } });
    const probe = 'GET /probe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    let passed = 0;
    for (const bytes of mutants(1_000, seeded(seed + 1))) {
      const { requests, fault, isClosed, isUpgrade } = readRequests([bytes]);
      const isJudged = requests.every((text) => judgedMethods.test(text));
      if (isUpgrade || !isJudged) continue;
      passed += requests.length;
      judge.clear();
      const client = new RawClient(t, rig.port);
      client.socket.write(bytes);
      if (fault !== undefined || isClosed) {
        await client.end();
      } else {
        await until(() => judge.requests.length >= requests.length);
        await exchange(t, rig.port, probe);
        client.socket.destroy();
        requests.push('GET /probe');
      }
      await until(() => judge.begun === 0);
      assert.deepEqual(
        judge.requests.map(({ text }) => text),
        requests,
        JSON.stringify(bytes.toString('latin1')),
      );
      // The head of one that is not complete.
      const faults = judge.faults.filter((code) => code !== 'HPE_INVALID_METHOD');
      assert.deepEqual(faults, []);
    }
    assert.ok(passed > 200, `${passed} requests went through`);
    assert.equal(rig.counters.get('http_defects', 'connection'), 0);
  });
});
