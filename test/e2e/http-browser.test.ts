import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { openBrowser } from '../support/browser.ts';
import { startHttpApplication, startHttpPeer, startHttpPeers } from '../support/http-cluster.ts';
import { startHttpSpray } from '../support/http-spray.ts';
import { ringOf } from '../support/peers.ts';
import { requireTool } from '../support/tools.ts';

const pageLoads = 100;

/** What a page says: who is logged in, and the instance that knows. */
async function load(page: Page, url: string): Promise<string> {
  const response = await page.goto(url);
  assert.equal(response?.status(), 200);
  assert.equal(await page.locator('#user').innerText(), (await page.title()).split(' at ')[0]);
  return page.title();
}

describe(
  'Chromium, logged in at an application that keeps sessions in memory',
  { timeout: 90_000 },
  () => {
    it(`stays logged in for ${pageLoads} page loads while another peer joins and leaves`, async (t) => {
      if (!requireTool('chromium', t)) return;
      const names = ['peer-1', 'peer-2', 'peer-3', 'peer-4'];
      const applications = await Promise.all(names.map((name) => startHttpApplication(t, name)));
      const upstreams = applications.map(({ host, port }) => ({ host, port }));
      const peers = await startHttpPeers(t, upstreams.slice(0, 3));
      const spray = await startHttpSpray(t, peers);
      const origin = `http://${spray.address}`;
      const context = await (await openBrowser(t)).newContext();
      const page = await context.newPage();

      const first = await load(page, `${origin}/session/login?user=alice`);
      assert.match(first, /^alice at peer-[123]$/);
      const jar = await context.cookies();
      assert.deepEqual(jar.map(({ name }) => name).sort(), ['BEKEY', 'BEROUTE', 'JSESSIONID']);

      const admins = peers.map(({ admin }) => admin);
      const comeAndGo = async (): Promise<void> => {
        const config = { drainTimeoutMs: 1_000 };
        const guest = await startHttpPeer(t, 'peer-4', upstreams[3]!, peers, config);
        await ringOf([...admins, guest.admin], 4);
        spray.add(guest);
        while ((spray.shares().get('peer-4') ?? 0) < pageLoads / 10) await pause(10);
        process.kill(guest.pid, 'SIGTERM');
        await ringOf(admins, 3);
      };
      let loads = 0;
      const loadsUntil = async (isEnough: () => boolean): Promise<void> => {
        for (; !isEnough(); loads++) {
          // Connections are kept, but each page shall come through the next peer.
          spray.end();
          assert.equal(await load(page, `${origin}/session/page`), first);
        }
      };
      await loadsUntil(() => loads === pageLoads / 4);
      const changes = { areOver: false };
      const changing = comeAndGo().finally(() => (changes.areOver = true));
      await loadsUntil(() => changes.areOver);
      await changing;
      const least = Math.max(pageLoads, loads + pageLoads / 4);
      await loadsUntil(() => loads === least);
      assert.deepEqual(await context.cookies(), jar);
      const shares = [...spray.shares()].sort();
      t.diagnostic(`${loads} page loads, ${first}; connections: ${shares.join(' ')}`);
      assert.deepEqual(
        shares.map(([name]) => name),
        names,
      );
    });
  },
);
