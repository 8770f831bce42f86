import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { RulesStatus } from '../admin/index.ts';
import { rulesText } from '../io/rules/index.ts';
import { AdminClient, withAdminOptions, type AdminOptions } from './admin-client.ts';
import { complain } from './complain.ts';
import type { CliOutput, Done } from './output.ts';

/** What `GET /rules` answers. */
interface RulesAnswer extends RulesStatus {
  readonly text: string | null;
}

/** What a change answers. */
interface ChangedAnswer {
  readonly rules: string;
  readonly digest: string;
}

/** `sailring rules`: the rules that all peers run, through any one of them. */
export function addRules(program: Command, out: CliOutput, done: Done): void {
  const rules = program
    .command('rules')
    .summary('show or change the rules of a running cluster')
    .description(
      'Shows and changes the Data Centric Rules of a running cluster, through any one of its peers. Rules that were set here go before the files of the peers’ configurations and outlive restarts where peers have a dataDir.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  sailring rules show\n  sailring rules set conference.xml\n  sailring rules clear',
    );
  addShow(rules, out, done);
  addSet(rules, out, done);
  addClear(rules, out, done);
}

function addShow(rules: Command, out: CliOutput, done: Done): void {
  const command = rules
    .command('show')
    .summary('show which rules a peer runs')
    .description(
      'Shows which rules a peer runs, who runs others, and the text that the cluster was given.',
    );
  withAdminOptions(command).action(async (options: AdminOptions) => {
    const client = new AdminClient(options, out);
    done(await client.show('/rules', (body) => shown(body as RulesAnswer)));
  });
}

function addSet(rules: Command, out: CliOutput, done: Done): void {
  const command = rules
    .command('set')
    .summary('give the cluster rules')
    .description(
      'Gives all peers the rules of an XML file. A file with faults is refused, and nobody runs it. Plug-in modules are not given to clusters: name them in rules.file of each peer.',
    )
    .argument('<file>', 'rules: an .xml file');
  withAdminOptions(command).action(async (file: string, options: AdminOptions) => {
    const text = await readText(file, out);
    if (text === undefined) {
      done(1);
      return;
    }
    const client = new AdminClient(options, out);
    const path = `/rules?file=${encodeURIComponent(file)}`;
    const set = { method: 'PUT', path, body: text } as const;
    done(await client.changeState(set, changedText('all peers run the rules')));
  });
}

function addClear(rules: Command, out: CliOutput, done: Done): void {
  const command = rules
    .command('clear')
    .summary('go back to the rules of the configurations')
    .description(
      'Takes the rules of the cluster away: each peer runs those of its configuration again.',
    );
  withAdminOptions(command).action(async (options: AdminOptions) => {
    const client = new AdminClient(options, out);
    const clear = { method: 'DELETE', path: '/rules' } as const;
    const what = 'each peer runs the rules of its configuration, this one';
    done(await client.changeState(clear, changedText(what)));
  });
}

function changedText(what: string): (body: unknown) => string {
  return (body) => {
    const { rules, digest } = body as ChangedAnswer;
    return `${what} ${rules}; cluster state ${digest}`;
  };
}

async function readText(file: string, out: CliOutput): Promise<string | undefined> {
  try {
    return rulesText(await readFile(file));
  } catch (error) {
    complain(out, `cannot read ${file}: ${(error as Error).message}`);
    return undefined;
  }
}

function shown({ source, digest, clusters, odd, isOverdue, text }: RulesAnswer): string {
  const origins = {
    none: 'no rules: every key is the fallback',
    file: `rules ${digest} of its configuration`,
    cluster: `rules ${digest} of the cluster`,
  };
  const lines = [`the peer runs ${origins[source]}`];
  if (clusters !== undefined && clusters !== digest) lines.push(`the cluster runs ${clusters}`);
  if (odd.length > 0) lines.push(`others than the cluster run at ${odd.join(', ')}`);
  if (isOverdue) lines.push('the peer is not ready for that');
  if (text !== null) lines.push('', text.trimEnd());
  return lines.join('\n');
}
