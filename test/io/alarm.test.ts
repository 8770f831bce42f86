import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Alarm } from '../../src/io/alarm.ts';

/** An alarm on virtual time, and when it rang. */
function alarmOf(t: TestContext): { alarm: Alarm; rang: number[]; pass: (ms: number) => void } {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 1_000;
  const rang: number[] = [];
  const alarm = new Alarm(
    () => rang.push(nowMs),
    () => nowMs,
  );
  const pass = (ms: number): void => {
    for (let passed = 0; passed < ms; passed++) {
      nowMs++;
      t.mock.timers.tick(1);
    }
  };
  return { alarm, rang, pass };
}

describe('Alarm', () => {
  it('rings once when it is due', (t) => {
    const { alarm, rang, pass } = alarmOf(t);
    alarm.set(1_010);
    pass(100);
    assert.deepEqual(rang, [1_010]);
  });

  it('follows its time, forwards and backwards, and can be turned off', (t) => {
    const { alarm, rang, pass } = alarmOf(t);
    alarm.set(1_050);
    alarm.set(1_010);
    pass(20);
    alarm.set(1_030);
    alarm.set(1_060);
    pass(50);
    alarm.set(1_080);
    alarm.set(Infinity);
    pass(50);
    assert.deepEqual(rang, [1_010, 1_060]);
  });

  it('rings as soon as possible for a time that has passed', (t) => {
    const { alarm, rang, pass } = alarmOf(t);
    alarm.set(5);
    assert.deepEqual(rang, []);
    pass(1);
    assert.deepEqual(rang, [1_001]);
  });

  it('waits on when its timer comes early', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const rang: number[] = [];
    let nowMs = 0;
    const alarm = new Alarm(
      () => rang.push(nowMs),
      () => nowMs,
    );
    alarm.set(10);
    nowMs = 9.5;
    t.mock.timers.tick(10);
    assert.deepEqual(rang, []);
    nowMs = 10.5;
    t.mock.timers.tick(1);
    assert.deepEqual(rang, [10.5]);
  });
});
