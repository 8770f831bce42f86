import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';

/** nginx forwards UDP and TCP only with this module. */
export const nginxStreamModule = '/usr/lib/nginx/modules/ngx_stream_module.so';

export type ToolName =
  | 'chromium'
  | 'curl'
  | 'docker-compose'
  | 'etcd'
  | 'gcc'
  | 'h2load'
  | 'haproxy'
  | 'ip'
  | 'kamailio'
  | 'nft'
  | 'nginx'
  | 'nginx-stream'
  | 'nsd'
  | 'openssl'
  | 'serf'
  | 'sipp'
  | 'sipsak'
  | 'wrk';

interface Tool {
  readonly debian: string;
  /** How the program tells its version. */
  readonly version?: readonly string[];
  /** What shows that it is there, where it is no program. */
  readonly file?: string;
}

/** Programs that some tests need beside Node and npm, and the Debian package of each. */
const tools: Readonly<Record<ToolName, Tool>> = {
  chromium: { debian: 'chromium', version: ['--version'] },
  curl: { debian: 'curl', version: ['--version'] },
  'docker-compose': { debian: 'docker-compose', version: ['version', '--short'] },
  etcd: { debian: 'etcd-server', version: ['--version'] },
  gcc: { debian: 'gcc', version: ['--version'] },
  h2load: { debian: 'nghttp2-client', version: ['--version'] },
  haproxy: { debian: 'haproxy', version: ['-v'] },
  ip: { debian: 'iproute2', version: ['-V'] },
  kamailio: { debian: 'kamailio', version: ['-v'] },
  nft: { debian: 'nftables', version: ['-v'] },
  nginx: { debian: 'nginx-light', version: ['-v'] },
  'nginx-stream': { debian: 'libnginx-mod-stream', file: nginxStreamModule },
  nsd: { debian: 'nsd', version: ['-v'] },
  openssl: { debian: 'openssl', version: ['version'] },
  serf: { debian: 'serf', version: ['version'] },
  sipp: { debian: 'sip-tester', version: ['-v'] },
  sipsak: { debian: 'sipsak', version: ['-V'] },
  wrk: { debian: 'wrk', version: ['-v'] },
};

/**
 * Whether a test that needs `name` can run. Where the program is missing the test is skipped with a
 * word that names it and its Debian package, and the answer is false; with SAILRING_REQUIRE_TOOLS=1
 * the test fails instead.
 *
 * @example if (!requireTool('sipp', t)) return;
 */
export function requireTool(name: ToolName, t: TestContext): boolean {
  if (findTool(name) !== undefined) return true;
  const word = `${name} is not installed (Debian package ${tools[name].debian})`;
  if (process.env['SAILRING_REQUIRE_TOOLS'] === '1') throw new Error(word);
  t.skip(word);
  return false;
}

/** Absolute path of a program or module, or undefined. The sbin folders are searched even when PATH lacks them. */
export function findTool(name: ToolName): string | undefined {
  const { file } = tools[name];
  if (file !== undefined) return existsSync(file) ? file : undefined;
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

/** First line that the program prints about its version, for the report of a test or a measurement. */
export function toolVersion(name: ToolName): string | undefined {
  const path = findTool(name);
  const { version } = tools[name];
  if (path === undefined || version === undefined) return undefined;
  // Some print it on stderr, and some end with an exit code of their own.
  const shell = '"$@" 2>&1 || true';
  const text = execFileSync('sh', ['-c', shell, 'sh', path, ...version], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return text.split('\n').find((line) => line.trim() !== '');
}
