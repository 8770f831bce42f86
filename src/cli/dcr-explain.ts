import { readFile } from 'node:fs/promises';
import { enumLimits } from '../config/defaults.ts';
import { formatRuleError, unresolvedNumbers } from '../dcr/index.ts';
import type { KeyResult, Rules, Trace, TraceStep } from '../dcr/index.ts';
import { createNaptrQuery, EnumResolver } from '../io/dns/index.ts';
import { loadRules } from '../io/rules/index.ts';
import { Counters } from '../pipeline/counters.ts';
import { digestOf, KeyDeriver } from '../pipeline/key.ts';
import { uriReader } from '../pipeline/subjects.ts';
import { formatExplanation } from './explanation.ts';
import type { Explanation } from './explanation.ts';
import type { CliOutput } from './output.ts';
import { readRequest } from './request-file.ts';
import type { ExplainedRequest } from './request-file.ts';

export interface ExplainOptions {
  /** One JSON object instead of text. */
  readonly json?: boolean;
  /** `host:port` of the client, for the fallback key of HTTP. */
  readonly remote?: string;
  /** Looks numbers up below this zone; without it they stand for themselves. */
  readonly enumSuffix?: string;
  /** DNS servers as `host:port`, separated by commas; default those of the system. */
  readonly enumServers?: string;
}

/** Numbers that one request may have looked up, one after another. */
const lookupsMax = 64;

/**
 * `sailring dcr explain FILE MESSAGE`: the path that the rules take for a SIP or HTTP request, the
 * key, where it comes from, and its digest.
 *
 * @param messageFile a file, or `-` for standard input
 * @returns exit code: 0 when there is an answer, 1 when rules or message cannot be read
 */
export async function dcrExplain(
  file: string,
  messageFile: string,
  options: ExplainOptions,
  out: CliOutput,
): Promise<number> {
  const resolver = createResolver(options);
  const faults: string[] = [];
  const tools = { uris: uriReader, numbers: resolver ?? unresolvedNumbers };
  const loaded = await loadRules(file, tools, ({ text }) => faults.push(text));
  if (!loaded.ok) {
    for (const error of loaded.errors) out.err(`${formatRuleError(error)}\n`);
    return 1;
  }
  let bytes: Buffer;
  try {
    bytes = messageFile === '-' ? await out.readStdin() : await readFile(messageFile);
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'unknown fault';
    out.err(`${messageFile}: error: cannot be read: ${reason}\n`);
    return 1;
  }
  const read = readRequest(bytes);
  if (!read.ok) {
    out.err(`${messageFile}: error: ${read.fault}\n`);
    return 1;
  }
  const { request } = read;
  const evaluated = await evaluate(loaded.rules, request, resolver);
  for (const fault of faults) out.err(`${file}: plug-in fault: ${fault}\n`);
  const explanation = explain(file, loaded.rules, request, evaluated, options.remote);
  out.out(
    options.json === true ? `${JSON.stringify(explanation)}\n` : formatExplanation(explanation),
  );
  return 0;
}

function createResolver(options: ExplainOptions): EnumResolver | undefined {
  if (options.enumSuffix === undefined) return undefined;
  const servers = options.enumServers?.split(',').map((server) => server.trim()) ?? [];
  const count = Math.max(1, servers.length);
  return new EnumResolver({
    query: createNaptrQuery(servers, enumLimits.timeoutMs / count),
    clock: {
      now: () => performance.now(),
      after: (delayMs, callback) => {
        const timer = setTimeout(callback, delayMs);
        return () => {
          clearTimeout(timer);
        };
      },
    },
    counters: new Counters(),
    suffix: options.enumSuffix,
  });
}

interface Evaluated {
  readonly key: string | null;
  readonly steps: readonly TraceStep[];
}

async function evaluate(
  rules: Rules,
  request: ExplainedRequest,
  resolver: EnumResolver | undefined,
): Promise<Evaluated> {
  for (let lookups = 0; lookups <= lookupsMax; lookups += 1) {
    const steps: TraceStep[] = [];
    const key = ask(rules, request, (step) => steps.push(step));
    if (key === null || typeof key === 'string') return { key, steps };
    await resolver?.whenKnown(key.number);
  }
  return { key: null, steps: [] };
}

function ask(rules: Rules, request: ExplainedRequest, trace: Trace): KeyResult {
  return request.kind === 'sip'
    ? rules.sipKey(request.subject, trace)
    : rules.httpKey(request.subject, trace);
}

function explain(
  file: string,
  rules: Rules,
  request: ExplainedRequest,
  { key, steps }: Evaluated,
  remote: string | undefined,
): Explanation {
  const { subject } = request;
  const described = {
    rules: file,
    protocol: request.kind,
    request: `${subject.method} ${'target' in subject ? subject.target : subject.requestUri}`,
    steps,
    key,
    isInDialog: request.kind === 'sip' && request.isInDialog,
  };
  if (key === null) return { ...described, ...fallback(request, remote) };
  if (rules.kind === 'plugin') return { ...described, source: 'plugin', digest: digestOf(key) };
  // Evaluation stops at the element that gives the value, so that is the last step.
  const line = steps.at(-1)?.line ?? 0;
  return { ...described, source: 'rule', line, digest: digestOf(key) };
}

function fallback(
  request: ExplainedRequest,
  remote: string | undefined,
): Pick<Explanation, 'source' | 'digest'> {
  const deriver = new KeyDeriver(undefined);
  if (request.kind === 'sip') {
    const key = deriver.sip(request.subject, request.fromTag, request.callId);
    return { source: 'fallback', digest: key.kind === 'key' ? key.digest : null };
  }
  const colon = remote?.lastIndexOf(':') ?? -1;
  if (remote === undefined || colon === -1) return { source: 'fallback', digest: null };
  const host = remote.slice(0, colon).replace(/^\[|\]$/g, '');
  const key = deriver.http(request.subject, host, Number(remote.slice(colon + 1)));
  return { source: 'fallback', digest: key.kind === 'key' ? key.digest : null };
}
