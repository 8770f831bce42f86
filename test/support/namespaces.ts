import { execFileSync } from 'node:child_process';
import type { TestContext } from 'node:test';
import { findTool, requireTool } from './tools.ts';

/** A machine of a test: a network namespace with one interface, on the bridge that all of them share. */
export interface Station {
  readonly name: string;
  /** IPv4. */
  readonly address: string;
  readonly namespace: string;
}

/** Of those set apart for tests between machines (RFC 2544 appendix C.2.2). */
const networks = '198.18';
const firstStation = 11;

/**
 * Whether a test can make networks of its own. Where it cannot it is skipped with a word; with
 * SAILRING_REQUIRE_TOOLS=1 it fails instead.
 */
export function requireNamespaces(t: TestContext): boolean {
  if (!requireTool('ip', t) || !requireTool('nft', t)) return false;
  const probe = `sr${process.pid.toString(36)}-probe`;
  try {
    run('ip', ['netns', 'add', probe]);
    run('ip', ['netns', 'exec', probe, tool('nft'), 'add', 'table', 'bridge', 'probe']);
    return true;
  } catch (error) {
    const word = 'network namespaces with nftables are not permitted here (they are to root)';
    if (process.env['SAILRING_REQUIRE_TOOLS'] === '1') throw new Error(word, { cause: error });
    t.skip(word);
    return false;
  } finally {
    try {
      run('ip', ['netns', 'delete', probe]);
    } catch {
      // It was never made.
    }
  }
}

/**
 * Stations on a bridge, and this process beside them. The bridge has a namespace of its own, so that the
 * machine's firewall sees nothing of what stations say to each other, and one list of rules holds for
 * them all. The test's end removes everything.
 */
export class TestNetwork {
  /** Address of this process in the network. */
  readonly host: string;
  /** Address and length of the prefix. */
  readonly prefix: string;
  readonly stations: readonly Station[];
  readonly #hub: string;
  readonly #own: string;

  /** Call only where `requireNamespaces` holds. */
  constructor(t: Pick<TestContext, 'after'>, names: readonly string[]) {
    const id = `sr${process.pid.toString(36)}`;
    const network = freeNetwork();
    this.#own = `${id}own`;
    this.#hub = `${id}-hub`;
    this.host = `${network}.1`;
    this.prefix = `${network}.0/24`;
    this.stations = names.map((name, at) => ({
      name,
      address: `${network}.${firstStation + at}`,
      namespace: `${id}-${name}`,
    }));
    const remove = (): void => {
      for (const namespace of [this.#hub, ...this.stations.map((one) => one.namespace)])
        remove1(namespace);
    };
    process.once('exit', remove);
    t.after(() => {
      process.off('exit', remove);
      remove();
    });
    this.#make();
  }

  /** How a program is started at a station; its process id is that of the child. */
  command(station: Station, program: string, args: readonly string[]): [string, string[]] {
    return [tool('ip'), ['netns', 'exec', station.namespace, program, ...args]];
  }

  /**
   * From now on the bridge has these rules of nftables, and no others. They see what passes from a
   * station to another: `ip saddr 198.18.0.11 drop`.
   */
  rules(rules: readonly string[]): void {
    const table = [
      'table bridge faults {}',
      'delete table bridge faults',
      'table bridge faults {',
      'chain forward {',
      'type filter hook forward priority 0',
      ...rules,
      '}',
      '}',
    ];
    run('ip', ['netns', 'exec', this.#hub, tool('nft'), '-f', '-'], `${table.join('\n')}\n`);
  }

  /** Packets that each rule has met so far, in the order of the rules; those with `counter`. */
  counters(): number[] {
    const text = run('ip', ['netns', 'exec', this.#hub, tool('nft'), 'list', 'ruleset']);
    return [...text.matchAll(/counter packets (\d+)/gu)].map(([, packets]) => Number(packets));
  }

  #make(): void {
    run('ip', ['netns', 'add', this.#hub]);
    inside(this.#hub, ['link add bridge type bridge forward_delay 0', 'link set bridge up']);
    run('ip', [
      'link',
      'add',
      this.#own,
      'type',
      'veth',
      'peer',
      'name',
      'own',
      'netns',
      this.#hub,
    ]);
    inside(this.#hub, ['link set own master bridge up']);
    run('ip', ['address', 'add', `${this.host}/24`, 'dev', this.#own]);
    run('ip', ['link', 'set', this.#own, 'up']);
    for (const [at, { namespace, address }] of this.stations.entries()) {
      run('ip', ['netns', 'add', namespace]);
      inside(this.#hub, [
        `link add port${at} type veth peer name eth0 netns ${namespace}`,
        `link set port${at} master bridge up`,
      ]);
      inside(namespace, [
        `address add ${address}/24 dev eth0`,
        'link set eth0 up',
        'link set lo up',
      ]);
    }
  }
}

/** The first network that this machine has no way to yet. */
function freeNetwork(): string {
  for (let turn = 0; turn < 256; turn++) {
    const network = `${networks}.${(process.pid + turn) % 256}`;
    if (run('ip', ['-o', 'route', 'show', 'root', `${network}.0/24`]) === '') return network;
  }
  throw new Error(`no network of ${networks}.0.0/16 is free`);
}

function inside(namespace: string, commands: readonly string[]): void {
  run('ip', ['-n', namespace, '-batch', '-'], `${commands.join('\n')}\n`);
}

/** With the bridge's namespace go all its cables, the one to this process too. */
function remove1(namespace: string): void {
  try {
    run('ip', ['netns', 'delete', namespace]);
  } catch {
    // It was never made.
  }
}

function tool(name: 'ip' | 'nft'): string {
  const path = findTool(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}

function run(name: 'ip' | 'nft', args: readonly string[], input = ''): string {
  return execFileSync(tool(name), args, { input, encoding: 'utf8', stdio: 'pipe' });
}
