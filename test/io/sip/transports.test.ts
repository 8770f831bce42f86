import { withoutIpv6 } from './sip-rig.ts';
import { transportContract } from './transport-contract.ts';

for (const transport of ['udp', 'tcp', 'tls', 'ws', 'wss'] as const) {
  transportContract(transport, '127.0.0.1');
  transportContract(transport, '::1', withoutIpv6);
}
