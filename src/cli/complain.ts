import type { CliOutput } from './output.ts';

/** One line of complaint: the program's name, what is wrong, what to do. */
export function complain(out: CliOutput, message: string): void {
  out.err(`sailring: error: ${message.replaceAll(/\s+/gu, ' ').trim()}\n`);
}
