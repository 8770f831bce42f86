import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  announcementTags,
  memberStatus,
  readAnnouncement,
  type Announcement,
} from '../../src/pipeline/view.ts';

const announced: Announcement = {
  epoch: 4_102_444_800,
  status: 'draining',
  weight: 2,
  link: 'link.example:7947',
  sipInternal: '192.0.2.1:5061',
  sipTransport: 'TCP',
  applications: [],
};

describe('what a peer announces of what all peers share', () => {
  it('is read as it was written', () => {
    const both = { ...announced, stateDigest: 'A-_9zzzz', rulesDigest: 'none' };
    assert.deepEqual(readAnnouncement(announcementTags(both)), both);
  });

  it('may be left out, as peers of other versions do, or be no digest', () => {
    const tags = announcementTags(announced);
    assert.deepEqual(readAnnouncement(tags), announced);
    assert.deepEqual(readAnnouncement({ ...tags, cs: 'no digest', dcr: '' }), announced);
  });
});

describe('what an operator sees of a member', () => {
  const member = {
    name: 'peer-2',
    address: '192.0.2.2',
    port: 7946,
    state: 'alive',
    incarnation: 1,
  } as const;

  it('is what gossip and the member say, with the digest of its state', () => {
    const tags = announcementTags({ ...announced, stateDigest: 'A-_9zzzz' });
    assert.deepEqual(memberStatus({ ...member, tags }), {
      name: 'peer-2',
      state: 'alive',
      address: '192.0.2.2:7946',
      status: 'draining',
      weight: 2,
      stateDigest: 'A-_9zzzz',
    });
  });

  it('is less of a member that is no peer', () => {
    assert.deepEqual(memberStatus({ ...member, tags: {} }), {
      name: 'peer-2',
      state: 'alive',
      address: '192.0.2.2:7946',
      status: undefined,
      weight: 0,
    });
  });
});
