import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { RulesStatus } from '../admin/index.ts';
import { rulesText } from '../io/rules/index.ts';
import {
  AdminClient,
  withAdminOptions,
  type AdminAnswer,
  type AdminOptions,
} from './admin-client.ts';
import { complain } from './complain.ts';
import type { CliOutput } from './output.ts';

type Done = (exitCode: number) => void;

/** What `GET /rules` answers. */
interface RulesAnswer extends RulesStatus {
  readonly text: string | null;
}

/** What a change answers. */
interface ChangedAnswer {
  readonly rules: string;
  readonly digest: string;
  readonly stored: string;
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
    const answer = await client.ask('GET', '/rules');
    if (answer !== undefined) client.print(answer, (body) => shown(body as RulesAnswer));
    done(answer === undefined ? 1 : 0);
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
    const client = new AdminClient(options, out);
    const path = `/rules?file=${encodeURIComponent(file)}`;
    const answer = text === undefined ? undefined : await client.ask('PUT', path, text);
    finish(client, answer, 'all peers run the rules', out, done);
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
    const answer = await client.ask('DELETE', '/rules');
    finish(client, answer, 'each peer runs the rules of its configuration, this one', out, done);
  });
}

function finish(
  client: AdminClient,
  answer: AdminAnswer | undefined,
  what: string,
  out: CliOutput,
  done: Done,
): void {
  if (answer === undefined) {
    done(1);
    return;
  }
  const { stored } = answer.body as ChangedAnswer;
  client.print(answer, (body) => {
    const { rules, digest } = body as ChangedAnswer;
    return `${what} ${rules}; cluster state ${digest}`;
  });
  if (stored === 'failed') complain(out, 'the peer could not write it to its disk; see its log');
  done(0);
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
