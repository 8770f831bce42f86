import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { cliLimits, configDefaults } from '../config/defaults.ts';
import { complain } from './complain.ts';
import type { CliOutput } from './output.ts';

/** Options of every command that talks to a running peer. */
export interface AdminOptions {
  readonly admin: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
}

/** What a peer answered. */
export interface AdminAnswer {
  readonly status: number;
  /** The parsed JSON; undefined when it was none. */
  readonly body: unknown;
}

/** A change of what all peers share. */
export interface StateChange {
  readonly method: 'PUT' | 'DELETE';
  readonly path: string;
  /** Sent as it is. */
  readonly body?: string;
}

/** What stands in an answer that is none of 2xx. */
interface Refused {
  readonly error?: string;
  /** A line for each thing wrong. */
  readonly faults?: readonly string[];
}

/** Where the token is looked for without `--token-file`. */
const tokenVariable = 'SAILRING_ADMIN_TOKEN';

/** Adds the options that {@link AdminClient} takes. */
export function withAdminOptions(command: Command): Command {
  return command
    .option(
      '--admin <url>',
      'admin server of any peer of the cluster',
      `http://127.0.0.1:${configDefaults.adminPort}`,
    )
    .option('--token-file <file>', `file with its token (default: environment ${tokenVariable})`)
    .option('--json', 'print what the peer answers as JSON');
}

/** Talks to the admin server of a running peer. */
export class AdminClient {
  readonly #options: AdminOptions;
  readonly #out: CliOutput;

  constructor(options: AdminOptions, out: CliOutput) {
    this.#options = options;
    this.#out = out;
  }

  /**
   * Sends one request. Undefined after a line on standard error, when there was no answer of 2xx.
   *
   * @param body sent as it is
   */
  async ask(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: string,
  ): Promise<AdminAnswer | undefined> {
    const { admin } = this.#options;
    let answer: AdminAnswer;
    try {
      answer = await this.#fetch(method, new URL(path, admin), body);
    } catch (error) {
      complain(this.#out, `no answer of ${admin}: ${reasonOf(error)}; is --admin right?`);
      return undefined;
    }
    if (answer.status >= 200 && answer.status < 300) return answer;
    const { error: told, faults = [] } = (answer.body ?? {}) as Refused;
    const hint = answer.status === 401 ? `; give it with --token-file or ${tokenVariable}` : '';
    complain(this.#out, `${admin} refused (${answer.status}): ${told ?? 'no reason'}${hint}`);
    for (const fault of faults) this.#out.err(`${fault}\n`);
    return undefined;
  }

  /**
   * Prints what stands on a page.
   *
   * @returns the exit code
   */
  async show(path: string, text: (body: unknown) => string): Promise<number> {
    const answer = await this.ask('GET', path);
    if (answer === undefined) return 1;
    this.print(answer, text);
    return 0;
  }

  /**
   * Changes what all peers share, prints what came of it, and complains when the peer that took it in
   * could not write it down: it holds in any case.
   *
   * @returns the exit code
   */
  async changeState(
    { method, path, body }: StateChange,
    text: (body: unknown) => string,
  ): Promise<number> {
    const answer = await this.ask(method, path, body);
    if (answer === undefined) return 1;
    this.print(answer, text);
    if ((answer.body as { stored?: unknown }).stored === 'failed') {
      complain(this.#out, 'the peer could not write it to its disk; see its log');
    }
    return 0;
  }

  /** Prints an answer: as JSON where that was asked for, else what `text` makes of it. */
  print(answer: AdminAnswer, text: (body: unknown) => string): void {
    const isJson = this.#options.json === true;
    this.#out.out(`${isJson ? JSON.stringify(answer.body) : text(answer.body)}\n`);
  }

  async #fetch(method: string, url: URL, body: string | undefined): Promise<AdminAnswer> {
    const token = this.#token();
    const response = await fetch(url, {
      method,
      signal: AbortSignal.timeout(cliLimits.adminTimeoutMs),
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    try {
      return { status: response.status, body: JSON.parse(text) };
    } catch {
      return { status: response.status, body: undefined };
    }
  }

  #token(): string | undefined {
    const { tokenFile } = this.#options;
    if (tokenFile !== undefined) return readFileSync(tokenFile, 'utf8').trim();
    return process.env[tokenVariable];
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
