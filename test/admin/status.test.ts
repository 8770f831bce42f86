import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withLinks, type MemberStatus } from '../../src/admin/index.ts';

const member: MemberStatus = {
  name: 'peer-2',
  state: 'alive',
  address: '127.0.0.1:7956',
  status: 'ready',
  weight: 1,
};

describe('the link to a member, for operators', () => {
  const cases: readonly (readonly [
    which: string,
    given: Partial<MemberStatus>,
    isUp: boolean,
    link: MemberStatus['link'],
  ])[] = [
    ['is up', {}, true, 'up'],
    ['is down', {}, false, 'down'],
    ['is told while gossip suspects the member', { state: 'suspect' }, false, 'down'],
    ['is told while the member joins', { status: 'joining' }, true, 'up'],
    ['is none to this peer', { name: 'peer-1' }, false, 'self'],
    ['is none to one that died', { state: 'dead' }, true, undefined],
    ['is none to one that left', { state: 'left' }, false, undefined],
    ['is none to one that is no peer', { status: undefined }, false, undefined],
  ];
  for (const [which, given, isUp, link] of cases) {
    it(which, () => {
      const seen = { ...member, ...given };
      const told = withLinks([seen], 'peer-1', (name) => isUp && name === seen.name);
      assert.deepEqual(told, [link === undefined ? seen : { ...seen, link }]);
    });
  }
});
