import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseSipMessage, type SipMessage } from '../../src/sip/index.ts';
import { audit } from './audit.ts';
import { Simulation } from './simulation.ts';
import type { Hop } from './trace.ts';

interface Recorded {
  readonly simulation: Simulation;
  readonly hops: Hop[];
  readonly callId: string;
}

/** A call that enters at one peer and is served at another, with a re-INVITE, from INVITE to BYE. */
function recordedCall(): Recorded {
  const simulation = new Simulation({ seed: 5, sprayer: 'per-packet' });
  for (;;) {
    const call = simulation.phone().call({ uri: 'sip:answer@example.com' });
    call.start();
    call.sendInviteAgain();
    simulation.clock.run(2_000);
    const isRelayed = simulation.deliveries(call.callId)[0]?.hop.envelope?.hop === 1;
    call.reinvite();
    simulation.clock.run(2_000);
    call.bye();
    simulation.clock.run(2_000);
    assert.equal(call.state, 'ended');
    if (!isRelayed) continue;
    const hops = simulation.trace.hops.filter((hop) => hop.subject === call.callId);
    return { simulation, hops, callId: call.callId };
  }
}

function auditHops({ simulation }: Recorded, hops: readonly Hop[]): string[] {
  return audit({
    hops,
    peers: simulation.peers,
    endedAt: () => undefined,
    disabledAt: () => undefined,
  }).map(({ text }) => text);
}

function edited(message: SipMessage, from: RegExp | string, to: string): SipMessage {
  const text = message.bytes.toString('latin1');
  const changed = text.replace(from, to);
  assert.notEqual(changed, text, `nothing to replace in\n${text}`);
  const parsed = parseSipMessage(Buffer.from(changed, 'latin1'));
  assert.ok(parsed.ok);
  return parsed.message;
}

/** The recording with one hop changed. */
function changed(
  hops: readonly Hop[],
  which: (hop: Hop) => boolean,
  edit: (hop: Hop) => Hop,
): Hop[] {
  const at = hops.findIndex(which);
  assert.ok(at >= 0, 'no such hop');
  return hops.with(at, edit(hops[at]!));
}

const isDelivered =
  (method: string) =>
  ({ leg, message, from }: Hop): boolean =>
    leg === 'application' && message?.method === method && !from.endsWith('-app');

const isAnswered =
  (status: number) =>
  ({ leg, message, from }: Hop): boolean =>
    leg === 'outside' && message?.status === status && !from.startsWith('phone');

function withText(from: RegExp | string, to: string): (hop: Hop) => Hop {
  return (hop) => ({ ...hop, message: edited(hop.message!, from, to) });
}

/** The branch that we gave the INVITE. */
function otherBranch(hops: readonly Hop[]): string {
  return `branch=${hops.find(isDelivered('INVITE'))?.message?.topVia?.branch ?? ''}`;
}

describe('the audit of a trace', () => {
  const recorded = recordedCall();
  const { hops } = recorded;

  it('finds no fault in a call as it was', () => {
    assert.ok(hops.length > 20);
    assert.deepEqual(auditHops(recorded, hops), []);
  });

  const doctored: readonly (readonly [
    name: string,
    which: (hop: Hop) => boolean,
    edit: (hop: Hop) => Hop,
    fault: RegExp,
  ])[] = [
    [
      'a changed Call-ID',
      isDelivered('BYE'),
      withText(/Call-ID: /, 'Call-ID: x'),
      /no client sent/,
    ],
    ['a changed CSeq', isDelivered('BYE'), withText(/CSeq: \d+/, 'CSeq: 77'), /no client sent/],
    ['a changed From', isDelivered('BYE'), withText(/From: </, 'From: "x" <'), /From/],
    [
      'Max-Forwards as it came',
      isDelivered('BYE'),
      withText(/(Max-Forwards: )69/, '$170'),
      /one less/,
    ],
    ['a Via too few', isDelivered('BYE'), withText(/Via: [^\r]*\r\n/, ''), /no client sent/],
    [
      'a branch of another transaction',
      isDelivered('BYE'),
      withText(/branch=z9hG4bKsr[^;]*/, otherBranch(hops)),
      /the branch of/,
    ],
    [
      'a second branch for a retransmission',
      (hop) => isDelivered('INVITE')(hop) && hop !== hops.find(isDelivered('INVITE')),
      withText(/branch=z9hG4bKsr[^;]*/, 'branch=z9hG4bKsrother'),
      /second branch/,
    ],
    [
      'other bytes for a retransmission',
      (hop) => isDelivered('INVITE')(hop) && hop !== hops.find(isDelivered('INVITE')),
      withText(/bekey=[^;>]*/, 'bekey=other'),
      /other bytes/,
    ],
    [
      'no Record-Route',
      isDelivered('INVITE'),
      withText(/(Record-Route: [^\r]*\r\n)+/, ''),
      /0 Record-Route/,
    ],
    [
      'our own Via at the client',
      isAnswered(200),
      withText(/Via: /, 'Via: SIP/2.0/UDP x\r\nVia: '),
      /no request|Vias/,
    ],
    [
      'another Record-Route at the client',
      isAnswered(200),
      withText(/(Record-Route: [^\r]*\r\n)/, ''),
      /Record-Route/,
    ],
    [
      'a wrong instance',
      isDelivered('BYE'),
      (hop) => ({ ...hop, from: hop.from === 'p1' ? 'p2' : 'p1' }),
      /wrong instance|meant for/,
    ],
    [
      'a peer that passes on what came over a link',
      ({ leg, message }) => leg === 'link' && message?.isRequest === true,
      (hop) => ({ ...hop, envelope: { ...hop.envelope!, ingressPeer: 'p9' } }),
      /decides nothing/,
    ],
    [
      'a link that was not counted',
      ({ leg, message }) => leg === 'link' && message?.isRequest === true,
      (hop) => ({ ...hop, envelope: { ...hop.envelope!, hop: 0 } }),
      /not counted/,
    ],
  ];

  for (const [name, which, edit, fault] of doctored) {
    it(`finds ${name}`, () => {
      const faults = auditHops(recorded, changed(hops, which, edit));
      assert.ok(faults.length > 0, 'no fault was found');
      assert.match(faults.join('\n'), fault);
    });
  }

  it('finds a message on a third link', () => {
    const relayed = hops.find(({ leg, message }) => leg === 'link' && message?.method === 'BYE');
    const link = relayed ?? hops.find(({ leg, message }) => leg === 'link' && message?.isRequest)!;
    const at = hops.indexOf(link);
    const faults = auditHops(recorded, [
      ...hops.slice(0, at),
      link,
      link,
      link,
      link,
      ...hops.slice(at),
    ]);
    assert.match(faults.join('\n'), /links for/);
  });

  it('finds a response to a request that never came', () => {
    const without = hops.filter((hop) => !isDelivered('BYE')(hop));
    assert.match(auditHops(recorded, without).join('\n'), /never came/);
  });
});
