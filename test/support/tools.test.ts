import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { requireTool } from './tools.ts';

describe('a test that needs a program', () => {
  const { PATH, SAILRING_REQUIRE_TOOLS } = process.env;
  afterEach(() => {
    process.env['PATH'] = PATH;
    if (SAILRING_REQUIRE_TOOLS === undefined) delete process.env['SAILRING_REQUIRE_TOOLS'];
    else process.env['SAILRING_REQUIRE_TOOLS'] = SAILRING_REQUIRE_TOOLS;
  });

  function contextOf(skipped: string[]): TestContext {
    const context: Pick<TestContext, 'skip'> = {
      skip: (word) => {
        skipped.push(word ?? '');
      },
    };
    return context as TestContext;
  }

  // sipp installs to /usr/bin only, so an empty PATH hides it on every machine.
  it('is skipped with the name of the program and its Debian package', () => {
    process.env['PATH'] = '/nowhere';
    delete process.env['SAILRING_REQUIRE_TOOLS'];
    const skipped: string[] = [];
    assert.equal(requireTool('sipp', contextOf(skipped)), false);
    assert.deepEqual(skipped, ['sipp is not installed (Debian package sip-tester)']);
  });

  it('fails where all programs are required', () => {
    process.env['PATH'] = '/nowhere';
    process.env['SAILRING_REQUIRE_TOOLS'] = '1';
    const skipped: string[] = [];
    assert.throws(() => requireTool('sipp', contextOf(skipped)), /sipp is not installed/);
    assert.deepEqual(skipped, []);
  });
});
