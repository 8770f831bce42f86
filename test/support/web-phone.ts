import { EventEmitter, once } from 'node:events';
import type { TestContext } from 'node:test';
import type { Page } from 'playwright-core';
import { openPage } from './browser.ts';

/** What a phone tells, e.g. `alice registered` or `alice ended remote Terminated`. */
type Word = string;

/** JsSIP phones in one page of Chromium. */
export interface WebPhones {
  /** A new phone, registered under `sip:user@example.test`. */
  register(user: string, url: string): Promise<void>;
  /** Settles when this word was said, now or before; every word is heard once. */
  hear(word: Word): Promise<void>;
  hangUp(user: string): Promise<void>;
  /** All that was said and not yet heard. */
  readonly unheard: readonly Word[];
}

/** The part of JsSIP that the page uses. */
interface PageSession {
  answer(options: object): void;
  terminate(): void;
  on(event: string, listener: (data: { originator: string; cause: string }) => void): void;
}
interface PageGlobal {
  JsSIP: {
    UA: new (options: object) => {
      on(event: string, listener: (data: { session: PageSession; cause: string }) => void): void;
      start(): void;
    };
    WebSocketInterface: new (url: string) => object;
  };
  /** The last call of each phone. */
  sessions?: Record<string, PageSession>;
  say: (word: string) => Promise<void>;
}

export async function openWebPhones(t: TestContext): Promise<WebPhones> {
  const page = await openPage(t, 'jssip', 'JsSIP');
  const unheard: Word[] = [];
  const said = new EventEmitter();
  await page.exposeFunction('say', (word: Word) => {
    unheard.push(word);
    said.emit('word');
  });
  page.on('pageerror', (error) => {
    unheard.push(`error ${error.message}`);
  });
  const hear = async (word: Word): Promise<void> => {
    for (;;) {
      const at = unheard.indexOf(word);
      if (at >= 0) {
        unheard.splice(at, 1);
        return;
      }
      await once(said, 'word', { signal: AbortSignal.timeout(20_000) }).catch((error: unknown) => {
        throw new Error(`waited for "${word}", heard ${JSON.stringify(unheard)}`, { cause: error });
      });
    }
  };
  return {
    unheard,
    hear,
    register: async (user, url) => {
      await start(page, user, url);
      await hear(`${user} registered`);
    },
    hangUp: (user) =>
      page.evaluate((name) => {
        (globalThis as unknown as PageGlobal).sessions?.[name]?.terminate();
      }, user),
  };
}

/** Makes a phone in the page; it answers every call. */
function start(page: Page, user: string, url: string): Promise<void> {
  return page.evaluate(
    ({ name, server }) => {
      const { JsSIP, say } = globalThis as unknown as PageGlobal;
      const sessions = ((globalThis as unknown as PageGlobal).sessions ??= {});
      const tell = (...words: string[]): void => void say([name, ...words].join(' '));
      const phone = new JsSIP.UA({
        sockets: [new JsSIP.WebSocketInterface(server)],
        uri: `sip:${name}@example.test`,
        register_expires: 600,
        session_timers: false,
      });
      phone.on('registered', () => {
        tell('registered');
      });
      phone.on('registrationFailed', ({ cause }) => {
        tell('not registered', cause);
      });
      phone.on('newRTCSession', ({ session }) => {
        sessions[name] = session;
        session.on('confirmed', ({ originator }) => {
          tell('confirmed', originator);
        });
        session.on('ended', ({ originator, cause }) => {
          tell('ended', originator, cause);
        });
        session.on('failed', ({ originator, cause }) => {
          tell('failed', originator, cause);
        });
        session.answer({ mediaConstraints: { audio: true }, pcConfig: { iceServers: [] } });
      });
      phone.start();
    },
    { name: user, server: url },
  );
}
