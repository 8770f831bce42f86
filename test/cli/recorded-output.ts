import type { CliOutput } from '../../src/cli/output.ts';
import { runProgram } from '../../src/cli/program.ts';

/** What a command wrote and its exit code. */
export interface Outcome {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the command line in this process. */
export async function run(args: readonly string[], stdin = ''): Promise<Outcome> {
  let written = '';
  let complained = '';
  const output: CliOutput = {
    out: (text) => {
      written += text;
    },
    err: (text) => {
      complained += text;
    },
    readStdin: () => Promise.resolve(Buffer.from(stdin)),
  };
  const exitCode = await runProgram(args, output);
  return { exitCode, out: written, err: complained };
}
