/** One thing wrong with a configuration, at its place in the file. */
export interface Problem {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** What is wrong. Never contains a secret. */
  readonly message: string;
  /** What the operator can do about it. */
  readonly remedy: string;
}

/** Keys and indexes from the top of the file to a value. */
export type KeyPath = readonly (string | number)[];

/** A problem before its place in the file is known. */
export interface Fault {
  readonly path: KeyPath;
  /** The place meant: the value, or the key before it. */
  readonly at: 'key' | 'value';
  readonly message: string;
  readonly remedy: string;
}

/** A fault of the value at `path`. */
export function valueFault(path: KeyPath, message: string, remedy: string): Fault {
  return { path, at: 'value', message, remedy };
}

/** `file:line:column: error: what; what to do`, on one line. */
export function formatProblem(problem: Problem): string {
  const place = `${problem.file}:${problem.line}:${problem.column}`;
  return `${place}: error: ${oneLine(problem.message)}; ${oneLine(problem.remedy)}`;
}

/** `sip.listeners[0].port`; `the file` for its top. */
export function formatPath(path: KeyPath): string {
  if (path.length === 0) return 'the file';
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
    .replace(/^\./u, '');
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/gu, ' ').trim();
}
