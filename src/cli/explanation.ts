import type { TraceStep } from '../dcr/index.ts';

/** What `dcr explain` found; its JSON form is this object. */
export interface Explanation {
  readonly rules: string;
  readonly protocol: 'sip' | 'http';
  /** Method and target. */
  readonly request: string;
  /** In the order of evaluation, an element before its children. */
  readonly steps: readonly TraceStep[];
  /** Null: no rule gave one. */
  readonly key: string | null;
  readonly source: 'rule' | 'plugin' | 'fallback';
  /** Of the element that gave the key; only for `rule`. */
  readonly line?: number;
  /** Null where the fallback needs the client's address and it was not given. */
  readonly digest: string | null;
  readonly isInDialog: boolean;
}

/** The explanation as text for a terminal; control characters of the message are shown escaped. */
export function formatExplanation(explanation: Explanation): string {
  const { steps } = explanation;
  const lines = [
    `rules    ${explanation.rules}`,
    `request  ${visible(explanation.request)} (${explanation.protocol.toUpperCase()})`,
    'path',
    ...(steps.length === 0 ? ['  no rule for this protocol'] : steps.map(formatStep)),
    `key      ${explanation.key === null ? 'none' : visible(explanation.key)}`,
    `source   ${sourceOf(explanation)}`,
    `digest   ${explanation.digest ?? 'unknown without --remote host:port of the client'}`,
  ];
  if (explanation.isInDialog) {
    lines.push(
      'note     in a dialog: peers route it by its stamp, and ask the rules only without one',
    );
  }
  return `${lines.join('\n')}\n`;
}

function formatStep(step: TraceStep): string {
  const place = step.line === 0 ? '' : `line ${step.line}`;
  const variable = step.variable === undefined ? '' : `  [${step.variable}]`;
  const value = step.value === null ? 'no value' : visible(step.value);
  return `  ${place.padEnd(9)}${'  '.repeat(step.depth)}${step.element}${variable} -> ${value}`;
}

function sourceOf(explanation: Explanation): string {
  switch (explanation.source) {
    case 'rule':
      return `rule, line ${explanation.line ?? 0}`;
    case 'plugin':
      return 'plug-in';
    case 'fallback':
      return explanation.protocol === 'sip'
        ? 'fallback: From tag and Call-ID'
        : 'fallback: remote host and port of the client';
  }
}

function visible(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\x${code.toString(16).padStart(2, '0')}`;
  });
}
