import { buffer } from 'node:stream/consumers';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { cliLimits } from '../config/defaults.ts';
import type { ClusterOptions } from './cluster.ts';
import type { ExplainOptions } from './dcr-explain.ts';
import { basePortMax } from './cluster-ports.ts';
import { complain } from './complain.ts';
import { addKeys } from './keys-command.ts';
import type { CliOutput, Done } from './output.ts';
import { packageVersion } from './package.ts';
import { addPolicy } from './policy-command.ts';
import type { StartOptions } from './start.ts';
import { addInstance } from './instance-command.ts';
import { addRules } from './rules-command.ts';
import { addStatus } from './status-command.ts';

/**
 * Runs the command line. Commands load what they need when they run, so that help is quick.
 *
 * @param args without the names of node and of this program
 * @returns the exit code: 0, or 1 after a line on standard error
 */
export async function runProgram(
  args: readonly string[],
  out: CliOutput = processOutput(),
): Promise<number> {
  let exitCode = 0;
  const program = createProgram(out, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help asked for is no fault; commander has written everything already.
    return error.exitCode;
  }
  return exitCode;
}

function processOutput(): CliOutput {
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    readStdin: () => buffer(process.stdin),
  };
}

function createProgram(out: CliOutput, done: Done): Command {
  const program = new Command('sailring')
    .description('Self load-balancing cluster peer for SIP and HTTP.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .configureOutput({
      writeOut: (text) => {
        out.out(text);
      },
      writeErr: (text) => {
        out.err(text);
      },
    })
    .exitOverride()
    .showSuggestionAfterError()
    .addHelpText('after', '\nEvery command has its own help: sailring start --help');
  addStart(program, out, done);
  addCheck(program, out, done);
  addSchema(program, out);
  addStatus(program, out, done);
  addRules(program, out, done);
  addInstance(program, out, done);
  addPolicy(program, out, done);
  addKeys(program, out, done);
  addCluster(program, out, done);
  addDcr(program, out, done);
  return program;
}

function addStart(program: Command, out: CliOutput, done: Done): void {
  program
    .command('start')
    .summary('run one peer')
    .description(
      'Runs one peer in the foreground. SIGTERM or SIGINT drains and stops it, a second one ends it at once.',
    )
    .requiredOption('-c, --config <file>', 'configuration file (YAML)')
    .option('--json', 'print the addresses as one JSON line when ready')
    .option('--exit-with-parent', 'stop when standard input ends')
    .addHelpText('after', '\nExample:\n  sailring start -c /etc/sailring/peer.yaml')
    .action(async (options: StartOptions) => {
      const { start } = await import('./start.ts');
      await leave(await start(options, out), done);
    });
}

function addCheck(program: Command, out: CliOutput, done: Done): void {
  program
    .command('check')
    .summary('check a configuration file')
    .description('Checks a configuration file and what it names. Exit code 0 when it can be used.')
    .requiredOption('-c, --config <file>', 'configuration file (YAML)')
    .addHelpText('after', '\nExample:\n  sailring check -c peer.yaml && systemctl restart sailring')
    .action(async (options: { config: string }) => {
      const { check } = await import('./check.ts');
      done(await check(options.config, out));
    });
}

function addSchema(program: Command, out: CliOutput): void {
  program
    .command('schema')
    .summary('print the JSON Schema of configuration files')
    .description('Prints the JSON Schema of configuration files, for editors.')
    .option('--table', 'print all keys as a Markdown table instead')
    .addHelpText('after', '\nExample:\n  sailring schema > sailring.schema.json')
    .action(async (options: { table?: boolean }) => {
      const { configJsonSchema, configReference } = await import('../config/index.ts');
      const schema = JSON.stringify(configJsonSchema(), undefined, 2);
      out.out(`${options.table === true ? configReference() : schema}\n`);
    });
}

function addCluster(program: Command, out: CliOutput, done: Done): void {
  program
    .command('cluster')
    .summary('run a whole cluster on this machine, to try it')
    .description(
      'Runs peers with the demo application as processes of their own on 127.0.0.1, and a layer-4 sprayer in front. Ctrl-C stops everything, SIGUSR2 restarts all peers, one after another.',
    )
    .option(
      '--peers <n>',
      `number of peers, 1 to ${cliLimits.clusterPeersMax}`,
      (text: string) => wholeNumber(text, 1, cliLimits.clusterPeersMax),
      cliLimits.clusterPeersDefault,
    )
    .option(
      '--base-port <n>',
      'all ports count from this one (default: SIP 5060, HTTP 8080, peers from 7110)',
      (text: string) => wholeNumber(text, 1, basePortMax(1)),
    )
    .option('--dcr <file>', 'rules (default: the conference example)')
    .addOption(
      new Option('--sprayer <mode>', 'each datagram to the next peer, or each client to one')
        .choices(['per-packet', 'flow'])
        .default('per-packet'),
    )
    .option('--json', 'print the addresses as one JSON line when ready')
    .addHelpText(
      'after',
      [
        '',
        'Ports with --base-port B: sprayer SIP B, HTTP B+1; peer number n has a block from B+10n:',
        'SIP, internal SIP, HTTP, admin, gossip, link.',
        '',
        'Examples:',
        '  sailring cluster',
        '  sailring cluster --peers 5 --base-port 21000 --sprayer flow',
        '  sailring cluster --dcr my-rules.xml --json',
        '  kill -USR2 <pid of sailring cluster>',
      ].join('\n'),
    )
    .action(async (options: ClusterOptions) => {
      const { basePort, peers } = options;
      if (basePort !== undefined && basePort > basePortMax(peers)) {
        complain(
          out,
          `--base-port ${basePort} leaves no room for ${peers} peers; use ${basePortMax(peers)} or less`,
        );
        done(1);
        return;
      }
      const { cluster } = await import('./cluster.ts');
      await leave(await cluster(options, out), done);
    });
}

function addDcr(program: Command, out: CliOutput, done: Done): void {
  const dcr = program.command('dcr').description('Work with Data Centric Rules.');
  dcr
    .command('check')
    .description('Checks a rule file or plug-in module. Exit code 0 when it can be used.')
    .argument('<file>', 'rules: .xml, or a plug-in module')
    .addHelpText('after', '\nExample:\n  sailring dcr check dcr-examples/conference.xml')
    .action(async (file: string) => {
      const { dcrCheck } = await import('./dcr-check.ts');
      done(await dcrCheck(file, out));
    });
  dcr
    .command('explain')
    .description('Shows the path that rules take for a request, the value, the key and its digest.')
    .argument('<file>', 'rules: .xml, or a plug-in module')
    .argument('[message]', 'file with a SIP or HTTP request; standard input without it', '-')
    .option('--json', 'print one JSON object')
    .option('--remote <host:port>', 'address of the client, for the fallback key of HTTP')
    .option('--enum-suffix <domain>', 'look numbers up by ENUM below this domain')
    .option('--enum-servers <list>', 'name servers as ip:port, separated by commas')
    .addHelpText('after', '\nExample:\n  sailring dcr explain rules.xml invite.sip')
    .action(async (file: string, message: string, options: ExplainOptions) => {
      const { dcrExplain } = await import('./dcr-explain.ts');
      done(await dcrExplain(file, message, options, out));
    });
}

/** Ends the process after a command that opened sockets and handlers of signals. */
async function leave(exitCode: number, done: Done): Promise<void> {
  done(exitCode);
  await new Promise<void>((resolve) => {
    process.stdout.write('', () => {
      resolve();
    });
  });
  process.exit(exitCode);
}

function wholeNumber(text: string, least: number, most: number): number {
  const value = /^\d{1,6}$/u.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new InvalidArgumentError(`Use a whole number from ${least} to ${most}.`);
}
