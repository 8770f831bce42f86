/** What one element may hold. */
export interface ElementGrammar {
  readonly attributes: readonly string[];
  readonly required: readonly string[];
  readonly children: readonly string[];
  /** Character data is its content. */
  readonly hasText: boolean;
}

/** Elements that give a value, in any order and number. */
export const ruleNames = [
  'or',
  'and',
  'if',
  'header',
  'request-uri',
  'session-case',
  'cookie',
] as const;

export type RuleName = (typeof ruleNames)[number];

export const rootName = 'user-centric-rules';

const none: readonly string[] = [];

function element(parts: Partial<ElementGrammar>): ElementGrammar {
  return { attributes: none, required: none, children: none, hasText: false, ...parts };
}

const grammar: ReadonlyMap<string, ElementGrammar> = new Map([
  [rootName, element({ children: ['sip-rules', 'http-rules'] })],
  ['sip-rules', element({ children: ruleNames })],
  ['http-rules', element({ children: ruleNames })],
  ['or', element({ children: ruleNames })],
  ['and', element({ children: ruleNames })],
  ['if', element({ children: [...ruleNames, 'else'] })],
  ['else', element({ attributes: ['return'], required: ['return'] })],
  [
    'header',
    element({
      attributes: ['name', 'return'],
      required: ['name', 'return'],
      children: ['exist', 'notexist'],
    }),
  ],
  [
    'cookie',
    element({
      attributes: ['name', 'return'],
      required: ['name', 'return'],
      children: ['exist', 'notexist'],
    }),
  ],
  [
    'request-uri',
    element({ attributes: ['parameter', 'return'], children: ['exist', 'notexist', 'match'] }),
  ],
  ['session-case', element({ children: ['equal', ...ruleNames] })],
  ['exist', element({})],
  ['notexist', element({})],
  ['equal', element({ hasText: true })],
  ['match', element({ attributes: ['prefix'], hasText: true })],
]);

/** Grammar of an element; undefined when the language has no such element. */
export function grammarOf(name: string): ElementGrammar | undefined {
  return grammar.get(name);
}

/** Names of all elements, for suggestions. */
export const elementNames: readonly string[] = [...grammar.keys()];

export function isRuleName(name: string): name is RuleName {
  return (ruleNames as readonly string[]).includes(name);
}
