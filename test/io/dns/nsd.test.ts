import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createDnsQuery } from '../../../src/io/dns/dns-query.ts';
import { SipResolver } from '../../../src/io/dns/index.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import type { SipDestination } from '../../../src/pipeline/sip-target.ts';
import { freeTcpPort } from '../../support/free-port.ts';
import { findTool, requireTool } from '../../support/tools.ts';

const wide = Array.from({ length: 60 }, (_, index) => `wide IN A 198.51.100.${index + 1}`);
const zone = `$ORIGIN example.
$TTL 300
@ IN SOA ns hostmaster 1 3600 600 86400 30
@ IN NS ns
ns IN A 127.0.0.1
full IN NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp.full
full IN NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp.full
_sips._tcp.full IN SRV 1 1 5071 one
_sip._udp.full IN SRV 2 1 5072 two
_sip._udp.full IN SRV 1 1 5073 one
_sip._tcp.srv IN SRV 1 1 5074 alias
_sip._udp.gone IN SRV 0 0 0 .
gone IN A 192.0.2.9
alias IN CNAME two
one IN A 192.0.2.1
one IN AAAA 2001:db8::1
two IN A 192.0.2.2
${wide.join('\n')}
`;

const stops: (() => Promise<void>)[] = [];
after(async () => {
  for (const stop of stops) await stop();
});

/** An authoritative server for `example` on a port of loopback, ready to answer. */
async function startNsd(program: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'sailring-nsd-'));
  const port = await freeTcpPort();
  writeFileSync(join(folder, 'example.zone'), zone);
  writeFileSync(
    join(folder, 'nsd.conf'),
    `server:
  ip-address: 127.0.0.1@${port}
  username: ""
  chroot: ""
  database: ""
  server-count: 1
  zonesdir: "${folder}"
  pidfile: "${join(folder, 'nsd.pid')}"
  xfrdfile: "${join(folder, 'xfrd.state')}"
  xfrdir: "${folder}"
  zonelistfile: "${join(folder, 'zone.list')}"
remote-control:
  control-enable: no
zone:
  name: example
  zonefile: example.zone
`,
  );
  const child = spawn(program, ['-d', '-c', join(folder, 'nsd.conf')], { stdio: 'ignore' });
  stops.push(() => stop(child, folder));
  const server = `127.0.0.1:${port}`;
  await answering(server, child);
  return server;
}

async function stop(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
}

async function answering(server: string, child: ChildProcess): Promise<void> {
  const query = createDnsQuery([server], 1);
  for (;;) {
    assert.equal(child.exitCode, null, 'nsd ended by itself');
    try {
      const answer = await query('ns.example', 'A', AbortSignal.timeout(200));
      if (answer.records.length > 0) return;
    } catch {
      // Not there yet: refused by the port, or by a server that is still reading its zone.
      await pause(20);
    }
  }
}

describe('the SIP resolver against nsd', () => {
  it('finds every kind of destination', { timeout: 30_000 }, async (t) => {
    if (!requireTool('nsd', t)) return;
    const server = await startNsd(findTool('nsd')!);
    const counters = new Counters();
    const resolver = new SipResolver({
      servers: [server],
      timeoutMs: 5_000,
      counters,
      now: () => performance.now(),
      transports: new Set(['UDP', 'TCP', 'TLS']),
      hosts: new Map(),
    });
    const targetsOf = (host: string, rest: Partial<SipDestination> = {}): Promise<string[]> =>
      new Promise((resolve) => {
        const destination = { scheme: 'sip', host, port: undefined, transport: undefined, ...rest };
        resolver.resolve(destination, 'seed', (targets) => {
          resolve(targets.map(({ transport, address, port }) => `${transport} ${address} ${port}`));
        });
      });

    assert.deepEqual(await targetsOf('full.example'), [
      'TLS 2001:db8::1 5071',
      'TLS 192.0.2.1 5071',
      'UDP 2001:db8::1 5073',
      'UDP 192.0.2.1 5073',
      'UDP 192.0.2.2 5072',
    ]);
    assert.deepEqual(await targetsOf('full.example', { scheme: 'sips' }), [
      'TLS 2001:db8::1 5071',
      'TLS 192.0.2.1 5071',
    ]);
    assert.deepEqual(await targetsOf('srv.example'), ['TCP 192.0.2.2 5074']);
    assert.deepEqual(await targetsOf('alias.example'), ['UDP 192.0.2.2 5060']);
    assert.deepEqual(await targetsOf('one.example', { port: 5_099, transport: 'TCP' }), [
      'TCP 2001:db8::1 5099',
      'TCP 192.0.2.1 5099',
    ]);
    assert.deepEqual(await targetsOf('gone.example', { transport: 'UDP' }), []);
    assert.deepEqual(await targetsOf('unknown.example'), []);
    // Refused: not a zone of this server.
    assert.deepEqual(await targetsOf('other.test', { port: 5_060 }), []);
    // Does not fit a datagram: comes over TCP.
    assert.equal((await targetsOf('wide.example', { port: 5_060 })).length, 16);
    assert.equal(counters.get('sip_dns_lookups', 'timeout'), 0);
    assert.equal(counters.get('sip_dns_lookups', 'failed'), 2);
    resolver.close();
  });
});
