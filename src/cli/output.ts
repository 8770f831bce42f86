/** Where a command of the command line writes and reads; `main.ts` joins it to the process. */
export interface CliOutput {
  /** Writes to standard output as it is; commands end their lines themselves. */
  out(text: string): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** All of standard input, up to its end. */
  readStdin(): Promise<Buffer>;
}

/** Gives a command's exit code to whoever runs the program. */
export type Done = (exitCode: number) => void;
