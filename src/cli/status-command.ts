import type { Command } from 'commander';
import type { LinkStatus, MemberStatus, PeerStatus } from '../admin/index.ts';
import { AdminClient, withAdminOptions, type AdminOptions } from './admin-client.ts';
import type { CliOutput, Done } from './output.ts';
import { table } from './table.ts';

/** `sailring status`: what one peer sees of its cluster. */
export function addStatus(program: Command, out: CliOutput, done: Done): void {
  const command = program
    .command('status')
    .summary('show the cluster as a running peer sees it')
    .description(
      'Shows the members of the cluster, the links to them and the ring as one running peer sees them.',
    );
  withAdminOptions(command)
    .addHelpText(
      'after',
      [
        '',
        'link: whether this peer can hand work to the member; "down" means that it serves itself, or',
        'gives to others, what is the member’s. The member’s own links are shown by its own peer.',
        'cluster state: digest of what operators decided, as the member has it; the same at all but',
        'for moments after a change.',
        '',
        'Example:',
        '  sailring status --admin http://127.0.0.1:7113',
      ].join('\n'),
    )
    .action(async (options: AdminOptions) => {
      const client = new AdminClient(options, out);
      done(await client.show('/status', (body) => statusText(body as PeerStatus)));
    });
}

const links: Readonly<Record<LinkStatus, string>> = { up: 'up', down: 'DOWN', self: 'this peer' };

/** `peer-2` before `peer-10`. */
const byName = new Intl.Collator('en', { numeric: true });

function statusText({ name, state, ring, members, clusterState }: PeerStatus): string {
  const { digest } = clusterState;
  const sorted = members.toSorted((one, other) => byName.compare(one.name, other.name));
  const rows = sorted.map((member) => [
    member.name,
    member.state,
    member.status ?? '-',
    String(member.weight),
    member.link === undefined ? '-' : links[member.link],
    stateText(member, digest),
    member.address,
  ]);
  const header = ['member', 'gossip', 'instance', 'weight', 'link', 'cluster state', 'address'];
  const whole = `ring ${ring.version} of ${ring.members.length}; cluster state ${digest}`;
  return [`${name} is ${state}; ${whole}`, '', ...table(header, rows)].join('\n');
}

function stateText({ state, stateDigest }: MemberStatus, own: string): string {
  // What a member said before it went tells nothing of what it has now.
  if (stateDigest === undefined || state === 'dead' || state === 'left') return '-';
  return stateDigest === own ? stateDigest : `${stateDigest} DIFFERS`;
}
