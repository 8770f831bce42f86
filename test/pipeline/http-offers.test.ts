import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HttpOffers } from '../../src/pipeline/http-offers.ts';
import { clusterView } from '../support/pipeline-parts.ts';
import { journeyOf, routed } from '../support/http-journeys.ts';

const names = ['p1', 'p2', 'p3', 'p4', 'p5'];
const view = clusterView('p5', Object.fromEntries(names.map((name) => [name, 'ready' as const])));

/** Those that are asked when these cannot be reached and all others refuse; `!`: as the last one. */
function asked(attemptsMax: number, ...unreached: readonly string[]): string[] {
  const { journey } = journeyOf({ view, routing: { attemptsMax } });
  const offers = new HttpOffers(routed(journey, '/'), journey.offersMax);
  const seen: string[] = [];
  while (offers.next()) {
    seen.push(offers.hasNext ? offers.instance : `${offers.instance}!`);
    if (unreached.includes(offers.instance)) offers.unreached();
    else offers.failed('refused');
  }
  return seen;
}

describe('the offers of a request', () => {
  it('are no more than allowed, without the own instance behind the others', () => {
    assert.deepEqual(asked(1), ['p1!']);
    assert.deepEqual(asked(3), ['p1', 'p2', 'p3!']);
  });

  it('leave one for the own instance when another could not be reached', () => {
    assert.deepEqual(asked(3, 'p1'), ['p1', 'p2', 'p3', 'p5!']);
    assert.deepEqual(asked(3, 'p1', 'p2'), ['p1', 'p2', 'p3', 'p5!']);
    assert.deepEqual(asked(3, 'p1', 'p2', 'p3'), ['p1', 'p2', 'p3', 'p5!']);
    // That the last of them cannot be reached is only known when it was asked as the last one.
    assert.deepEqual(asked(3, 'p3'), ['p1', 'p2', 'p3!', 'p5!']);
    assert.deepEqual(asked(1, 'p1'), ['p1!', 'p5!']);
  });

  it('ask each once, whoever can be reached', () => {
    assert.deepEqual(asked(8), ['p1', 'p2', 'p3', 'p4', 'p5!']);
    assert.deepEqual(asked(8, ...names), ['p1', 'p2', 'p3', 'p4', 'p5!']);
  });

  it('tell what became of them', () => {
    const { journey } = journeyOf({ view });
    const offers = new HttpOffers(routed(journey, '/'), journey.offersMax);
    assert.deepEqual([offers.instance, offers.isRepeated], ['', false]);
    offers.next();
    assert.deepEqual([offers.instance, offers.isRepeated], ['p1', false]);
    offers.unreached();
    assert.deepEqual([offers.isUntouched, offers.latestFailure], [true, undefined]);
    offers.next();
    assert.deepEqual([offers.instance, offers.isRepeated], ['p2', true]);
    offers.failed('refused');
    assert.deepEqual([offers.isUntouched, offers.latestFailure], [true, 'refused']);
    offers.next();
    offers.failed('broken');
    offers.next();
    offers.failed('refused');
    assert.deepEqual([offers.isUntouched, offers.latestFailure], [false, 'refused']);
  });
});
