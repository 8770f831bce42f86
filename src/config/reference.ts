import { configJsonSchema } from './schema.ts';

/** The part of JSON Schema that zod writes for a configuration. */
interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly const?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
}

/** Every key with type, default and meaning, as a Markdown table. */
export function configReference(): string {
  const rows = rowsBelow('', configJsonSchema());
  return ['| key | type | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function rowsBelow(prefix: string, schema: JsonSchema): string[] {
  return (schema.oneOf ?? [schema]).flatMap((branch) => {
    const keys = Object.entries(branch.properties ?? {});
    const kind = branch.properties?.['kind']?.const;
    return keys.flatMap(([key, value]) => {
      const variant = kind === undefined || key === 'kind' ? '' : ` (${kind})`;
      return rowsOf(`${prefix}${key}`, variant, value, branch.required?.includes(key) ?? false);
    });
  });
}

function rowsOf(path: string, variant: string, schema: JsonSchema, required: boolean): string[] {
  const below = isGroup(schema)
    ? rowsBelow(`${path}.`, schema)
    : schema.items !== undefined && isGroup(schema.items)
      ? rowsBelow(`${path}[].`, schema.items)
      : [];
  const meaning = (schema.description ?? '').replaceAll('|', '\\|');
  const cells = [`\`${path}\`${variant}`, typeOf(schema), defaultOf(schema, required), meaning];
  return [`| ${cells.join(' | ')} |`, ...below];
}

function isGroup(schema: JsonSchema): boolean {
  return schema.properties !== undefined || schema.oneOf !== undefined;
}

function typeOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (schema.anyOf !== undefined) return 'secret';
  if (schema.items !== undefined) return isGroup(schema.items) ? 'list of groups' : 'list';
  if (isGroup(schema)) return 'group';
  const { type = 'anything', minimum, maximum } = schema;
  if (minimum === undefined || maximum === undefined) return type === 'string' ? 'text' : type;
  return `${type === 'integer' ? 'whole number' : 'number'} ${minimum} to ${maximum}`;
}

function defaultOf(schema: JsonSchema, required: boolean): string {
  if (schema.default === undefined) return required ? '**required**' : '';
  return isGroup(schema) ? '' : `\`${JSON.stringify(schema.default)}\``;
}
