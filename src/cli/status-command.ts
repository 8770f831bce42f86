import type { Command } from 'commander';
import type { PeerStatus } from '../admin/index.ts';
import { AdminClient, withAdminOptions, type AdminOptions } from './admin-client.ts';
import type { CliOutput } from './output.ts';

/** `sailring status`: what one peer sees of its cluster. */
export function addStatus(
  program: Command,
  out: CliOutput,
  done: (exitCode: number) => void,
): void {
  const command = program
    .command('status')
    .summary('show the cluster as a running peer sees it')
    .description('Shows the members of the cluster and the ring as one running peer sees them.');
  withAdminOptions(command)
    .addHelpText('after', '\nExample:\n  sailring status --admin http://127.0.0.1:7113')
    .action(async (options: AdminOptions) => {
      const client = new AdminClient(options, out);
      const answer = await client.ask('GET', '/status');
      if (answer !== undefined) client.print(answer, (body) => statusText(body as PeerStatus));
      done(answer === undefined ? 1 : 0);
    });
}

function statusText({ name, state, ring, members }: PeerStatus): string {
  const rows = members.map((member) => [
    member.name,
    member.state,
    member.status ?? '-',
    String(member.weight),
    member.address,
  ]);
  const table = [['member', 'gossip', 'instance', 'weight', 'address'], ...rows];
  const widths = table[0]!.map((_, at) => Math.max(...table.map((row) => row[at]!.length)));
  const lines = table.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at]!))
      .join('  ')
      .trimEnd(),
  );
  return [`${name} is ${state}; ring ${ring.version} of ${ring.members.length}`, '', ...lines].join(
    '\n',
  );
}
