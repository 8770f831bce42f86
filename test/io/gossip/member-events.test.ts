import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, it } from 'node:test';
import type { Member } from '../../../src/gossip/index.ts';
import { MemberEvents } from '../../../src/io/gossip/member-events.ts';
import { Counters } from '../../../src/pipeline/counters.ts';

const member: Member = {
  name: 'one',
  address: '10.0.0.1',
  port: 7_946,
  tags: {},
  state: 'suspect',
  incarnation: 3,
};

function record() {
  const lines: string[] = [];
  const counters = new Counters();
  const changes: (readonly Member[])[] = [];
  const line = (level: string) => (fields: object, message: string) => {
    lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  };
  const events = new MemberEvents({
    counters,
    log: { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') },
    members: () => [member],
    onChange: (members) => {
      changes.push(members);
    },
  });
  return { events, counters, lines, changes };
}

describe('what happens to members', () => {
  it('is logged with the accuser and counted each, and handed on once a turn', async () => {
    const { events, counters, lines, changes } = record();
    events.add({ kind: 'suspect', member, by: 'two' });
    events.add({ kind: 'fail', member, by: 'three' });
    assert.deepEqual(changes, []);
    await turn();
    assert.deepEqual(changes, [[member]]);
    const fields = '{"member":"one","at":"10.0.0.1:7946","incarnation":3,"by":';
    assert.deepEqual(lines, [
      `info a member is suspected ${fields}"two"}`,
      `warn a member failed ${fields}"three"}`,
    ]);
    assert.equal(counters.get('gossip_events', 'suspect'), 1);
    assert.equal(counters.get('gossip_events', 'fail'), 1);
    events.add({ kind: 'update', member });
    await turn();
    assert.equal(changes.length, 2);
  });

  it('is handed on no more once that is stopped', async () => {
    const { events, changes } = record();
    events.add({ kind: 'join', member });
    events.stop();
    await turn();
    assert.deepEqual(changes, []);
  });
});
