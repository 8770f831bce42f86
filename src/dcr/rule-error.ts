/** One fault of a rule file. */
export interface RuleError {
  readonly file: string;
  /** 1-based; 0 when the fault concerns the file as a whole. */
  readonly line: number;
  /** 1-based, in characters; 0 when the fault concerns the file as a whole. */
  readonly column: number;
  /** Name of the element at fault; empty outside elements. */
  readonly element: string;
  /** What is wrong and what was expected, one line. */
  readonly text: string;
}

/** The error as compilers print theirs: `file:line:column: error: text`. */
export function formatRuleError(error: RuleError): string {
  const place = error.line === 0 ? error.file : `${error.file}:${error.line}:${error.column}`;
  return `${place}: error: ${error.text}`;
}

/** A fault of the whole file: it cannot be read, is no module, is too large. */
export function fileError(file: string, text: string): RuleError {
  return { file, line: 0, column: 0, element: '', text };
}
