import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Field, Seen } from './http-seen.ts';

/** What curl saw. */
export interface CurlSeen extends Seen {
  /** Version of HTTP that the answer had: `1.0`, `1.1` or `2`. */
  readonly version: string;
}

/** Asks by curl and reads what `-v` tells of each line on the wire; it fails when curl does. */
export async function curl(url: string, args: readonly string[] = []): Promise<CurlSeen> {
  const folder = await mkdtemp(join(tmpdir(), 'sailring-curl-'));
  try {
    const file = join(folder, 'body');
    const all = ['-v', '-sS', '--path-as-is', '--max-time', '60', '-o', file, ...args, url];
    const words = await new Promise<string>((resolve, reject) => {
      execFile('curl', all, { encoding: 'latin1', maxBuffer: 1 << 24 }, (error, _out, told) => {
        if (error === null) resolve(told);
        else reject(new Error(`curl ${all.join(' ')}: ${told}`, { cause: error }));
      });
    });
    // Of HEAD it writes the head into the file.
    const hasBody = !args.includes('--head');
    const body = hasBody ? await readFile(file).catch(() => undefined) : undefined;
    return read(words, body ?? Buffer.alloc(0));
  } finally {
    await rm(folder, { recursive: true });
  }
}

function read(words: string, body: Buffer): CurlSeen {
  const heads: { version: string; status: number; reason: string; headers: Field[] }[] = [];
  const trailers: Field[] = [];
  let fields: Field[] = trailers;
  for (const line of words.split('\n')) {
    if (!line.startsWith('<')) continue;
    const text = line.slice(2).replace(/\r$/, '');
    const start = /^HTTP\/([\d.]+) (\d{3}) ?(.*)$/.exec(text);
    const colon = text.indexOf(':');
    if (start !== null) {
      fields = [];
      const [, version = '', status, reason = ''] = start;
      heads.push({ version, status: Number(status), reason, headers: fields });
    } else if (colon > 0) {
      fields.push([text.slice(0, colon), text.slice(colon + 1).replace(/^ /, '')]);
    } else {
      // What follows the end of a head without a start is behind the body; of HTTP/2 alone it tells that.
      fields = trailers;
    }
  }
  const final = heads.findIndex(({ status }) => status >= 200);
  if (final < 0) throw new Error(`curl saw no answer: ${words}`);
  return { ...heads[final]!, interim: heads.slice(0, final), trailers, body };
}
