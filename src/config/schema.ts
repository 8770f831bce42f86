import { z } from 'zod';
import type { Config, LinkConfig, StampSecret } from './config.ts';
import { cluster, rampUp } from './cluster-schema.ts';
import { configDefaults, configLimits, enumLimits } from './defaults.ts';
import { gossip, type GossipSettings } from './gossip-schema.ts';
import { http, upstreamHttp } from './http-schema.ts';
import { sip } from './sip-schema.ts';
import {
  filePath,
  host,
  hostPort,
  ipOrIpPort,
  ipPort,
  keyId,
  listen,
  nameText,
  port,
  secret,
  type SecretSource,
} from './values.ts';

/** The file's content with defaults, before secrets are read and paths resolved. */
export interface Settings extends Omit<Config, 'name' | 'gossip' | 'stamps' | 'admin'> {
  readonly name?: string;
  readonly gossip: GossipSettings;
  readonly stamps: Omit<Config['stamps'], 'keys'> & {
    readonly keys: readonly (Omit<StampSecret, 'secret'> & { readonly secret: SecretSource })[];
  };
  readonly admin: Omit<Config['admin'], 'token'> & { readonly token?: SecretSource };
}

/** A fault of shape: where, zod's code and what is needed to explain it. */
export type ShapeIssue = z.core.$ZodIssue;

const link: z.ZodType<LinkConfig, Record<string, unknown>> = z.strictObject({
  listen: listen('127.0.0.1', configDefaults.linkPort).describe('TCP address of the gRPC link'),
  advertise: z
    .exactOptional(hostPort)
    .describe('host:port that other peers use; by default the address listened on'),
  tls: z
    .exactOptional(
      z.strictObject({
        certificate: filePath.describe('PEM file of this peer’s certificate'),
        key: filePath.describe('PEM file of its key'),
        ca: filePath.describe('PEM file of the authority that signs all peers'),
      }),
    )
    .describe('mutual TLS between peers'),
  insecure: z
    .boolean()
    .default(false)
    .describe('allows links off loopback without TLS; only on a network of your own'),
});

const stamps = z.strictObject({
  keys: z
    .array(
      z.strictObject({
        id: keyId.describe('name of the key, written into every stamp'),
        secret: secret.describe(
          `at least ${configLimits.stampSecretBytesMin} bytes: text, {file: path} or {env: NAME}`,
        ),
      }),
    )
    .max(configLimits.stampKeysMax)
    .default([])
    .describe('the first signs, all verify; the same at all peers; without any, a random key'),
  onInvalid: z
    .enum(['ignore', 'reject'])
    .default('ignore')
    .describe('a request with a forged stamp is routed as new, or answered 403'),
});

const rules = z.strictObject({
  file: z
    .exactOptional(filePath)
    .describe(
      'rules: an `.xml` file or a plug-in module (`.js`, `.mjs`, `.ts`); same at all peers',
    ),
  enum: z
    .exactOptional(
      z.strictObject({
        suffix: host.default(enumLimits.suffix).describe('domain that ENUM questions end with'),
        servers: z
          .array(ipPort)
          .max(configLimits.nameServersMax)
          .default([])
          .describe('ip:port of name servers; by default those of the system'),
        timeoutMs: z
          .int()
          .min(10)
          .max(30_000)
          .default(enumLimits.timeoutMs)
          .describe('longest wait for one answer'),
      }),
    )
    .describe('how `resolve` asks ENUM'),
});

const application = z
  .discriminatedUnion('kind', [
    z
      .strictObject({
        kind: z.literal('embedded').describe('a module in this process'),
        module: filePath.describe('path of the module, or `demo`'),
      })
      .describe('an embedded application'),
    z
      .strictObject({
        kind: z.literal('upstream').describe('servers beside the peer'),
        sip: z
          .exactOptional(
            z.strictObject({
              host: host.describe('host of the SIP server'),
              port: port.min(1).default(configDefaults.sipPort).describe('its port'),
              transport: z.enum(['udp', 'tcp']).default('udp').describe('transport to it'),
              extraServerNodes: z
                .array(ipOrIpPort)
                .max(configLimits.extraServerNodesMax)
                .default([])
                .describe(
                  'further ip or ip:port from which it sends; without a port, that of `port`',
                ),
            }),
          )
          .describe('SIP server'),
        http: z
          .exactOptional(upstreamHttp)
          .describe('HTTP server; at least one of `sip` and `http`'),
      })
      .describe('an upstream application'),
  ])
  .describe('what serves the requests of this instance');

const admin: z.ZodType<Settings['admin'], Record<string, unknown>> = z.strictObject({
  listen: listen('127.0.0.1', configDefaults.adminPort).describe('TCP address of the admin server'),
  token: secret
    .exactOptional()
    .describe('bearer token of the admin server: text, {file: path} or {env: NAME}'),
});

const schema = z.strictObject({
  name: nameText
    .exactOptional()
    .describe('name of this peer and its instance, unique in the cluster; by default the host’s'),
  cluster: cluster.prefault({}).describe('the cluster'),
  gossip: gossip.prefault({}).describe('membership'),
  link: link.prefault({}).describe('relay between peers'),
  stamps: stamps.prefault({}).describe('signatures of what sessions carry'),
  sip: sip.prefault({}).describe('SIP side'),
  http: http.prefault({}).describe('HTTP side'),
  rules: rules.prefault({}).describe('Data Centric Rules'),
  application,
  weight: z
    .number()
    .min(0.1)
    .max(100)
    .default(1)
    .describe('share of the keys relative to other peers'),
  rampUp: rampUp.prefault({}).describe('how the share of an instance that joins grows'),
  dataDir: filePath
    .exactOptional()
    .describe(
      'folder where this peer keeps the state of the cluster and changed gossip keys; without it only in memory',
    ),
  admin: admin.prefault({}).describe('admin server'),
  drainTimeoutMs: z
    .int()
    .min(0)
    .max(86_400_000)
    .default(configDefaults.drainTimeoutMs)
    .describe('longest time that a drain waits for calls and exchanges under way'),
  drainQuietMs: z
    .int()
    .min(0)
    .max(86_400_000)
    .default(configDefaults.drainQuietMs)
    .describe(
      'a drain lasts so long, and so long after the last call and SIP request of this instance',
    ),
  log: z
    .strictObject({
      level: z
        .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
        .default('info')
        .describe('lines below this level are not written'),
    })
    .prefault({})
    .describe('log on standard error, one JSON object a line'),
});

/** Checks the shape of a file's content and fills in defaults. */
export function checkShape(
  content: unknown,
): { ok: true; settings: Settings } | { ok: false; issues: readonly ShapeIssue[] } {
  const result = schema.safeParse(content, { reportInput: true });
  if (result.success) return { ok: true, settings: result.data };
  return { ok: false, issues: result.error.issues };
}

/** JSON Schema (2020-12) of a configuration file, for editors. */
export function configJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(schema, { io: 'input' });
}
