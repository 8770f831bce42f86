import type { Page } from 'playwright-core';

/** What a page asks for with `fetch`. */
export interface Fetched {
  readonly path: string;
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A body of that many bytes. */
  readonly bodyBytes?: number;
}

/** What the page got: all that a script is told of an answer but for the time. */
export interface FetchedAnswer {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly bytes: number;
  readonly sha256: string;
}

/** Asks from within a page, at the page's own origin. */
export async function fetchIn(page: Page, fetched: Fetched): Promise<FetchedAnswer> {
  const answer = await page.evaluate(async ({ path, method, headers, bodyBytes }) => {
    const body =
      bodyBytes === undefined ? null : Uint8Array.from({ length: bodyBytes }, (_, at) => at * 7);
    const response = await fetch(path, { method, headers: headers ?? {}, body });
    const bytes = await response.arrayBuffer();
    return {
      status: response.status,
      reason: response.statusText,
      headers: [...response.headers],
      bytes: bytes.byteLength,
      digest: [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))],
    };
  }, fetched);
  const { digest, ...rest } = answer;
  const ofTheHop = ['date', 'connection', 'keep-alive', 'transfer-encoding'];
  return {
    ...rest,
    headers: rest.headers.filter(([name]) => !ofTheHop.includes(name)),
    sha256: Buffer.from(digest).toString('hex'),
  };
}

/** What /view tells of a request from within a page. */
export function viewIn(page: Page): Promise<string> {
  return page.evaluate(async () => (await fetch('/view')).text());
}

/** Follows `/events/:id` by EventSource; asks for each further event when the one before has come. */
export function eventsIn(page: Page, path: string, count: number): Promise<string[]> {
  return page.evaluate(
    ([url, wanted]) =>
      new Promise<string[]>((resolve, reject) => {
        const events: string[] = [];
        const source = new EventSource(url);
        source.onerror = () => {
          reject(new Error(`the stream broke after ${events.length} events`));
        };
        source.onmessage = ({ data }: { data: string }) => {
          events.push(data);
          if (events.length === wanted) {
            source.close();
            resolve(events);
          } else {
            const body = JSON.stringify({ event: events.length });
            fetch(url, { method: 'POST', body }).catch(reject);
          }
        };
      }),
    [path, count] as const,
  );
}

/** Sends texts through a WebSocket of the page's origin and gives what comes back. */
export function echoesIn(page: Page, path: string, texts: readonly string[]): Promise<string[]> {
  return page.evaluate(
    ([url, sent]) =>
      new Promise<string[]>((resolve, reject) => {
        const echoes: string[] = [];
        const socket = new WebSocket(url);
        socket.onopen = () => {
          for (const text of sent) socket.send(text);
        };
        socket.onmessage = ({ data }: { data: string }) => {
          echoes.push(data);
          if (echoes.length === sent.length) socket.close(4000, 'enough');
        };
        socket.onclose = ({ code }) => {
          if (code === 4000) resolve(echoes);
          else reject(new Error(`closed with ${code} after ${echoes.length} echoes`));
        };
      }),
    [path, texts] as const,
  );
}
