import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { users } from './keys.ts';
import { httpPeer, startPeers } from './peers.ts';
import { answersOk, ports, until } from './ports.ts';
import { findProgram, loadCore, startProgram, subjectCore } from './processes.ts';
import type { Started } from './processes.ts';
import { startAccounting } from './rounds.ts';
import type { Figures, Subject } from './rounds.ts';
import type { ReportShape } from './report.ts';

const here = import.meta.dirname;
const build = join(here, 'build');
const names = {
  direct: 'no proxy',
  haproxy: 'HAProxy, one thread',
  nginx: 'nginx, one worker',
  bare: 'bare Node forwarder',
  heads: 'bare Node forwarder that reads heads',
  undici: 'node:http + undici dispatch',
  httpProxy3: 'http-proxy-3',
  fastify: '@fastify/http-proxy',
  p3: 'Sailring, one peer (P3)',
  p4: 'Sailring, relayed to a second peer (P4)',
} as const;

/** Until wrk has read its list and opened its connections. */
const wrkStartMs = 200;

/** How long a run is and how many connections are open at a time. */
export interface HttpLoad {
  readonly warmupMs: number;
  readonly measureMs: number;
  readonly window: number;
}

export const httpShape: ReportShape = {
  unit: 'request',
  bases: [
    [names.haproxy, 'HAProxy'],
    [names.undici, 'undici'],
  ],
  goals: [
    {
      name: 'P3: rate ÷ node:http + undici dispatch',
      subject: names.p3,
      base: names.undici,
      figure: (p3, undici) => p3.rate / undici.rate,
      atLeast: 2,
    },
    {
      name: 'P3: rate ÷ HAProxy, one thread',
      subject: names.p3,
      base: names.haproxy,
      figure: (p3, haproxy) => p3.rate / haproxy.rate,
      atLeast: 0.8,
    },
    {
      name: 'P4: requests per core used ÷ P3',
      subject: names.p4,
      base: names.p3,
      figure: (p4, p3) => p3.cpuUs / p4.cpuUs,
      atLeast: 0.6,
    },
  ],
};

/** The subjects of the HTTP measurement. Writes the list of users. */
export function httpSubjects(load: HttpLoad): readonly Subject[] {
  mkdirSync(build, { recursive: true });
  if (findProgram('wrk') === undefined) throw new Error('the load needs wrk (Debian package wrk)');
  writeFileSync(join(build, 'users.txt'), users());
  const subject = (
    name: string,
    missing: string | undefined,
    start: () => Promise<readonly Started[]>,
  ): Subject => ({ name, missing, measure: () => measure(start, ports.subjectHttp, load) });
  return [
    {
      name: names.direct,
      missing: undefined,
      measure: () => measure(() => Promise.resolve([]), ports.origins[0], load),
    },
    subject(names.haproxy, program('haproxy', 'haproxy'), startHaproxy),
    subject(names.nginx, program('nginx', 'nginx-light'), startNginx),
    subject(names.bare, undefined, () => startNodeProxy('tcp-forwarder.ts')),
    subject(names.heads, undefined, () => startNodeProxy('head-forwarder.ts')),
    subject(names.undici, library('undici'), () => startNodeProxy('undici-proxy.ts')),
    subject(names.httpProxy3, library('http-proxy-3'), () => startNodeProxy('http-proxy.ts')),
    subject(names.fastify, library('@fastify/http-proxy'), () =>
      startNodeProxy('fastify-proxy.ts'),
    ),
    subject(names.p3, undefined, () => startPeers([httpPeer('owner', 0, 0)])),
    // All keys belong to the peer `owner`; the load enters at `entry`.
    subject(names.p4, undefined, () =>
      startPeers([httpPeer('entry', 0, 0), httpPeer('owner', 1, 1)]),
    ),
  ];
}

/** Versions of the programs of other projects that take part. */
export function httpVersions(): readonly string[] {
  // Each prints it on another stream.
  const version = (name: string): string[] => {
    const path = findProgram(name);
    if (path === undefined) return [];
    const text = execFileSync('sh', ['-c', '"$0" -v 2>&1', path], { encoding: 'utf8' });
    return [text.split('\n', 1)[0]!.replace(/ - https:.*/, '')];
  };
  return [...version('haproxy'), ...version('nginx')];
}

function program(name: string, debian: string): string | undefined {
  return findProgram(name) === undefined ? `not installed (Debian package ${debian})` : undefined;
}

function library(name: string): string | undefined {
  try {
    createRequire(import.meta.url).resolve(name);
    return undefined;
  } catch {
    return `not installed (npm install --no-save ${name})`;
  }
}

async function measure(
  start: () => Promise<readonly Started[]>,
  port: number,
  load: HttpLoad,
): Promise<Figures> {
  const origin = await startOrigin();
  const subjects: Started[] = [];
  try {
    subjects.push(...(await start()));
    const measured = subjects.length > 0 ? subjects : [origin];
    const [first] = measured;
    if (first !== undefined) await untilAnswering(first, port);
    return await drive(measured, [origin], port, load);
  } finally {
    for (const started of [...subjects, origin]) await started.stop();
  }
}

async function drive(
  subjects: readonly Started[],
  helpers: readonly Started[],
  port: number,
  load: HttpLoad,
): Promise<Figures> {
  const wrk = (ms: number): Started =>
    startProgram(
      'wrk',
      [
        '-t1',
        `-c${load.window}`,
        `-d${Math.ceil(ms / 1_000)}s`,
        '-s',
        join(here, 'load/requests.lua'),
        `http://127.0.0.1:${port}/`,
      ],
      loadCore,
      { BENCH_USERS: join(build, 'users.txt') },
    );
  // A run of its own: what a compiler still had to learn is not measured.
  await wrk(load.warmupMs).ended;
  const measured = wrk(load.measureMs);
  await delay(wrkStartMs);
  const pids = subjects.map((subject) => subject.pid);
  const used = startAccounting(pids, [measured.pid, ...helpers.map((helper) => helper.pid)]);
  // Short of the end, while wrk still drives.
  const partSeconds = (load.measureMs - 2 * wrkStartMs) / 1_000;
  await delay(partSeconds * 1_000);
  const { subjectSeconds, foreignCores } = used();
  await measured.ended;
  const text = measured.output();
  const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]);
  if (!(rate > 0)) throw new Error(`wrk reported no rate\n${text}`);
  const bad = Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0);
  const errors = /Socket errors: (.*)/.exec(text)?.[1]?.match(/\d+/g) ?? [];
  return {
    rate,
    cpuUs: (subjectSeconds / (rate * partSeconds)) * 1e6,
    failed: errors.reduce((sum, count) => sum + Number(count), bad),
    foreignCores,
  };
}

/** Fills in a configuration of bench/peers and says where the result stands. */
function configure(name: string): string {
  const folder = join(build, 'http');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  const text = readFileSync(join(here, 'peers', name), 'utf8')
    .replaceAll('WORK_DIR', folder)
    .replaceAll('SUBJECT_PORT', String(ports.subjectHttp))
    .replaceAll('ORIGIN_PORT_1', String(ports.origins[0]))
    .replaceAll('ORIGIN_PORT_2', String(ports.origins[1]));
  writeFileSync(path, text);
  return path;
}

/** The server behind the subject: nginx where it is installed, else node:http. It runs on the load's core. */
async function startOrigin(): Promise<Started> {
  const nginx = findProgram('nginx');
  if (nginx === undefined) {
    const parameters = [join(here, 'subjects/origin.ts'), ...ports.origins.map(String)];
    const origin = startProgram(process.execPath, parameters, loadCore);
    await origin.line('ready');
    return origin;
  }
  return answering(startProgram(nginx, ['-c', configure('nginx-origin.conf')], loadCore), [
    ...ports.origins,
  ]);
}

async function startHaproxy(): Promise<readonly Started[]> {
  const haproxy = findProgram('haproxy') ?? 'haproxy';
  const started = startProgram(haproxy, ['-db', '-q', '-f', configure('haproxy.cfg')], subjectCore);
  return [await answering(started, [ports.subjectHttp])];
}

async function startNginx(): Promise<readonly Started[]> {
  const nginx = findProgram('nginx') ?? 'nginx';
  const started = startProgram(nginx, ['-c', configure('nginx-proxy.conf')], subjectCore);
  return [await answering(started, [ports.subjectHttp])];
}

async function startNodeProxy(file: string): Promise<readonly Started[]> {
  const parameters = [join(here, 'subjects', file), ports.subjectHttp, ...ports.origins].map(
    String,
  );
  const proxy = startProgram(process.execPath, parameters, subjectCore);
  await proxy.line('ready');
  return [proxy];
}

async function answering(started: Started, listening: readonly number[]): Promise<Started> {
  for (const port of listening) await untilAnswering(started, port);
  return started;
}

async function untilAnswering(started: Started, port: number): Promise<void> {
  await until(`an answer at port ${port}`, started, () =>
    answersOk(`http://127.0.0.1:${port}/?user=user0`),
  );
}
