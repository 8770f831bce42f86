import type { CounterConfiguration, GaugeConfiguration } from 'prom-client';
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import type { AdminSource, PeerStatus } from './status.ts';
import { unreadyReasons } from './status.ts';

/** A page of metrics in the Prometheus text format. */
export interface Metrics {
  readonly contentType: string;
  page(): Promise<string>;
}

/**
 * Shows the counters as `sailring_<name>_total{reason}`, gauges of the peer's status, and what Node
 * tells of the process. Label values are words of the code and names of members, never of clients.
 */
export function createMetrics(source: AdminSource): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counters = new Map<string, Counter<'reason'>>();
  const showStatus = createGauges(registry);
  return {
    contentType: registry.contentType,
    async page(): Promise<string> {
      for (const [name, reasons] of source.counters.entries()) {
        const counter = counters.get(name) ?? createCounter(registry, name);
        counters.set(name, counter);
        counter.reset();
        for (const [reason, count] of reasons) counter.inc({ reason }, count);
      }
      showStatus(source.status());
      return registry.metrics();
    },
  };
}

function createCounter(registry: Registry, name: string): Counter<'reason'> {
  const configuration: CounterConfiguration<'reason'> = {
    name: `sailring_${name.replaceAll(/[^A-Za-z0-9_]/gu, '_')}_total`,
    help: `${name.replaceAll('_', ' ')}, by reason`,
    labelNames: ['reason'],
    registers: [registry],
  };
  return new Counter(configuration);
}

function createGauges(registry: Registry): (status: PeerStatus) => void {
  const gauge = <T extends string>(name: string, help: string, labelNames: readonly T[]) => {
    const configuration: GaugeConfiguration<T> = {
      name: `sailring_${name}`,
      help,
      labelNames,
      registers: [registry],
    };
    return new Gauge(configuration);
  };
  const ready = gauge('ready', '1 while the peer takes new work', []);
  const calls = gauge('calls', 'calls of the instance here', []);
  const members = gauge('members', 'members of the cluster, by state', ['state']);
  const health = gauge('gossip_health', 'own trust in what is heard of others, 0 is well', []);
  const linkUp = gauge('link_up', '1 while work can be handed to a living peer', ['peer']);
  const ringMembers = gauge('ring_members', 'instances on the ring', []);
  const minority = gauge('minority', '1 while less than half of the cluster is in sight', []);
  const ringInfo = gauge('ring_info', 'version of the ring', ['version']);
  const stateInfo = gauge('cluster_state_info', 'digest of what all peers share', ['digest']);
  const rulesInfo = gauge('rules_info', 'digest of the rules that run', ['digest', 'source']);
  const oddRules = gauge(
    'rules_odd_members',
    'ready members with other rules than the cluster',
    [],
  );
  return (status) => {
    ready.set(unreadyReasons(status).length === 0 ? 1 : 0);
    calls.set(status.calls);
    members.reset();
    for (const state of ['alive', 'suspect', 'dead', 'left'])
      members.set({ state }, status.members.filter((member) => member.state === state).length);
    linkUp.reset();
    for (const { name, link } of status.members)
      if (link === 'up' || link === 'down') linkUp.set({ peer: name }, link === 'up' ? 1 : 0);
    minority.set(status.minority === undefined ? 0 : 1);
    health.set(status.health);
    ringMembers.set(status.ring.members.length);
    ringInfo.reset();
    ringInfo.set({ version: status.ring.version }, 1);
    const { clusterState, rules } = status;
    stateInfo.reset();
    stateInfo.set({ digest: clusterState.digest }, 1);
    rulesInfo.reset();
    rulesInfo.set({ digest: rules.digest, source: rules.source }, 1);
    oddRules.set(rules.odd.length);
  };
}
