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
