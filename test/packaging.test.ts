import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { Script } from 'node:vm';
import { parse, stringify } from 'yaml';
import { formatProblem, loadConfig } from '../src/config/index.ts';
import { findTool, nginxStreamModule, requireTool } from './support/tools.ts';

const root = join(import.meta.dirname, '..');
const run = promisify(execFile);

interface Service {
  readonly image?: string;
  readonly stop_grace_period?: string;
  readonly depends_on?: Readonly<Record<string, unknown>>;
  readonly profiles?: readonly string[];
  readonly volumes?: readonly string[];
  readonly networks: Readonly<Record<string, { readonly ipv4_address?: string } | null>>;
}

function readPackage(): { readonly version: string; readonly bin: Record<string, string> } {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as ReturnType<
    typeof readPackage
  >;
}

describe('the composition', () => {
  it('is accepted by docker-compose and has three peers behind one sprayer', async (t) => {
    if (!requireTool('docker-compose', t)) return;
    const program = findTool('docker-compose') ?? '';
    const { stdout } = await run(program, ['--profile', 'sipp', 'config'], { cwd: root });
    const { services } = parse(stdout) as { services: Readonly<Record<string, Service>> };
    assert.deepEqual(Object.keys(services).sort(), [
      'peer-1',
      'peer-2',
      'peer-3',
      'sipp',
      'sprayer',
    ]);
    assert.deepEqual(services['sipp']?.profiles, ['sipp']);
    const peers = ['peer-1', 'peer-2', 'peer-3'];
    assert.deepEqual(Object.keys(services['sprayer']?.depends_on ?? {}).sort(), peers);
    assert.deepEqual(
      peers.map((name) => services[name]?.image),
      ['sailring', 'sailring', 'sailring'],
    );
  });

  it('gives each peer the file and the address that the other peers expect', () => {
    const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
    const { services } = parse(text, { merge: true }) as { services: Record<string, Service> };
    process.env['SAILRING_STAMP_SECRET'] = 'a secret for this test alone, long enough';
    const seen = ['peer-1', 'peer-2', 'peer-3'].map((name) => {
      const loaded = loadConfig(join(root, 'deploy', `${name}.yaml`));
      if (!loaded.ok) assert.fail(loaded.problems.map(formatProblem).join('\n'));
      const { config } = loaded;
      const address = services[name]?.networks['cluster']?.ipv4_address;
      const addresses = [
        config.gossip.listen,
        config.link.listen,
        ...config.sip.listeners,
        ...config.http.listeners,
      ].map((listen) => listen.address);
      assert.equal(config.name, name);
      assert.deepEqual(
        addresses,
        addresses.map(() => address),
      );
      assert.ok(services[name]?.volumes?.some((volume) => volume.includes(`/${name}.yaml:`)));
      const grace = Number.parseInt(services[name]?.stop_grace_period ?? '', 10) * 1_000;
      assert.ok(grace > config.drainTimeoutMs, 'a peer is killed while it still drains');
      const sprayer = services['sprayer']?.networks['cluster']?.ipv4_address ?? '';
      assert.equal(config.sip.publicAddress, `${sprayer}:5060`);
      // What is left must be equal, or the peers would route differently.
      return { ...config, name: '', gossip: config.gossip.seeds, link: '', sip: '', http: '' };
    });
    assert.deepEqual(seen[1], seen[0]);
    assert.deepEqual(seen[2], seen[0]);
  });

  it('has a sprayer that nginx accepts', async (t) => {
    if (!requireTool('nginx', t) || !requireTool('nginx-stream', t)) return;
    const folder = mkdtempSync(join(tmpdir(), 'sailring-nginx-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    // Names of the composition do not resolve here, and Debian loads the module on request.
    const text = readFileSync(join(root, 'deploy', 'nginx.conf'), 'utf8');
    const config = join(folder, 'nginx.conf');
    writeFileSync(
      config,
      `load_module ${nginxStreamModule};\npid ${folder}/pid;\nerror_log stderr;\n` +
        text.replaceAll(/peer-(\d)/g, '127.0.0.$1'),
    );
    const { stderr } = await run(findTool('nginx') ?? '', ['-t', '-c', config, '-p', folder]);
    assert.match(stderr, /test is successful/);
  });
});

describe('the package', () => {
  it('holds what a user needs and nothing of the workshop', async () => {
    const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: root,
    });
    const [packed] = JSON.parse(stdout) as readonly { files: readonly { path: string }[] }[];
    const paths = packed?.files.map((file) => file.path) ?? [];
    const needed = [
      'LICENSE',
      'README.md',
      'package.json',
      'proto/sailring/v1/link.proto',
      'docs/configuration.md',
      'dcr-examples/conference.xml',
    ];
    assert.deepEqual(
      needed.filter((path) => !paths.includes(path)),
      [],
    );
    const folders = new Set(
      paths.filter((path) => path.includes('/')).map((path) => path.split('/', 1)[0]),
    );
    for (const folder of ['src', 'test', 'bench', 'deploy', 'node_modules', '.ci']) {
      assert.ok(!folders.has(folder), `${folder} is in the package`);
    }
  });

  describe('once built', () => {
    let folder = '';
    let program = '';
    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'sailring-build-'));
      for (const name of ['node_modules', 'proto', 'dcr-examples']) {
        symlinkSync(join(root, name), join(folder, name));
      }
      cpSync(join(root, 'package.json'), join(folder, 'package.json'));
      program = join(folder, readPackage().bin['sailring'] ?? '');
      const tsc = join(root, 'node_modules/typescript/bin/tsc');
      const options = ['-p', join(root, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')];
      await run(process.execPath, [tsc, ...options], { cwd: root });
    });
    after(() => {
      rmSync(folder, { recursive: true });
    });

    it('tells its version', async () => {
      const { version } = readPackage();
      const { stdout } = await run(process.execPath, [program, '--version']);
      assert.equal(stdout.trim(), version);
    });

    // What only a start reads: the demo application, the link's definition, the rules.
    it('starts a peer with the demo application, and a signal ends it', async (t) => {
      const free = { port: 0 };
      const config = join(folder, 'peer.yaml');
      const settings = {
        name: 'built',
        gossip: { listen: free },
        link: { listen: free },
        sip: { listeners: [{ transport: 'udp', ...free }], internal: free },
        http: { listeners: [free] },
        admin: { listen: free },
        rules: { file: 'dcr-examples/conference.xml' },
        application: { kind: 'embedded', module: 'demo' },
        drainTimeoutMs: 0,
        log: { level: 'error' },
      };
      writeFileSync(config, stringify(settings));
      const peer = spawn(process.execPath, [program, 'start', '-c', config, '--json'], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      t.after(() => {
        peer.kill('SIGKILL');
      });
      const ended = once(peer, 'exit');
      const first = once(peer.stdout.setEncoding('utf8'), 'data');
      const [line] = (await Promise.race([first, ended])) as [string | number];
      assert.equal(typeof line, 'string', 'the peer ended before it was ready');
      const { http } = JSON.parse(String(line)) as { http: string };
      const response = await fetch(`http://${http}/conference?ConferenceName=42`);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get('x-served-by'), 'built');
      await response.arrayBuffer();
      peer.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null]);
    });
  });
});

describe('the image', () => {
  const text = readFileSync(join(root, 'Dockerfile'), 'utf8');

  it('copies only files that exist and that .dockerignore lets through', () => {
    const ignored = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n');
    const copied = [...text.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((line) =>
      line[1]!.split(' '),
    );
    assert.ok(copied.includes('src') && copied.includes('proto'));
    for (const path of copied) {
      assert.ok(existsSync(join(root, path)), `${path} does not exist`);
      assert.ok(ignored.includes(`!${path}`), `${path} is not in the build context`);
    }
  });

  it('runs the peer as its first process, not as root, and asks whether it is ready', () => {
    const last = text.slice(text.lastIndexOf('\nFROM '));
    assert.match(last, /^USER node$/m);
    assert.match(last, /^STOPSIGNAL SIGTERM$/m);
    // The form without a shell: a shell as process 1 would keep the signal to itself.
    assert.match(last, /^ENTRYPOINT \["node", "dist\/main\.js"\]$/m);
    assert.match(last, /^HEALTHCHECK [^]*\/readyz/m);
    const health = /CMD \["node", "-e", "(.+)"\]/.exec(last)?.[1] ?? '';
    assert.doesNotThrow(() => new Script(health));
  });
});

describe('the one command of continuous integration', () => {
  const text = readFileSync(join(root, '.ci', 'run'), 'utf8');

  it('is a script that bash can read', async () => {
    await run('bash', ['-n', join(root, '.ci', 'run')]);
  });

  it('runs the tests and the static checks, and skips no test for want of a program', () => {
    const order = [
      'npm ci',
      'export SAILRING_REQUIRE_TOOLS=1',
      '\nnpm test\n',
      '\nnpm run check\n',
      '\ndocker-compose config -q\n',
    ].map((step) => text.lastIndexOf(step));
    assert.ok(order.every((at) => at > 0));
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
  });
});
