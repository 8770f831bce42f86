import { encode } from '@msgpack/msgpack';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gossipLimits } from '../../src/config/defaults.ts';
import { Keyring, type Member } from '../../src/gossip/index.ts';
import { SerfDelegate } from '../../src/gossip/serf-delegate.ts';
import type { SerfEffect, SerfInput } from '../../src/gossip/serf-effect.ts';
import { changeKeys, keyQuery } from '../../src/gossip/serf-keys.ts';
import {
  decodeKeyAnswer,
  decodeSerfMessage,
  encodeIntent,
  encodeQuery,
  encodeResponse,
  type Intent,
  type KeyAnswer,
  type Query,
  type SerfMessage,
} from '../../src/gossip/serf-message.ts';
import { unwrapUserState, wrapUserState, type SerfState } from '../../src/gossip/serf-state.ts';

function member(name: string, port: number, state: Member['state'] = 'alive'): Member {
  return { name, address: '10.0.0.1', port, tags: {}, state, incarnation: 1 };
}

const self = member('self', 1);
const other = member('other', 2);

type EffectOf<K extends SerfEffect['kind']> = Extract<SerfEffect, { kind: K }>;

/** A delegate, and what it wanted done so far. */
class Observed {
  readonly delegate: SerfDelegate;
  readonly effects: SerfEffect[] = [];
  now = 0;

  constructor(members: readonly Member[] = [self, other]) {
    const endpoint = { address: self.address, port: self.port };
    this.delegate = new SerfDelegate({
      name: 'self',
      endpoint,
      random: () => 0.5,
      members: () => members,
    });
  }

  input(input: SerfInput): readonly SerfEffect[] {
    const effects = this.delegate.handle(input, this.now);
    this.effects.push(...effects);
    return effects;
  }

  message(bytes: Uint8Array): readonly SerfEffect[] {
    return this.input({ kind: 'message', bytes });
  }

  all<K extends SerfEffect['kind']>(kind: K): readonly EffectOf<K>[] {
    return this.effects.filter((effect): effect is EffectOf<K> => effect.kind === kind);
  }

  /** What was told to all, newest last. */
  told(): readonly SerfMessage[] {
    return this.all('broadcast').map(({ bytes }) => read(bytes));
  }

  drops(): readonly string[] {
    return this.all('count')
      .filter(({ name }) => name === 'gossip_drops')
      .map(({ reason }) => reason);
  }

  /** What full syncs carry now. */
  state(): SerfState {
    this.now += gossipLimits.serfStateIntervalMs;
    this.input({ kind: 'timer' });
    const last = this.all('userState').at(-1);
    assert.ok(last !== undefined);
    const unwrapped = unwrapUserState(last.bytes);
    assert.ok(unwrapped.ok);
    return unwrapped.value.serf;
  }
}

function read(bytes: Uint8Array): SerfMessage {
  const decoded = decodeSerfMessage(bytes);
  assert.ok(decoded.ok);
  return decoded.value;
}

function intent(kind: Intent['kind'], node: string, time: number): Uint8Array {
  return encodeIntent({ kind, node, time });
}

function stateOf(serf: Partial<SerfState>, own: Uint8Array = new Uint8Array(0)): SerfInput {
  const none = { time: 1, eventTime: 1, queryTime: 1, statusTimes: new Map(), leftMembers: [] };
  return { kind: 'state', bytes: wrapUserState(own, { ...none, ...serf }), from: 'other' };
}

describe('joining and leaving among serf agents', () => {
  it('is told with a time that is later than all that others said', () => {
    const peer = new Observed();
    const statusTimes = new Map([
      ['other', 4],
      ['self', 17],
    ]);
    peer.input(stateOf({ time: 20, statusTimes, leftMembers: ['self'] }));
    assert.deepEqual(peer.told(), [{ kind: 'join', time: 20, node: 'self' }]);
    peer.input({ kind: 'leave' });
    peer.input({ kind: 'leave' });
    const [leave, again] = peer.all('leaveIntent');
    assert.equal(again, undefined);
    assert.deepEqual(read(leave!.bytes), { kind: 'leave', time: 21, node: 'self' });
    assert.deepEqual(peer.state(), {
      time: 22,
      eventTime: 1,
      queryTime: 1,
      statusTimes: new Map([
        ['self', 21],
        ['other', 4],
      ]),
      leftMembers: ['self'],
    });
  });

  it('is told at the first full sync only', () => {
    const peer = new Observed();
    peer.input(stateOf({ time: 5 }));
    peer.input(stateOf({ time: 9 }));
    assert.equal(peer.told().length, 1);
  });

  it('of others is passed on once, and not when it is old', () => {
    const peer = new Observed();
    peer.message(intent('leave', 'other', 5));
    peer.message(intent('leave', 'other', 5));
    peer.message(intent('join', 'other', 4));
    assert.deepEqual(peer.told(), [{ kind: 'leave', time: 5, node: 'other' }]);
    assert.deepEqual(peer.state().leftMembers, ['other']);
    peer.message(intent('join', 'other', 6));
    assert.deepEqual(peer.state().leftMembers, []);
    assert.equal(peer.state().time, 7);
  });

  it('is denied when others say that we go, and kept when we do', () => {
    const peer = new Observed();
    peer.message(intent('leave', 'self', 30));
    peer.message(intent('leave', 'self', 30));
    assert.deepEqual(peer.told(), [{ kind: 'join', time: 31, node: 'self' }]);
    peer.input({ kind: 'leave' });
    peer.message(intent('leave', 'self', 40));
    assert.deepEqual(peer.told().at(-1), { kind: 'leave', time: 40, node: 'self' });
  });

  it('of members that nobody knows is not told in full syncs', () => {
    const peer = new Observed();
    peer.message(intent('leave', 'stranger', 5));
    assert.equal(peer.told().length, 1);
    assert.deepEqual([...peer.state().statusTimes.keys()], []);
  });

  it('is remembered of 4,096 members, the latest', () => {
    const peer = new Observed([self]);
    const max = gossipLimits.serfIntentsMax;
    for (let i = 0; i <= max; i++) peer.message(intent('join', `m${i}`, 1));
    assert.equal(peer.message(intent('join', `m${max}`, 1)).length, 0);
    assert.equal(
      peer.message(intent('join', 'm0', 1)).some(({ kind }) => kind === 'broadcast'),
      true,
    );
  });

  it('cannot be driven to the end of time', () => {
    const peer = new Observed();
    peer.message(intent('join', 'other', gossipLimits.lamportTimeMax));
    assert.equal(peer.state().time, gossipLimits.lamportTimeMax);
    peer.message(intent('join', 'self', gossipLimits.lamportTimeMax));
    assert.equal(peer.state().time, gossipLimits.lamportTimeMax);
  });
});

describe('the state of the cluster', () => {
  it('travels inside that of serf', () => {
    const [one, two] = [new Observed(), new Observed()];
    const bytes = Buffer.from('rules');
    one.input({ kind: 'setOwnState', bytes });
    const wrapped = one.all('userState').at(-1)!.bytes;
    two.input({ kind: 'state', bytes: wrapped, from: 'other' });
    const [own] = two.all('ownState');
    assert.equal(Buffer.from(own!.bytes).toString(), 'rules');
    assert.equal(own!.from, 'other');
  });

  it('is not heard from agents, and rubbish is counted', () => {
    const peer = new Observed();
    peer.input(stateOf({}));
    peer.input({ kind: 'state', bytes: Uint8Array.of(2, 0xc1), from: undefined });
    peer.input({ kind: 'state', bytes: Uint8Array.of(3), from: undefined });
    assert.deepEqual(peer.all('ownState'), []);
    assert.deepEqual(peer.drops(), ['serf-malformed', 'serf-unsupported']);
  });

  it('above 4 MiB is refused', () => {
    const peer = new Observed();
    const bytes = new Uint8Array(gossipLimits.ownStateBytesMax + 1);
    assert.throws(() => peer.input({ kind: 'setOwnState', bytes }), RangeError);
    peer.input({ kind: 'setOwnState', bytes: bytes.subarray(1) });
    assert.equal(peer.all('userState').length, 1);
  });

  it('is encoded once for all that agents say in a short time', () => {
    const peer = new Observed();
    for (let time = 1; time <= 200; time++) peer.message(intent('join', `m${time}`, time));
    assert.equal(peer.all('userState').length, 1);
    assert.deepEqual(peer.all('wake'), [{ kind: 'wake', at: gossipLimits.serfStateIntervalMs }]);
    peer.now = gossipLimits.serfStateIntervalMs;
    peer.input({ kind: 'timer' });
    assert.equal(peer.all('userState').length, 2);
    assert.equal(peer.state().time, 201);
  });

  it('is encoded again only after a change', () => {
    const peer = new Observed();
    peer.message(intent('join', 'other', 5));
    const before = peer.all('userState').length;
    peer.message(intent('join', 'other', 5));
    peer.message(Uint8Array.of(99));
    assert.equal(peer.all('userState').length, before);
  });
});

const question: Query = {
  kind: 'query',
  time: 3,
  id: 77,
  source: { address: other.address, port: other.port },
  sourceNode: 'other',
  filters: [],
  isAckWanted: false,
  isForUsAlone: false,
  timeoutMs: 3_200,
  name: 'something',
  payload: new Uint8Array(0),
};

function names(...list: readonly string[]): Uint8Array {
  return Buffer.concat([Uint8Array.of(0), encode(list)]);
}

describe('questions to all members', () => {
  it('are passed on once and not answered, unless it is to be said that they came', () => {
    const peer = new Observed();
    const bytes = encodeQuery(question);
    peer.message(bytes);
    peer.message(bytes);
    assert.deepEqual(
      peer.all('broadcast').map((effect) => effect.bytes),
      [bytes],
    );
    assert.deepEqual(peer.all('sendUser'), []);
    assert.equal(peer.state().queryTime, 4);
    peer.message(encodeQuery({ ...question, id: 78, isAckWanted: true }));
    const [ack] = peer.all('sendUser');
    assert.deepEqual(ack!.to, question.source);
    const expected = { kind: 'queryResponse', time: 3, id: 78, from: 'self', isAck: true };
    assert.deepEqual(read(ack!.bytes), { ...expected, payload: new Uint8Array(0) });
  });

  it('for one member are not passed on', () => {
    const peer = new Observed();
    peer.message(encodeQuery({ ...question, isForUsAlone: true, isAckWanted: true }));
    assert.deepEqual(peer.all('broadcast'), []);
    assert.equal(peer.all('sendUser').length, 1);
  });

  it('for others are passed on only: by name, by a tag, by what we do not know', () => {
    const rows: readonly (readonly [number, readonly Uint8Array[]])[] = [
      [0, [names('other')]],
      [0, [Buffer.concat([Uint8Array.of(1), encode({ Tag: 'zone', Expr: '.*' })])]],
      [0, [names('self'), names('other')]],
      [0, [Uint8Array.of(7)]],
      [0, [new Uint8Array(0)]],
      [1, [names('other', 'self')]],
    ];
    for (const [answers, filters] of rows) {
      const peer = new Observed();
      peer.message(encodeQuery({ ...question, filters, isAckWanted: true }));
      assert.equal(peer.all('broadcast').length, 1);
      assert.equal(peer.all('sendUser').length, answers);
    }
  });

  it('by strangers are passed on, but nothing is sent where they say', () => {
    const peer = new Observed();
    const source = { address: '192.0.2.1', port: 53 };
    peer.message(encodeQuery({ ...question, source, isAckWanted: true }));
    assert.equal(peer.all('broadcast').length, 1);
    assert.deepEqual(peer.all('sendUser'), []);
    assert.deepEqual(peer.drops(), ['serf-stranger']);
  });

  it('of long ago are dropped, and the 65th of one time', () => {
    const peer = new Observed();
    peer.message(encodeQuery({ ...question, time: 2_000 }));
    peer.message(encodeQuery({ ...question, time: 2_001 - gossipLimits.serfTimesMax - 1 }));
    peer.message(encodeQuery({ ...question, time: 2_000 - gossipLimits.serfTimesMax }));
    assert.deepEqual(peer.drops(), ['serf-old', 'serf-old']);
    for (let id = 0; id < gossipLimits.serfIdsPerTimeMax; id++) {
      peer.message(encodeQuery({ ...question, time: 2_000, id }));
    }
    assert.deepEqual(peer.drops(), ['serf-old', 'serf-old', 'serf-full']);
  });

  it('are told at most 64 at once', () => {
    const peer = new Observed();
    for (let time = 1; time <= 200; time++) peer.message(encodeQuery({ ...question, time }));
    assert.equal(peer.all('broadcast').length, 200);
    const subjects = new Set(peer.all('broadcast').map(({ name }) => name));
    assert.equal(subjects.size, gossipLimits.serfBroadcastsMax);
  });
});

describe('events', () => {
  it('are passed on once each', () => {
    const event = (time: number, name: string): Uint8Array =>
      Buffer.concat([
        Uint8Array.of(3),
        encode({ LTime: time, Name: name, Payload: 'x', CC: true }),
      ]);
    const peer = new Observed();
    for (const bytes of [event(5, 'a'), event(5, 'b'), event(5, 'a'), event(6, 'a')]) {
      peer.message(bytes);
    }
    assert.equal(peer.all('broadcast').length, 3);
    assert.equal(peer.state().eventTime, 7);
    peer.message(event(5_000, 'late'));
    peer.message(event(7, 'early'));
    assert.deepEqual(peer.drops(), ['serf-old']);
  });
});

describe('answers to relay', () => {
  it('go to members alone', () => {
    const relay = (port: number): Uint8Array =>
      Buffer.concat([
        Uint8Array.of(9),
        encode({
          DestAddr: { IP: Uint8Array.of(10, 0, 0, 1), Port: port, Zone: '' },
          DestName: '',
        }),
        Uint8Array.of(5, 0x80),
      ]);
    const peer = new Observed();
    peer.message(relay(other.port));
    peer.message(relay(53));
    const [sent, none] = peer.all('sendUser');
    assert.deepEqual(sent, {
      kind: 'sendUser',
      to: { address: other.address, port: other.port },
      bytes: Uint8Array.of(5, 0x80),
    });
    assert.equal(none, undefined);
    assert.deepEqual(peer.drops(), ['serf-stranger']);
  });
});

const key = new Uint8Array(32).fill(1);
const done: KeyAnswer = { isDone: true, message: '', keys: [] };

/** A question about keys as `other` asks it. */
function keyQuestion(operation: Parameters<typeof keyQuery>[0]): Uint8Array {
  const options = {
    name: 'other',
    endpoint: question.source,
    random: () => 0,
    members: () => [],
  };
  return encodeQuery(keyQuery(operation, { id: 5, time: 9, timeoutMs: 1_000, options }));
}

function answerBy(from: string, asked: Query, answer: KeyAnswer): Uint8Array {
  const payload = Buffer.concat([
    Uint8Array.of(8),
    encode({ Result: answer.isDone, Message: answer.message, Keys: answer.keys }),
  ]);
  const { time, id } = asked;
  return encodeResponse({ kind: 'queryResponse', time, id, from, isAck: false, payload });
}

describe('operations on keys', () => {
  it('asked by others are done here and answered', () => {
    for (const operation of [
      { kind: 'install', key },
      { kind: 'use', key },
      { kind: 'remove', key },
      { kind: 'list' },
    ] as const) {
      const peer = new Observed();
      peer.message(keyQuestion(operation));
      assert.equal(peer.all('broadcast').length, 1);
      const [wanted] = peer.all('keys');
      assert.deepEqual(wanted!.operation, operation);
      const answer = { isDone: true, message: 'well', keys: ['AAAA'] };
      peer.input({ kind: 'keysDone', query: wanted!.query, answer });
      const [sent] = peer.all('sendUser');
      assert.deepEqual(sent!.to, question.source);
      const response = read(sent!.bytes);
      assert.ok(response.kind === 'queryResponse');
      assert.deepEqual([response.time, response.id, response.from], [9, 5, 'self']);
      assert.deepEqual(decodeKeyAnswer(response.payload), answer);
    }
  });

  it('without a key that can be read are only passed on', () => {
    const peer = new Observed();
    peer.message(encodeQuery({ ...question, name: '_serf_install-key' }));
    assert.equal(peer.all('broadcast').length, 1);
    assert.deepEqual(peer.all('keys'), []);
  });

  it('list as many keys as fit, and say so', () => {
    const peer = new Observed();
    peer.message(keyQuestion({ kind: 'list' }));
    const keys = Array.from({ length: 40 }, () => 'x'.repeat(44));
    const [wanted] = peer.all('keys');
    peer.input({ kind: 'keysDone', query: wanted!.query, answer: { ...done, keys } });
    const { bytes } = peer.all('sendUser')[0]!;
    assert.ok(bytes.length <= gossipLimits.serfResponseBytesMax);
    const response = read(bytes);
    assert.ok(response.kind === 'queryResponse');
    const answer = decodeKeyAnswer(response.payload);
    assert.equal(answer?.message, `only ${answer?.keys.length} of 40 keys fit`);
    assert.ok(answer.keys.length > 10);
  });

  it('asked here are told to all, and done when all have answered', () => {
    const peer = new Observed([
      self,
      other,
      member('third', 3, 'suspect'),
      member('gone', 4, 'dead'),
    ]);
    peer.input({ kind: 'askKeys', operation: { kind: 'use', key }, ticket: 1, timeoutMs: 500 });
    const [asked] = peer.told();
    assert.ok(asked?.kind === 'query');
    assert.equal(asked.name, '_serf_use-key');
    peer.message(encodeQuery(asked));
    assert.equal(peer.all('broadcast').length, 1);
    const [own, echo] = peer.all('keys');
    assert.equal(echo, undefined);
    peer.input({ kind: 'keysDone', query: own!.query, answer: done });
    const refusal = { isDone: false, message: 'no such key', keys: [] };
    peer.message(answerBy('other', asked, refusal));
    peer.message(answerBy('other', asked, done));
    peer.message(answerBy('nobody', asked, done));
    assert.deepEqual(peer.all('keyAnswers'), []);
    peer.message(answerBy('third', asked, done));
    const [result] = peer.all('keyAnswers');
    assert.equal(result?.ticket, 1);
    assert.equal(result.answers.of, 3);
    assert.deepEqual(
      [...result.answers.answers],
      [
        ['self', done],
        ['other', refusal],
        ['third', done],
      ],
    );
    peer.message(answerBy('third', asked, done));
    assert.deepEqual(peer.drops(), ['serf-stranger', 'serf-late']);
  });

  it('end in time with the answers that came', () => {
    const peer = new Observed();
    peer.now = 1_000;
    peer.input({ kind: 'askKeys', operation: { kind: 'list' }, ticket: 4, timeoutMs: 500 });
    assert.deepEqual(peer.all('wake'), [{ kind: 'wake', at: 1_500 }]);
    const [asked] = peer.told();
    assert.ok(asked?.kind === 'query');
    peer.message(answerBy('other', asked, { ...done, keys: ['AAAA'] }));
    peer.now = 1_499;
    peer.input({ kind: 'timer' });
    assert.deepEqual(peer.all('keyAnswers'), []);
    peer.now = 1_500;
    peer.input({ kind: 'timer' });
    const [result] = peer.all('keyAnswers');
    assert.deepEqual(result?.answers.of, 2);
    assert.deepEqual([...result.answers.answers.keys()], ['other']);
    const [own] = peer.all('keys');
    peer.input({ kind: 'keysDone', query: own!.query, answer: done });
    assert.equal(peer.all('keyAnswers').length, 1);
    assert.deepEqual(peer.all('sendUser'), []);
  });

  it('are asked at most 8 at once', () => {
    let id = 0;
    const delegate = new SerfDelegate({
      name: 'self',
      endpoint: { address: self.address, port: self.port },
      random: () => id++ / 100,
      members: () => [self, other],
    });
    const ask = (ticket: number): readonly SerfEffect[] =>
      delegate.handle({ kind: 'askKeys', operation: { kind: 'list' }, ticket, timeoutMs: 500 }, 0);
    for (let ticket = 0; ticket < gossipLimits.serfQuestionsMax; ticket++) {
      assert.ok(ask(ticket).some(({ kind }) => kind === 'broadcast'));
    }
    const kinds = ask(99).map(({ kind }) => kind);
    assert.deepEqual(kinds, ['keyAnswers', 'count']);
  });
});

describe('keys', () => {
  it('are changed as members are asked to', () => {
    const keyring = new Keyring([key]);
    const second = new Uint8Array(16).fill(2);
    const install = { kind: 'install', key: second } as const;
    assert.equal(changeKeys(undefined, install).message, 'gossip is not encrypted here');
    assert.equal(changeKeys(keyring, { kind: 'use', key: second }).isDone, false);
    assert.equal(changeKeys(keyring, install).isDone, true);
    assert.equal(changeKeys(keyring, install).isDone, true);
    assert.equal(changeKeys(keyring, { kind: 'use', key: second }).isDone, true);
    assert.deepEqual(changeKeys(keyring, { kind: 'list' }).keys, [
      Buffer.from(second).toString('base64'),
      Buffer.from(key).toString('base64'),
    ]);
    assert.equal(changeKeys(keyring, { kind: 'remove', key: second }).isDone, false);
    assert.equal(changeKeys(keyring, { kind: 'remove', key }).isDone, true);
    assert.equal(changeKeys(keyring, { kind: 'remove', key }).isDone, true);
    assert.equal(keyring.list().length, 1);
    assert.equal(
      changeKeys(keyring, { kind: 'install', key: new Uint8Array(5) }).message,
      'a key has 16, 24 or 32 bytes',
    );
  });
});
