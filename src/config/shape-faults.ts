import type { Fault, KeyPath } from './problem.ts';
import { formatPath } from './problem.ts';
import type { ShapeIssue } from './schema.ts';
import { configJsonSchema } from './schema.ts';
import { suggest } from './suggest.ts';

type JsonSchema = Record<string, unknown>;

const kinds: Readonly<Record<string, { noun: string; remedy: string }>> = {
  string: { noun: 'text', remedy: 'write text, in quotes where YAML would read something else' },
  number: { noun: 'a number', remedy: 'write a number without quotes' },
  int: { noun: 'a whole number', remedy: 'write a whole number without quotes' },
  boolean: { noun: 'true or false', remedy: 'write true or false without quotes' },
  array: { noun: 'a list', remedy: 'write [a, b], or lines that begin with "- "' },
  object: { noun: 'a group of keys', remedy: 'write its keys on the lines below, indented' },
};

/** Says in words what the schema found; one fault for each unknown key. */
export function shapeFaults(issues: readonly ShapeIssue[]): Fault[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => unknownKey(path, key, issue.input));
    return [explain(path, issue)];
  });
}

function explain(path: KeyPath, issue: ShapeIssue): Fault {
  const name = formatPath(path);
  const fault = (message: string, remedy: string): Fault => ({
    path,
    at: 'value',
    message: `${name} ${message}`,
    remedy,
  });
  if (issue.input === undefined) return { ...fault('is missing', missingRemedy(path)), at: 'key' };
  switch (issue.code) {
    case 'invalid_type': {
      const kind = kinds[issue.expected];
      const message = `must be ${kind?.noun ?? issue.expected}, not ${nounOf(issue.input)}`;
      return fault(message, kind?.remedy ?? `write ${issue.expected}`);
    }
    case 'invalid_value':
      return oneOf(fault, issue.values.map(String), issue.input);
    case 'invalid_union':
      if (issue.discriminator !== undefined) return wrongKind(path, issue);
      return fault('is not a secret', 'write text in quotes, {file: path} or {env: NAME}');
    case 'too_small':
      return fault(
        `must be at least ${String(issue.minimum)}`,
        `write ${String(issue.minimum)} or more`,
      );
    case 'too_big':
      return fault(...tooBig(issue));
    default: {
      const [message, remedy] = split(issue.message);
      return fault(`${shown(issue.input)}${message}`, remedy);
    }
  }
}

function tooBig(issue: ShapeIssue & { code: 'too_big' }): [string, string] {
  const most = String(issue.maximum);
  if (issue.origin === 'array') return [`has too many entries`, `write ${most} at most`];
  return [`must be at most ${most}`, `write ${most} or less`];
}

function oneOf(
  fault: (message: string, remedy: string) => Fault,
  values: readonly string[],
  input: unknown,
): Fault {
  const list = values.join(', ');
  if (typeof input !== 'string')
    return fault(`must be one of ${list}, not ${nounOf(input)}`, 'write one of these');
  const near = suggest(input, values);
  const remedy = near === undefined ? 'write one of these' : `did you mean "${near}"?`;
  return fault(`must be one of ${list}, not "${cut(input)}"`, remedy);
}

function wrongKind(path: KeyPath, issue: ShapeIssue & { code: 'invalid_union' }): Fault {
  const values = 'options' in issue ? issue.options.map(String) : [];
  const last = path.at(-1);
  const given =
    typeof issue.input === 'object' && issue.input !== null && typeof last === 'string'
      ? (issue.input as Record<string, unknown>)[last]
      : issue.input;
  const fault = (message: string, remedy: string): Fault => ({
    path,
    at: given === undefined ? 'key' : 'value',
    message: `${formatPath(path)} ${message}`,
    remedy,
  });
  if (given === undefined) return fault('is missing', `add it: one of ${values.join(', ')}`);
  return oneOf(fault, values, given);
}

function unknownKey(path: KeyPath, key: string, input: unknown): Fault {
  const known = Object.keys(propertiesAt(path, input));
  const near = suggest(key, known);
  const where = path.length === 0 ? '' : ` in ${formatPath(path)}`;
  return {
    path: [...path, key],
    at: 'key',
    message: `unknown key "${cut(key)}"${where}`,
    remedy: near === undefined ? `known here: ${known.join(', ')}` : `did you mean "${near}"?`,
  };
}

function missingRemedy(path: KeyPath): string {
  const key = path.at(-1);
  const parent = propertiesAt(path.slice(0, -1), undefined);
  const schema = typeof key === 'string' ? parent[key] : undefined;
  const description = schema?.['description'];
  return typeof description === 'string' ? `add it: ${description}` : 'add it';
}

/** What the schema knows below `path`: every key of the branches that may be meant. */
function propertiesAt(path: KeyPath, input: unknown): Readonly<Record<string, JsonSchema>> {
  let branches: JsonSchema[] = alternatives(configJsonSchema());
  for (const step of path)
    branches = branches.flatMap((branch) => {
      const below = typeof step === 'number' ? branch['items'] : properties(branch)[step];
      return below === undefined ? [] : alternatives(below as JsonSchema);
    });
  const chosen = branches.filter((branch) => mayBe(branch, input));
  return Object.assign({}, ...chosen.map(properties)) as Record<string, JsonSchema>;
}

function alternatives(schema: JsonSchema): JsonSchema[] {
  const branches = (schema['oneOf'] ?? schema['anyOf']) as JsonSchema[] | undefined;
  return branches ?? [schema];
}

function properties(schema: JsonSchema): Readonly<Record<string, JsonSchema>> {
  return (schema['properties'] ?? {}) as Record<string, JsonSchema>;
}

/** False when the input's `kind` says that another branch is meant. */
function mayBe(branch: JsonSchema, input: unknown): boolean {
  const wanted = properties(branch)['kind']?.['const'];
  if (wanted === undefined || typeof input !== 'object' || input === null) return true;
  const given = (input as Record<string, unknown>)['kind'];
  return given === undefined || given === wanted;
}

function nounOf(input: unknown): string {
  if (input === null) return 'nothing';
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object') return 'a group of keys';
  if (typeof input === 'string') return 'text';
  if (typeof input === 'number') return Number.isInteger(input) ? 'a number' : 'a fraction';
  return typeof input === 'boolean' ? String(input) : typeof input;
}

function shown(input: unknown): string {
  return typeof input === 'string' ? `"${cut(input)}" ` : '';
}

function cut(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function split(error: string): [message: string, remedy: string] {
  const at = error.indexOf('; ');
  return at < 0 ? [error, 'correct it'] : [error.slice(0, at), error.slice(at + 2)];
}
