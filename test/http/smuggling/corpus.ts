import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** How verdicts.yaml has it; see the words there. */
interface Entry {
  readonly file: string;
  readonly verdict: string;
  readonly why: string;
  readonly code?: string;
  readonly upstream?: readonly string[];
  readonly host?: string;
  readonly without?: readonly string[];
  readonly with?: readonly string[];
  readonly unjudged?: boolean;
  readonly todo?: string;
}

/** What a client sends, and what must come of it. */
export interface SmugglingCase {
  readonly name: string;
  readonly bytes: Buffer;
  readonly why: string;
  /** Requests as `METHOD target body`. */
  readonly upstream: readonly string[];
  /** Status of the refusal that ends the connection. */
  readonly refused: number | undefined;
  /** The refusal comes when the head has already gone up. */
  readonly isBroken: boolean;
  readonly code: string | undefined;
  /** The connection is closed behind the last request. */
  readonly isClosed: boolean;
  readonly isWaiting: boolean;
  readonly host: string | undefined;
  readonly without: readonly string[];
  readonly with: readonly string[];
  readonly isJudged: boolean;
  readonly todo: string | undefined;
}

const verdictForm =
  /^(?:waits|(?:(one request|pipelined (\d+))(, closed)?)?(?:(?:, )?(refused|broken) (\d{3}))?)$/;

function caseOf(entry: Entry): SmugglingCase {
  const found = verdictForm.exec(entry.verdict);
  const upstream = entry.upstream ?? [];
  const requests = found?.[1] === undefined ? 0 : Number(found[2] ?? 1);
  if (found === null || upstream.length !== requests) {
    throw new Error(`${entry.file}: '${entry.verdict}' does not fit what the upstream sees`);
  }
  return {
    name: entry.file,
    bytes: readFileSync(new URL(entry.file, import.meta.url)),
    why: entry.why,
    upstream,
    refused: found[5] === undefined ? undefined : Number(found[5]),
    isBroken: found[4] === 'broken',
    code: entry.code,
    isClosed: found[3] !== undefined,
    isWaiting: entry.verdict === 'waits',
    host: entry.host,
    without: entry.without ?? [],
    with: entry.with ?? [],
    isJudged: entry.unjudged !== true,
    todo: entry.todo,
  };
}

const index = parse(readFileSync(new URL('verdicts.yaml', import.meta.url), 'utf8')) as Entry[];

/** All raw files beside this one, with their verdicts. */
export const corpus: readonly SmugglingCase[] = index.map(caseOf);
