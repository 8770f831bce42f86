import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { announcementTags, readAnnouncement, type Announcement } from '../../src/pipeline/view.ts';

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
