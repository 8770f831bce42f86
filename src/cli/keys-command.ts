import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { AdminClient, withAdminOptions, type AdminOptions } from './admin-client.ts';
import { complain } from './complain.ts';
import type { CliOutput, Done } from './output.ts';

/** What `GET /gossip/keys` answers. */
interface KeyList {
  readonly keys: readonly { readonly id: string; readonly bits: number }[];
  readonly members: readonly {
    readonly member: string;
    readonly keys: readonly string[];
    readonly fault?: string;
  }[];
  readonly silent: number;
}

/** What `POST /gossip/keys` answers. */
interface ChangeResult {
  readonly change: string;
  readonly id: string;
  readonly isDone: boolean;
  readonly members: readonly {
    readonly member: string;
    readonly isDone: boolean;
    readonly fault?: string;
  }[];
  readonly silent: number;
}

interface ChangeOptions extends AdminOptions {
  readonly force?: boolean;
}

/** `sailring keys`: the keys that encrypt gossip, at all members through one. */
export function addKeys(program: Command, out: CliOutput, done: Done): void {
  const keys = program
    .command('keys')
    .summary('change the keys of gossip while the cluster runs')
    .description(
      'Shows and changes the keys that encrypt gossip, at all members through any one of them. A key is shown by its id, the first 8 digits of its SHA-256.',
    )
    .addHelpText(
      'after',
      [
        '',
        'A new key for a running cluster:',
        '  openssl rand -base64 32 > new.key',
        '  sailring keys install new.key',
        '  sailring keys use <id>',
        '  sailring keys remove <id of the old one>',
        'Write the new key into gossip.keys of every peer as well: without dataDir a restart has those alone.',
      ].join('\n'),
    );
  addList(keys, out, done);
  addInstall(keys, out, done);
  addChange(keys, 'use', 'encrypt with an installed key', out, done);
  addChange(keys, 'remove', 'take away a key that nobody encrypts with any more', out, done);
}

function addList(keys: Command, out: CliOutput, done: Done): void {
  const command = keys
    .command('list')
    .summary('show which member has which keys')
    .description('Shows which member has which keys; the first of each encrypts.');
  withAdminOptions(command).action(async (options: AdminOptions) => {
    const client = new AdminClient(options, out);
    done(await client.show('/gossip/keys', (body) => listText(body as KeyList)));
  });
}

function addInstall(keys: Command, out: CliOutput, done: Done): void {
  const command = keys
    .command('install')
    .summary('let a new key decrypt')
    .description('Lets a new key decrypt at all members. None encrypts with it yet.')
    .argument('<file>', 'file with the key: 16, 24 or 32 bytes as base64; - is standard input');
  withAdminOptions(command).action(async (file: string, options: AdminOptions) => {
    let key: string;
    try {
      key = String(file === '-' ? await out.readStdin() : await readFile(file)).trim();
    } catch {
      complain(out, `cannot read ${file}`);
      done(1);
      return;
    }
    done(await changed(options, out, { change: 'install', key }));
  });
}

function addChange(
  keys: Command,
  change: 'use' | 'remove',
  summary: string,
  out: CliOutput,
  done: Done,
): void {
  const command = keys
    .command(change)
    .summary(summary)
    .description(
      `Has all members ${summary}. Refused where a member would not understand the others any more.`,
    )
    .argument('<id>', 'id of the key, as `sailring keys list` shows it')
    .option('--force', 'though a member may be lost by it');
  withAdminOptions(command).action(async (id: string, options: ChangeOptions) => {
    done(await changed(options, out, { change, id, force: options.force === true }));
  });
}

async function changed(options: AdminOptions, out: CliOutput, request: object): Promise<number> {
  const client = new AdminClient(options, out);
  const answer = await client.ask('POST', '/gossip/keys', JSON.stringify(request));
  if (answer === undefined) return 1;
  client.print(answer, (body) => changeText(body as ChangeResult));
  return (answer.body as ChangeResult).isDone ? 0 : 1;
}

function listText({ keys, members, silent }: KeyList): string {
  const bits = new Map(keys.map((key) => [key.id, key.bits]));
  const shown = (id: string): string => (bits.has(id) ? `${id} (${bits.get(id)} bits)` : id);
  const lines = members.map(({ member, keys: ids, fault }) =>
    fault === undefined ? `${member}: ${ids.map(shown).join(', ')}` : `${member}: ${fault}`,
  );
  return [...lines, ...silentText(silent)].join('\n');
}

function changeText({ change, id, members, silent }: ChangeResult): string {
  const count = members.filter(({ isDone }) => isDone).length;
  const faults = members.flatMap(({ member, fault }) =>
    fault === undefined ? [] : [`${member}: ${fault}`],
  );
  return [`${change} ${id}: done by ${count}`, ...faults, ...silentText(silent)].join('\n');
}

function silentText(silent: number): readonly string[] {
  return silent <= 0 ? [] : [`no answer of ${silent} more`];
}
