import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { after, describe, it } from 'node:test';
import { ESLint } from 'eslint';
import tseslint from 'typescript-eslint';

const root = join(import.meta.dirname, '..');
const config = '.dependency-cruiser.cjs';

interface Violation {
  readonly rule: { readonly name: string };
  readonly from: string;
  readonly to: string;
}

/** Runs the import rules over `src` of a tree. */
async function cruise(tree: string): Promise<readonly Violation[]> {
  const program = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs');
  const text = await new Promise<string>((resolve, reject) => {
    execFile(
      process.execPath,
      [program, '--config', config, '--output-type', 'json', 'src'],
      { cwd: tree, maxBuffer: 64 * 1024 * 1024 },
      // Violations make the exit code; only output that cannot be read is a fault.
      (error, stdout, stderr) => {
        if (stdout === '') reject(error ?? new Error(stderr));
        else resolve(stdout);
      },
    );
  });
  const result = JSON.parse(text) as { summary: { violations: readonly Violation[] } };
  return result.summary.violations;
}

/** One forbidden import: the rule that must find it, the file that imports, the file imported. */
const planted: readonly (readonly [rule: string, from: string, to: string])[] = [
  ['no-circular', 'src/sip/day.ts', 'src/sip/night.ts'],
  ['no-unresolved', 'src/sip/lost.ts', './nowhere.ts'],
  ['sip-is-pure', 'src/sip/asks-http.ts', 'src/http/room.ts'],
  ['http-is-pure', 'src/http/asks-config.ts', 'src/config/room.ts'],
  ['dcr-is-pure', 'src/dcr/asks-sip.ts', 'src/sip/room.ts'],
  ['ring-is-pure', 'src/ring/asks-cluster.ts', 'src/cluster/room.ts'],
  ['gossip-is-pure', 'src/gossip/asks-ring.ts', 'src/ring/room.ts'],
  ['cluster-is-pure', 'src/cluster/asks-gossip.ts', 'src/gossip/room.ts'],
  ['pure-rooms-touch-no-world', 'src/sip/reads-files.ts', 'node:fs'],
  ['pure-rooms-touch-no-world', 'src/pipeline/opens-sockets.ts', 'node:dgram'],
  ['pipeline-joins-only-pure-rooms', 'src/pipeline/asks-io.ts', 'src/io/sip/room.ts'],
  ['io-accept-adapts-its-own-rooms', 'src/io/accept/asks-sip.ts', 'src/sip/room.ts'],
  ['io-accept-adapts-its-own-rooms', 'src/io/accept/asks-io.ts', 'src/io/http/room.ts'],
  ['io-sip-adapts-its-own-rooms', 'src/io/sip/asks-ring.ts', 'src/ring/room.ts'],
  ['io-http-adapts-its-own-rooms', 'src/io/http/asks-sip.ts', 'src/io/sip/room.ts'],
  ['io-link-adapts-its-own-rooms', 'src/io/link/asks-http.ts', 'src/io/http/room.ts'],
  ['io-memory-adapts-its-own-rooms', 'src/io/memory/asks-link.ts', 'src/io/link/room.ts'],
  ['io-gossip-adapts-its-own-rooms', 'src/io/gossip/asks-sip.ts', 'src/sip/room.ts'],
  ['io-application-adapts-its-own-rooms', 'src/io/application/asks-dcr.ts', 'src/dcr/room.ts'],
  ['io-discovery-adapts-its-own-rooms', 'src/io/discovery/asks-dns.ts', 'src/io/dns/room.ts'],
  ['io-dns-adapts-its-own-rooms', 'src/io/dns/asks-sip.ts', 'src/sip/room.ts'],
  ['io-rules-adapts-its-own-rooms', 'src/io/rules/asks-sip.ts', 'src/sip/room.ts'],
  ['io-state-adapts-its-own-rooms', 'src/io/state/asks-cluster.ts', 'src/cluster/room.ts'],
  ['io-sprayer-adapts-its-own-rooms', 'src/io/sprayer/asks-sip.ts', 'src/sip/room.ts'],
  ['config-stands-alone', 'src/config/asks-sip.ts', 'src/sip/room.ts'],
  ['only-peer-knows-every-room', 'src/admin/asks-io.ts', 'src/io/link/room.ts'],
  ['cli-uses-tools-not-rooms', 'src/cli/asks-io.ts', 'src/io/gossip/room.ts'],
  ['demo-uses-the-public-application-interface', 'src/demo/asks-sip.ts', 'src/sip/room.ts'],
  ['nothing-imports-the-composition-root', 'src/io/http/asks-peer.ts', 'src/peer.ts'],
  ['only-peer-puts-its-sides-together', 'src/cli/asks-side.ts', 'src/peer-sip.ts'],
  ['only-peer-puts-its-sides-together', 'src/peer-sip.ts', 'src/peer-http.ts'],
  ['no-development-dependency-at-run-time', 'src/sip/generates.ts', 'fast-check'],
];

/** Imports that the rules must leave alone. */
const allowed: readonly (readonly [from: string, to: string])[] = [
  ['src/peer.ts', 'src/io/sip/room.ts'],
  ['src/pipeline/joins.ts', 'src/sip/room.ts'],
  ['src/pipeline/counts.ts', 'src/config/defaults.ts'],
  ['src/dcr/hashes.ts', 'node:crypto'],
  ['src/io/sip/adapts.ts', 'src/sip/room.ts'],
  ['src/io/sip/accepts.ts', 'src/io/accept/room.ts'],
  ['src/io/http/accepts.ts', 'src/io/accept/room.ts'],
  ['src/io/link/asks-pipeline.ts', 'src/pipeline/room.ts'],
  ['src/cli/sprays.ts', 'src/io/sprayer/room.ts'],
  ['src/cli/starts.ts', 'src/peer.ts'],
];

/** A tree in a temporary directory with the project's own rules and one file for each import. */
function plantTree(imports: readonly (readonly [from: string, to: string])[]): string {
  const tree = mkdtempSync(join(tmpdir(), 'sailring-architecture-'));
  for (const file of [config, 'tsconfig.json', 'package.json']) {
    cpSync(join(root, file), join(tree, file));
  }
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
  const write = (path: string, text: string): void => {
    mkdirSync(join(tree, dirname(path)), { recursive: true });
    writeFileSync(join(tree, path), text);
  };
  for (const [from, to] of imports) {
    const isLocal = to.startsWith('src/');
    if (isLocal) write(to, `export const room: string = '${to}';\n`);
    const path = isLocal ? `./${relative(dirname(from), to)}` : to;
    write(from, `import * as found from '${path}';\nexport const used: unknown = found;\n`);
  }
  return tree;
}

describe('who may import whom', () => {
  const trees: string[] = [];
  after(() => {
    for (const tree of trees) rmSync(tree, { recursive: true });
  });
  const plant = (imports: readonly (readonly [string, string])[]): string => {
    const tree = plantTree(imports);
    trees.push(tree);
    return tree;
  };

  it('src keeps the rules', async () => {
    assert.deepEqual(await cruise(root), []);
  });

  it('a tree that keeps the rules passes', async () => {
    assert.deepEqual(await cruise(plant(allowed)), []);
  });

  it('every rule has a planted violation', () => {
    const rules = createRequire(import.meta.url)(join(root, config)) as {
      forbidden: readonly { name: string }[];
    };
    assert.deepEqual(
      rules.forbidden.map((rule) => rule.name).sort(),
      [...new Set(planted.map(([rule]) => rule))].sort(),
    );
  });

  it('every planted violation is found, by its rule', async () => {
    const tree = plant([
      ...planted.map(([, from, to]) => [from, to] as const),
      ['src/sip/night.ts', 'src/sip/day.ts'],
      ['src/sip/day.ts', 'src/sip/night.ts'],
    ]);
    // The circle needs both halves, and the second half overwrote the first one's target.
    writeFileSync(join(tree, 'src/sip/night.ts'), "export { used } from './day.ts';\n");
    const violations = await cruise(tree);
    for (const [rule, from, to] of planted) {
      const found = violations.some(
        (violation) =>
          violation.rule.name === rule &&
          violation.from === from &&
          (violation.to === to ||
            violation.to === to.replace('node:', '') ||
            violation.to.includes(`node_modules/${to}/`)),
      );
      assert.ok(found, `${rule} did not find ${from} -> ${to}`);
    }
  });
});

/** Messages of the project's own lint rules for a text, as if it stood at `path`. Types are not needed for them. */
async function lint(eslint: ESLint, path: string, code: string): Promise<readonly string[]> {
  const [result] = await eslint.lintText(code, { filePath: join(root, path) });
  assert.ok(result !== undefined);
  return result.messages.map((message) => `${message.ruleId ?? 'parser'}: ${message.message}`);
}

describe('what the pure rooms may touch', () => {
  const eslint = new ESLint({
    cwd: root,
    overrideConfig: [{ files: ['**/*.ts'], ...tseslint.configs.disableTypeChecked }],
  });
  const rooms = ['sip', 'http', 'dcr', 'ring', 'gossip', 'cluster', 'pipeline'];
  const impure = [
    'setTimeout(step, 5)',
    'setInterval(step, 5)',
    'setImmediate(step)',
    'queueMicrotask(step)',
    'new Date()',
    'Date.now()',
    'performance.now()',
    'Math.random()',
    'process.env',
    "console.log('here')",
    'crypto.randomUUID()',
    "fetch('http://localhost')",
  ];

  for (const room of rooms) {
    it(`lint finds the clock, timers, randomness and the process in src/${room}`, async () => {
      for (const expression of impure) {
        const code = `export function step(): unknown {\n  return ${expression};\n}\n`;
        const found = await lint(eslint, `src/${room}/planted.ts`, code);
        assert.equal(found.length, 1, `${expression}: ${found.join(', ')}`);
        assert.match(found.join(), /no-restricted-(globals|properties): .*Pure rooms take/);
      }
    });
  }

  it('lint leaves the same code alone in an io room', async () => {
    const code =
      'export function step(): unknown {\n  return setTimeout(step, Math.random());\n}\n';
    assert.deepEqual(await lint(eslint, 'src/io/sip/planted.ts', code), []);
  });

  it('lint leaves values from the caller alone in a pure room', async () => {
    const code = 'export function step(now: number, random: () => number): number {\n';
    const body = '  return now + random() + Math.floor(now);\n}\n';
    assert.deepEqual(await lint(eslint, 'src/sip/planted.ts', code + body), []);
  });
});

/** Words of unfinished work, spelled in halves so that this file passes its own test. */
const unfinishedWords: readonly string[] = ['TO-DO', 'FIX-ME', 'X-XX', 'HA-CK'].map((halves) =>
  halves.replace('-', ''),
);
const unfinished = new RegExp(`\\b(?:${unfinishedWords.join('|')})\\b`);

/** What a file of the tree does wrong; see CONTRIBUTING. */
function untidy(path: string, text: string): readonly string[] {
  const found: string[] = [];
  const name = basename(path);
  if (!/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.test|\.d)?\.ts$/.test(name)) found.push('name');
  if (/(?:^|-)(?:utils?|helpers?|managers?|common|misc)(?:-|\.)/.test(name)) found.push('vague');
  if (unfinished.test(text)) found.push('unfinished');
  if (/^\s*export\s+default\b/m.test(text)) found.push('default export');
  const withoutBlocks = text.replace(/\/\*[\s\S]*?\*\//g, '');
  const code = withoutBlocks.split('\n').filter((line) => !/^\s*(?:\/\/.*)?$/.test(line));
  if (path.startsWith('src/') && code.length > 400) found.push('long');
  return found;
}

describe('the tree is tidy', () => {
  const files = ['src', 'test', 'bench'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && !path.startsWith('build/'))
      .map((path) => join(folder, path)),
  );

  it('no file of src, test and bench breaks a house rule', () => {
    assert.ok(files.length > 0);
    const faults = files
      .map((path) => [path, untidy(path, readFileSync(join(root, path), 'utf8'))] as const)
      .filter(([, found]) => found.length > 0);
    assert.deepEqual(faults, []);
  });

  const bad: readonly (readonly [fault: string, path: string, text: string])[] = [
    ['name', 'src/sip/viaHeader.ts', ''],
    ['name', 'src/sip/Via.ts', ''],
    ['vague', 'src/sip/utils.ts', ''],
    ['vague', 'src/sip/via-helper.ts', ''],
    ['vague', 'src/io/link/link-manager.ts', ''],
    ['default export', 'src/sip/via.ts', 'export default 1;\n'],
    ['long', 'src/sip/via.ts', 'x();\n'.repeat(401)],
  ];
  for (const [fault, path, text] of bad) {
    it(`finds ${fault} in ${basename(path)}`, () => {
      assert.deepEqual(untidy(path, text), [fault]);
    });
  }

  for (const word of unfinishedWords) {
    it(`finds the word ${word}`, () => {
      assert.deepEqual(untidy('src/sip/via.ts', `// ${word}: later\n`), ['unfinished']);
    });
  }

  it('counts code, not comments and blank lines', () => {
    const text = '// why\n\n/*\n * why\n */\nx();\n'.repeat(400);
    assert.deepEqual(untidy('src/sip/via.ts', text), []);
  });
});
