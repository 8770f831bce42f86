import { z } from 'zod';
import type { DiscoveryConfig, EtcdDiscoveryConfig } from './config.ts';
import { configLimits, discoveryDefaults, discoveryLimits } from './defaults.ts';
import {
  filePath,
  ipPort,
  milliseconds,
  pattern,
  port,
  secret,
  text,
  type SecretSource,
} from './values.ts';

/** Before the password is read. */
export interface DiscoverySettings extends Omit<DiscoveryConfig, 'etcd'> {
  readonly etcd?: Omit<EtcdDiscoveryConfig, 'password'> & { readonly password?: SecretSource };
}

const dnsName = z.strictObject({
  name: pattern(
    /^(?=.{1,253}$)(?!\d+(?:\.\d+){3}$)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?$/u,
    'is no DNS name; write for example peers.example.com or _sailring._udp.example.com',
  ).describe('DNS name, complete: no search list is applied'),
  type: z
    .enum(['srv', 'address'])
    .describe('`srv`: peers are the targets of SRV records; `address`: A and AAAA records'),
  port: port.min(1).exactOptional().describe('port of gossip behind these addresses'),
});

const tls = z.strictObject({
  ca: filePath
    .exactOptional()
    .describe('PEM file of the authority of etcd; by default those of Node'),
  certificate: filePath.exactOptional().describe('PEM file of this peer’s certificate for etcd'),
  key: filePath.exactOptional().describe('PEM file of its key'),
});

const etcd = z.strictObject({
  endpoints: z
    .array(
      text(isOrigin, 'is no address of etcd; write for example https://etcd-1.example.com:2379'),
    )
    .min(1)
    .max(discoveryLimits.etcdEndpointsMax)
    .describe('http or https addresses of one etcd cluster; tried in turn'),
  prefix: pattern(
    /^(?:\/[A-Za-z0-9._-]{1,64}){1,3}$/u,
    'is no prefix; write one to three names, each after a "/", such as /sailring',
  )
    .default(discoveryDefaults.etcdPrefix)
    .describe('keys begin with it: prefix/cluster/members/name'),
  ttlMs: milliseconds(2_000, 3_600_000)
    .default(discoveryDefaults.etcdTtlMs)
    .describe('an entry vanishes so long after its peer was heard last'),
  username: z.string().min(1).max(256).exactOptional().describe('user of etcd'),
  password: secret.exactOptional().describe('its password: text, {file: path} or {env: NAME}'),
  tls: tls.exactOptional().describe('certificates for https endpoints'),
});

/** The part of the file below `gossip.discovery`. */
export const discovery: z.ZodType<DiscoverySettings, Record<string, unknown>> = z.strictObject({
  dns: z
    .array(dnsName)
    .max(discoveryLimits.dnsNamesMax)
    .default([])
    .describe('DNS names behind which peers are'),
  dnsServers: z
    .array(ipPort)
    .max(configLimits.nameServersMax)
    .default([])
    .describe('ip:port of name servers; by default those of the system'),
  etcd: etcd.exactOptional().describe('etcd in which peers tell each other where they are'),
  pollIntervalMs: milliseconds(1_000, 3_600_000)
    .default(discoveryDefaults.pollIntervalMs)
    .describe('DNS and etcd are asked again so often; sooner while nobody else was found'),
});

/** Neither path nor query, and no password that a log could show. */
function isOrigin(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, username, password, pathname, search, hash } = new URL(value);
  const isBare = pathname === '/' && `${username}${password}${search}${hash}` === '';
  return isBare && ['http:', 'https:'].includes(protocol);
}
