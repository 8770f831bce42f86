import type { Outcome } from './http-load.ts';
import type { LoggedCall, LoggedMessage } from './sipp.ts';

/** A stretch of time in which something was broken; milliseconds since 1970. */
export interface Episode {
  readonly fromMs: number;
  /** When the cluster was whole again. */
  readonly toMs: number;
}

/** What became of a call, seen from the caller. */
export interface CallFate {
  readonly callId: string;
  readonly startedMs: number;
  /** When its last answer came, or its last request was sent. */
  readonly endedMs: number;
  /** When the first thing went wrong with it; undefined: nothing did. */
  readonly troubleMs: number | undefined;
  readonly hasFailed: boolean;
  readonly retransmissions: number;
  /** Whoever answered any of its requests. */
  readonly servedBy: readonly string[];
  /** The answer that ended it, and by whom. */
  readonly word: string;
  /** All that was said in it, with times. */
  readonly story: string;
}

/**
 * Reads the fate of each call of `scenarios/call.xml` from SIPp's log: it is complete when its BYE got
 * its 200.
 */
export function callFates(calls: readonly LoggedCall[]): CallFate[] {
  return calls.map((call) => {
    const again = call.messages.filter((message, at) => isRepeated(call, message, at));
    const end = call.messages.find(({ what }) => what === 'BYE 200' || / [3-6]\d\d$/u.test(what));
    const refused = end?.what === 'BYE 200' ? undefined : end;
    const hasFailed = end === undefined || refused !== undefined;
    const troubles = [again[0], refused, hasFailed ? call.messages.at(-1) : undefined];
    const times = troubles.flatMap((message) => (message === undefined ? [] : [message.atMs]));
    const servedBy = [...call.servedBy];
    return {
      callId: call.callId,
      startedMs: call.startedMs,
      endedMs: (end ?? call.messages.at(-1))?.atMs ?? call.startedMs,
      troubleMs: times.length === 0 ? undefined : Math.min(...times),
      hasFailed,
      retransmissions: again.length,
      servedBy,
      word: `${(refused ?? call.messages.at(-1))?.what ?? 'nothing'} (${servedBy.join(', ') || 'nobody'})`,
      story: storyOf(call),
    };
  });
}

function storyOf({ callId, startedMs, messages }: LoggedCall): string {
  const said = messages.map(
    ({ atMs, isSent, what }) => `${atMs - startedMs} ${isSent ? '>' : '<'} ${what}`,
  );
  return [`${callId} ${new Date(startedMs).toISOString()}`, ...said].join('; ');
}

/** A request that was sent before. An ACK for an answer that came again is none: it answers that. */
function isRepeated(
  { messages }: LoggedCall,
  { isSent, what }: LoggedMessage,
  at: number,
): boolean {
  if (!isSent || what === 'ACK') return false;
  return messages.findIndex((other) => other.isSent && other.what === what) < at;
}

/** Whose trouble began in the episode, or in its wake: before `untilMs`. */
export function callsOf(
  fates: readonly CallFate[],
  { fromMs }: Episode,
  untilMs: number,
): CallFate[] {
  return fates.filter(({ troubleMs = 0 }) => troubleMs >= fromMs && troubleMs < untilMs);
}

/** What clients of HTTP lost, in words. */
export function requestWords(outcomes: readonly Outcome[]): string {
  const failed = outcomes.filter(({ fault }) => fault !== undefined);
  const slowest = Math.max(...outcomes.map(({ tookMs }) => tookMs));
  const words = [
    `${failed.length} of ${outcomes.length} requests failed`,
    `${begunAnew(outcomes).length} sessions began anew`,
    `slowest answer ${(slowest / 1_000).toFixed(1)} s`,
  ];
  return [...words, ...tally(failed.map((one) => outcomeWord(one)))].join(', ');
}

export function outcomeWord({ fault, ingress, owner, instance }: Outcome): string {
  const what = fault ?? `began anew at ${instance ?? 'nobody'}`;
  return `${what} (in at ${ingress ?? 'nobody'}, session of ${owner})`;
}

/** Answers of another instance than the one that had the session. */
export function begunAnew(outcomes: readonly Outcome[]): readonly Outcome[] {
  return outcomes.filter(({ instance, owner }) => instance !== undefined && instance !== owner);
}

/** What clients of SIP lost, in words. */
export function callWords(fates: readonly CallFate[], of: number): string {
  const failed = fates.filter(({ hasFailed }) => hasFailed);
  const again = fates.reduce((sum, { retransmissions }) => sum + retransmissions, 0);
  return [
    `${failed.length} of ${of} calls failed, ${again} requests were sent again`,
    ...tally(failed.map(({ word }) => word)),
  ].join(', ');
}

function tally(words: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].map(([word, count]) => `${count} x ${word}`);
}
