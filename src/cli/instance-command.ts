import { InvalidArgumentError, type Command } from 'commander';
import { AdminClient, withAdminOptions, type AdminOptions } from './admin-client.ts';
import type { CliOutput, Done } from './output.ts';
import { table } from './table.ts';

/** What was decided about one instance. */
interface Decided {
  readonly status: string;
  readonly weight?: number;
}

/** One of `GET /instances`. */
interface InstanceRow {
  readonly name: string;
  readonly state: string | null;
  readonly status: string | null;
  readonly weight: number | null;
  readonly decided: Decided | null;
}

interface ChangeOptions extends AdminOptions {
  readonly create?: boolean;
  readonly timeout?: number;
}

/** `sailring instance`: what operators decide about instances, through any peer. */
export function addInstance(program: Command, out: CliOutput, done: Done): void {
  const instance = program
    .command('instance')
    .summary('enable, disable, drain or weigh an instance of a running cluster')
    .description(
      'Shows and changes what operators decided about the instances of a cluster, through any one of its peers. It holds until it is changed, also over restarts where peers have a dataDir.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  sailring instance list\n  sailring instance drain peer-2\n  sailring instance disable peer-2 --timeout 60\n  sailring instance weight peer-2 0.5\n  sailring instance enable peer-2',
    );
  addList(instance, out, done);
  const statuses = [
    ['enable', 'enabled', 'let it take new sessions'],
    ['drain', 'draining', 'give it no new sessions, and let it keep those it has'],
  ] as const;
  for (const [name, status, summary] of statuses) {
    const command = instance.command(name).summary(summary).description(sentence(summary));
    addChange(command, out, done, () => ({ status }));
  }
  addDisable(instance, out, done);
  addWeight(instance, out, done);
  addForget(instance, out, done);
}

function addList(instance: Command, out: CliOutput, done: Done): void {
  const command = instance
    .command('list')
    .summary('show the instances and what was decided about them')
    .description('Shows the instances of the cluster and what operators decided about them.');
  withAdminOptions(command).action(async (options: AdminOptions) => {
    const client = new AdminClient(options, out);
    const text = (body: unknown): string =>
      listText((body as { instances: InstanceRow[] }).instances);
    done(await client.show('/instances', text));
  });
}

function addDisable(instance: Command, out: CliOutput, done: Done): void {
  const command = instance
    .command('disable')
    .summary('give it no new sessions, and move those it has after a while')
    .description(
      'Gives an instance no new sessions. After the time given, others serve those that it has.',
    )
    .option('--timeout <seconds>', 'time for its sessions (default: 32)', seconds);
  addChange(command, out, done, ({ timeout }) => ({
    status: 'disabled',
    quiesceMs: timeout === undefined ? null : timeout * 1_000,
  }));
}

function addWeight(instance: Command, out: CliOutput, done: Done): void {
  const command = instance
    .command('weight')
    .summary('change its share of the keys')
    .description(
      'Changes the share of the keys that an instance gets: 0.1 to 100, or "default" for that of its configuration.',
    )
    .argument('<name>', 'name of the instance')
    .argument('<weight>', '0.1 to 100, or default', weightOf);
  withAdminOptions(withCreate(command)).action(
    async (name: string, weight: number | null, options: ChangeOptions) => {
      done(await change(name, { weight }, options, out));
    },
  );
}

function addForget(instance: Command, out: CliOutput, done: Done): void {
  const command = instance
    .command('forget')
    .summary('take back all that was decided about it')
    .description('Takes back all that was decided about an instance.')
    .argument('<name>', 'name of the instance');
  withAdminOptions(command).action(async (name: string, options: AdminOptions) => {
    const client = new AdminClient(options, out);
    const forget = { method: 'DELETE', path: pathOf(name) } as const;
    done(await client.changeState(forget, () => `nothing is decided about ${name} any more`));
  });
}

/** A command that changes one instance. */
function addChange(
  command: Command,
  out: CliOutput,
  done: Done,
  flags: (options: ChangeOptions) => object,
): void {
  command.argument('<name>', 'name of the instance');
  withAdminOptions(withCreate(command)).action(async (name: string, options: ChangeOptions) => {
    done(await change(name, flags(options), options, out));
  });
}

function pathOf(name: string): string {
  return `/instances/${encodeURIComponent(name)}`;
}

function withCreate(command: Command): Command {
  return command.option('--create', 'also for an instance that no peer knows yet');
}

function change(
  name: string,
  flags: object,
  options: ChangeOptions,
  out: CliOutput,
): Promise<number> {
  const path = `${pathOf(name)}${options.create === true ? '?create=1' : ''}`;
  const body = JSON.stringify(flags);
  const text = (answer: unknown): string => `${name} is ${decisionText(answer as Decided)}`;
  return new AdminClient(options, out).changeState({ method: 'PUT', path, body }, text);
}

function decisionText(decided: Decided | null): string {
  if (decided === null) return '-';
  return decided.weight === undefined
    ? decided.status
    : `${decided.status}, weight ${decided.weight}`;
}

function listText(instances: readonly InstanceRow[]): string {
  const rows = instances.map(({ name, state, status, weight, decided }) => [
    name,
    state ?? '-',
    status ?? '-',
    weight === null ? '-' : String(weight),
    decisionText(decided),
  ]);
  return table(['instance', 'gossip', 'status', 'weight', 'decided'], rows).join('\n');
}

function sentence(summary: string): string {
  return `${summary[0]!.toUpperCase()}${summary.slice(1)}.`;
}

function seconds(text: string): number {
  const value = /^\d{1,5}$/u.test(text) ? Number(text) : NaN;
  if (value <= 86_400) return value;
  throw new InvalidArgumentError('Use whole seconds, 0 to 86400.');
}

function weightOf(text: string): number | null {
  if (text === 'default') return null;
  const value = Number(text);
  if (value >= 0.1 && value <= 100) return value;
  throw new InvalidArgumentError('Use 0.1 to 100, or default.');
}
