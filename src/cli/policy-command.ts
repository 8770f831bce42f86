import { Option, type Command } from 'commander';
import type { Policy } from '../cluster/index.ts';
import { AdminClient, withAdminOptions, type AdminOptions } from './admin-client.ts';
import type { CliOutput, Done } from './output.ts';

/** What `GET /policy` answers. */
interface PolicyAnswer {
  readonly policy: Policy;
}

/** What a change answers. */
interface ChangedAnswer {
  readonly digest: string;
}

interface SetOptions extends AdminOptions {
  readonly algorithm: Algorithm;
}

type Algorithm = NonNullable<Policy['algorithm']>;

const algorithms: readonly Algorithm[] = ['consistent-hash', 'round-robin'];

/** `sailring policy`: what operators decided for all peers in place of their configurations. */
export function addPolicy(program: Command, out: CliOutput, done: Done): void {
  const policy = program
    .command('policy')
    .summary('show or change how a running cluster spreads calls without a rule')
    .description(
      'Shows and changes the policy of a running cluster, through any one of its peers: how an initial SIP request that no rule gives a key finds its instance. What was set here goes before sip.algorithm of all peers and outlives restarts where peers have a dataDir.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  sailring policy show\n  sailring policy set --algorithm round-robin\n  sailring policy clear',
    );
  addShow(policy, out, done);
  addSet(policy, out, done);
  addClear(policy, out, done);
}

function addShow(policy: Command, out: CliOutput, done: Done): void {
  const command = policy
    .command('show')
    .summary('show the policy of the cluster')
    .description('Shows what operators decided for all peers.');
  withAdminOptions(command).action(async (options: AdminOptions) => {
    const client = new AdminClient(options, out);
    done(await client.show('/policy', (body) => shown(body as PolicyAnswer)));
  });
}

function addSet(policy: Command, out: CliOutput, done: Done): void {
  const command = policy
    .command('set')
    .summary('give the cluster a policy')
    .description(
      'Gives all peers a policy in place of that of their configurations. Calls that run stay where they are.',
    )
    .addOption(
      new Option('--algorithm <name>', 'how a call without a rule finds its instance')
        .choices(algorithms)
        .makeOptionMandatory(),
    );
  withAdminOptions(command).action(async ({ algorithm, ...options }: SetOptions) => {
    const client = new AdminClient(options, out);
    const set = { method: 'PUT', path: '/policy', body: JSON.stringify({ algorithm }) } as const;
    done(await client.changeState(set, changedText(`all peers use ${algorithm}`)));
  });
}

function addClear(policy: Command, out: CliOutput, done: Done): void {
  const command = policy
    .command('clear')
    .summary('go back to the policies of the configurations')
    .description(
      'Takes the policy of the cluster away: each peer uses that of its configuration again.',
    );
  withAdminOptions(command).action(async (options: AdminOptions) => {
    const client = new AdminClient(options, out);
    const clear = { method: 'DELETE', path: '/policy' } as const;
    const what = 'each peer uses the algorithm of its configuration';
    done(await client.changeState(clear, changedText(what)));
  });
}

function changedText(what: string): (body: unknown) => string {
  return (body) => `${what}; cluster state ${(body as ChangedAnswer).digest}`;
}

function shown({ policy: { algorithm } }: PolicyAnswer): string {
  return algorithm === undefined
    ? 'nothing is decided: each peer uses sip.algorithm of its configuration'
    : `all peers use ${algorithm}`;
}
