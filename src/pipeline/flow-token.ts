import type { SipTransport } from './arrival.ts';
import type { SipTarget } from './sip-target.ts';
import type { Stamper } from './stamp.ts';

/** A client's flow, and the peer that holds it (RFC 5626). */
export interface FlowToken {
  readonly peer: string;
  readonly flow: string;
  readonly transport: SipTransport;
  /** The client's address, for a UDP flow alone. */
  readonly target: SipTarget | undefined;
  /** Of a Path: the request is for the client, wherever it came from. Else only when it is the application's. */
  readonly isPath: boolean;
  /** The flow as the token writes it. */
  readonly flowText: string;
  /** The user part that says all this. */
  readonly text: string;
}

/** A client whose flow is named. */
export interface FlowOwner {
  readonly transport: SipTransport;
  readonly address: string;
  readonly port: number;
  readonly flow: string;
}

const transports: Readonly<Record<string, SipTransport>> = {
  u: 'UDP',
  t: 'TCP',
  s: 'TLS',
  w: 'WS',
  x: 'WSS',
};

/** `<kind>~<peer>~<flow>~<keyId>.<mac>`; a UDP flow is `u0!<address>!<port>` with `_` for `:`. */
const tokenPattern =
  /^(ob|fl)~([A-Za-z0-9._-]{1,64})~([utswx][0-9]{1,3}[-!_.A-Za-z0-9]{0,60})~([A-Za-z0-9]{1,16}\.[A-Za-z0-9_-]{22})$/;

/** The user part of a Path that leads to this flow; it outlives a call. */
export function pathToken(peer: string, owner: FlowOwner, stamper: Stamper): string {
  const flow = flowText(owner);
  return `ob~${peer}~${flow}~${stamper.sign('flow', `${peer};${flow}`)}`;
}

/** The user part of a Record-Route that leads to this flow, for one Call-ID. */
export function dialogToken(
  peer: string,
  owner: FlowOwner,
  callId: string,
  stamper: Stamper,
): string {
  const flow = flowText(owner);
  return `fl~${peer}~${flow}~${stamper.sign('flow-dialog', `${peer};${flow};${callId}`)}`;
}

/** The token of the same flow for the Record-Route of one Call-ID. */
export function dialogTokenOf(token: FlowToken, callId: string, stamper: Stamper): string {
  if (!token.isPath) return token.text;
  const { peer, flowText: flow } = token;
  return `fl~${peer}~${flow}~${stamper.sign('flow-dialog', `${peer};${flow};${callId}`)}`;
}

/**
 * Reads the user part of one of our own URIs.
 *
 * @returns undefined when it is no flow token; `forged` when we did not sign it
 */
export function readFlowToken(
  user: string,
  callId: string,
  stamper: Stamper,
): FlowToken | 'forged' | undefined {
  if (!user.startsWith('ob~') && !user.startsWith('fl~')) return undefined;
  const match = tokenPattern.exec(user);
  if (match === null) return 'forged';
  const [, kind, peer, flow, signature] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
  ];
  const isPath = kind === 'ob';
  const isOurs = isPath
    ? stamper.verify('flow', `${peer};${flow}`, signature)
    : stamper.verify('flow-dialog', `${peer};${flow};${callId}`, signature);
  if (!isOurs) return 'forged';
  const [name = '', address = '', port = ''] = flow.split('!');
  const transport = transports[name[0]!]!;
  const target: SipTarget | undefined =
    transport === 'UDP'
      ? { transport, address: address.replaceAll('_', ':'), port: Number(port), serverName: '' }
      : undefined;
  return { peer, flow: name, transport, target, isPath, flowText: flow, text: user };
}

function flowText({ transport, flow, address, port }: FlowOwner): string {
  return transport === 'UDP' ? `${flow}!${address.replaceAll(':', '_')}!${port}` : flow;
}
