// One gossip agent in a process of its own, told what to do and telling what it sees over IPC.
import { createHash } from 'node:crypto';
import { GossipAgent } from '../../src/io/gossip/index.ts';
import { Counters } from '../../src/pipeline/counters.ts';
import type { GossipOrder, GossipReport, GossipProcessConfig } from './gossip-process.ts';

const config = JSON.parse(process.argv[2]!) as GossipProcessConfig;
const counters = new Counters();

function report(value: GossipReport): void {
  process.send!(value);
}

function log(level: string): (fields: object, text: string) => void {
  return (fields, text) => {
    report({ kind: 'log', line: `${level} ${text} ${JSON.stringify(fields)}` });
  };
}

const agent = new GossipAgent({
  name: config.name,
  epoch: Math.floor(Date.now() / 1_000),
  label: config.label ?? '',
  listen: { address: '127.0.0.1', port: config.port },
  seeds: config.seeds ?? [],
  profile: config.profile ?? 'lan',
  keys: (config.keys ?? []).map((key) => Buffer.from(key, 'base64')),
  tags: config.tags ?? {},
  counters,
  onChange: (members) => {
    report({ kind: 'members', members });
  },
  onUserState: (bytes) => {
    const digest = createHash('sha256').update(bytes).digest('hex');
    report({ kind: 'userState', bytes: bytes.length, digest });
  },
  log: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
});

async function obey(order: GossipOrder): Promise<unknown> {
  switch (order.kind) {
    case 'leave':
      await agent.leave();
      await agent.stop();
      return undefined;
    case 'setUserState':
      agent.setUserState(Buffer.from(order.base64, 'base64'));
      return undefined;
    case 'setTags':
      agent.setTags(order.tags);
      return undefined;
    case 'counts':
      return Object.fromEntries(counters.entries().get(order.name) ?? []);
    case 'keys': {
      const { operation, key } = order;
      const { answers, of } = await agent.rotateKeys(
        operation === 'list'
          ? { kind: 'list' }
          : { kind: operation, key: Buffer.from(key, 'base64') },
      );
      return { answers: Object.fromEntries(answers), of };
    }
  }
}

process.on('message', ({ id, order }: { id: number; order: GossipOrder }) => {
  void obey(order).then((value) => {
    report({ kind: 'done', id, value });
    if (order.kind === 'leave') process.disconnect();
  });
});

await agent.start();
report({ kind: 'members', members: agent.members() });
