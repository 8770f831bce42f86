import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, loadCore, startProgram, subjectCore } from './processes.ts';
import type { Started } from './processes.ts';
import { isBound, ports, until } from './ports.ts';
import { settleMs, sipPeer, startPeers } from './peers.ts';
import { dialogIdentities } from './keys.ts';
import { startAccounting } from './rounds.ts';
import type { Figures, Subject } from './rounds.ts';
import type { ReportShape } from './report.ts';

const here = import.meta.dirname;
const build = join(here, 'build');
const names = {
  fm: 'Kamailio, fast allocator',
  qm: 'Kamailio, default allocator',
  bare: 'bare Node forwarder',
  p1: 'Sailring, one peer (P1)',
  p2: 'Sailring, relayed to a second peer (P2)',
} as const;

/** How long a run is and how many dialogs are open at a time. */
export interface SipLoad {
  readonly warmupMs: number;
  readonly measureMs: number;
  readonly window: number;
}

export const sipShape: ReportShape = {
  unit: 'packet',
  bases: [
    [names.qm, 'default'],
    [names.fm, 'fast'],
  ],
  goals: [
    {
      name: 'P1, first step: rate ÷ Kamailio, default allocator',
      subject: names.p1,
      base: names.qm,
      figure: (p1, kamailio) => p1.rate / kamailio.rate,
      atLeast: 1.5,
    },
    {
      name: 'P1: rate ÷ Kamailio, fast allocator',
      subject: names.p1,
      base: names.fm,
      figure: (p1, kamailio) => p1.rate / kamailio.rate,
      atLeast: 1,
    },
    {
      name: 'P2, first step: CPU of both peers ÷ CPU of P1',
      subject: names.p2,
      base: names.p1,
      figure: (p2, p1) => p2.cpuUs / p1.cpuUs,
      atMost: 2.5,
    },
    {
      name: 'P2: CPU of both peers ÷ CPU of P1',
      subject: names.p2,
      base: names.p1,
      figure: (p2, p1) => p2.cpuUs / p1.cpuUs,
      atMost: 1.8,
    },
    {
      name: 'P2: CPU of both peers ÷ CPU of Kamailio, fast allocator',
      subject: names.p2,
      base: names.fm,
      figure: (p2, kamailio) => p2.cpuUs / kamailio.cpuUs,
      atMost: 1.2,
    },
  ],
};

/** The subjects of the SIP measurement. Compiles the load program and writes the list of dialogs. */
export function sipSubjects(load: SipLoad): readonly Subject[] {
  mkdirSync(build, { recursive: true });
  const compiler = findProgram('gcc');
  if (compiler === undefined) {
    throw new Error('the load program needs gcc (Debian packages gcc and libc6-dev)');
  }
  const program = compile(compiler);
  const identities = join(build, 'identities.txt');
  writeFileSync(identities, dialogIdentities());
  const noKamailio =
    findProgram('kamailio') === undefined ? 'not installed (Debian package kamailio)' : undefined;
  const subject = (
    name: string,
    missing: string | undefined,
    callees: readonly number[],
    start: () => Promise<readonly Started[]>,
  ): Subject => ({
    name,
    missing,
    measure: () => measure(start, callees, program, identities, load),
  });
  const [, secondCallee] = ports.callees;
  return [
    subject(names.qm, noKamailio, ports.callees, () => startKamailio('qm')),
    subject(names.fm, noKamailio, ports.callees, () => startKamailio('fm')),
    subject(names.bare, undefined, ports.callees, startForwarder),
    subject(names.p1, undefined, ports.callees, () =>
      startPeers([sipPeer('owner', 0, 1)], settleMs),
    ),
    // All keys belong to the peer `owner`; the load enters at `entry`.
    subject(names.p2, undefined, [secondCallee], () =>
      startPeers([sipPeer('entry', 0, 0), sipPeer('owner', 1, 1)], settleMs),
    ),
  ];
}

/** Versions of the programs of other projects that take part. */
export function sipVersions(): readonly string[] {
  const kamailio = findProgram('kamailio');
  if (kamailio === undefined) return [];
  const [line] = execFileSync(kamailio, ['-v'], { encoding: 'utf8' }).split('\n');
  return [(line ?? '').replace('version: ', '')];
}

function compile(compiler: string): string {
  const source = join(here, 'load', 'sip-load.c');
  const program = join(build, 'sip-load');
  const isFresh = existsSync(program) && statSync(program).mtimeMs >= statSync(source).mtimeMs;
  if (!isFresh) execFileSync(compiler, ['-O2', '-Wall', '-Wextra', '-o', program, source]);
  return program;
}

interface LoadResult {
  readonly seconds: number;
  readonly packets: number;
  readonly lost: number;
  readonly bad: number;
  readonly sinks: readonly number[];
}

async function measure(
  start: () => Promise<readonly Started[]>,
  callees: readonly number[],
  program: string,
  identities: string,
  load: SipLoad,
): Promise<Figures> {
  const subjects = await start();
  try {
    const options = {
      target: ports.subjectSip,
      client: ports.caller,
      sinks: callees.join(','),
      ids: identities,
      window: load.window,
      'warmup-ms': load.warmupMs,
      'measure-ms': load.measureMs,
    };
    const parameters = Object.entries(options).flatMap(([key, value]) => [
      `--${key}`,
      String(value),
    ]);
    const caller = startProgram(program, parameters, loadCore);
    await caller.line('measure');
    const used = startAccounting(
      subjects.map((subject) => subject.pid),
      [caller.pid],
    );
    const line = await caller.line('{');
    const { subjectSeconds, foreignCores } = used();
    const result = JSON.parse(line) as LoadResult;
    if (result.packets === 0) throw new Error(`nothing came through\n${caller.output()}`);
    return {
      rate: result.packets / result.seconds,
      cpuUs: (subjectSeconds / result.packets) * 1e6,
      failed: result.lost + result.bad,
      foreignCores,
    };
  } finally {
    for (const subject of subjects) await subject.stop();
  }
}

async function startKamailio(allocator: 'qm' | 'fm'): Promise<readonly Started[]> {
  const folder = join(build, 'kamailio');
  mkdirSync(folder, { recursive: true });
  const template = readFileSync(join(here, 'peers', 'kamailio.cfg'), 'utf8');
  const config = join(folder, 'kamailio.cfg');
  writeFileSync(
    config,
    template.replaceAll('SIP_PORT', String(ports.subjectSip)).replaceAll('WORK_DIR', folder),
  );
  const destinations = ports.callees.map((port) => `1 sip:127.0.0.1:${port}`).join('\n');
  writeFileSync(join(folder, 'dispatcher.list'), `${destinations}\n`);
  const memory = ['-m', '256', '-M', '8', '-x', allocator, '-X', allocator];
  const files = ['-f', config, '-P', join(folder, 'kamailio.pid'), '-Y', folder];
  const kamailio = startProgram('kamailio', [...files, '-DD', '-E', ...memory], subjectCore);
  await until('Kamailio', kamailio, () => isBound('udp', ports.subjectSip));
  return [kamailio];
}

async function startForwarder(): Promise<readonly Started[]> {
  const program = join(here, 'subjects', 'udp-forwarder.ts');
  const parameters = [program, ports.subjectSip, ...ports.callees].map(String);
  const forwarder = startProgram(process.execPath, parameters, subjectCore);
  await forwarder.line('ready');
  return [forwarder];
}
