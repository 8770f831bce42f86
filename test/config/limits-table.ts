import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as defaults from '../../src/config/defaults.ts';

const config = fileURLToPath(new URL('../../src/config/', import.meta.url));
const sources = readdirSync(config)
  .filter((name) => name.endsWith('defaults.ts'))
  .map((name) => `${config}${name}`);

/** Every value of config/defaults.ts with its comment there, as Markdown tables, one a room. */
export function limitsTables(): string {
  const comments = readComments(sources.map((source) => readFileSync(source, 'utf8')).join('\n'));
  return Object.entries(defaults)
    .map(([room, values]) => {
      const rows = rowsOf('', values, (name) => comments.get(`${room}.${name}`) ?? '');
      const about = comments.get(room);
      const head = ['| name | value | meaning |', '| --- | --- | --- |'];
      return [
        `### ${room}`,
        ...(about === undefined ? [] : ['', about]),
        '',
        ...head,
        ...rows,
      ].join('\n');
    })
    .join('\n\n');
}

function rowsOf(prefix: string, values: unknown, meaning: (name: string) => string): string[] {
  if (typeof values !== 'object' || values === null)
    return [`| \`value\` | ${String(values)} | ${meaning('')} |`];
  return Object.entries(values).flatMap(([name, value]: [string, unknown]) =>
    typeof value === 'object' && value !== null
      ? rowsOf(`${prefix}${name}.`, value, () => '')
      : [`| \`${prefix}${name}\` | ${String(value)} | ${meaning(name)} |`],
  );
}

/** The JSDoc before each exported object and each of its keys. */
function readComments(text: string): Map<string, string> {
  const comments = new Map<string, string>();
  const step =
    /\/\*\*([\s\S]*?)\*\/|^export const (\w+)|^ {2}(?:readonly )?(\w+):|^export interface (\w+)/gmu;
  let room = '';
  let pending: string | undefined;
  for (const [, comment, exported, key, type] of text.matchAll(step)) {
    if (comment !== undefined) {
      pending = comment.replaceAll(/\s*\n\s*\*?\s*/gu, ' ').trim();
      continue;
    }
    room = exported ?? type ?? room;
    const name = key === undefined ? room : `${room}.${key}`;
    if (pending !== undefined) comments.set(name, pending.replaceAll('|', '\\|'));
    pending = undefined;
  }
  return comments;
}
