import {
  Edits,
  HeaderId,
  isBadResponse,
  readVia,
  type SipMessage,
  type Via,
} from '../sip/index.ts';
import type { PipelineOptions } from './ports.ts';
import { stateLength } from './rewrite.ts';
import type { Stamp, Stamper } from './stamp.ts';

/** What our Via, on top of a response, says of its way back. */
interface ReturnPath {
  /** Peer that holds the client's flow. */
  readonly ingressPeer: string;
  readonly flow: string;
  readonly stamp: Stamp;
}

/** Where a response goes once our Via is gone. */
export interface ResponseTarget {
  readonly message: Buffer;
  readonly transport: string;
  readonly address: string;
  readonly port: number;
}

/**
 * Sends a response where our Via says: on to the peer that holds the flow, or out on the flow.
 *
 * @returns why it was dropped, or undefined
 */
export function returnResponse(message: SipMessage, options: PipelineOptions): string | undefined {
  const { names, stamper, counters, ports } = options;
  if (isBadResponse(message)) return 'bad-response';
  const path = readReturnPath(message, stamper);
  if (path === undefined) return 'response-not-ours';
  const isHere = path.ingressPeer === names.self;
  if (!isHere && ports.relayResponse(path.ingressPeer, message.bytes)) {
    counters.count('sip_responses', 'relayed');
    return undefined;
  }
  const target = popOwnVia(message);
  if (target === undefined) return 'response-without-via';
  // The flow's holder may be gone; over UDP any peer can answer for it, on a stream none can.
  if (!isHere && target.transport !== 'UDP') return 'flow-lost';
  counters.count('sip_responses', isHere ? 'answered' : 'answered-for-lost-peer');
  ports.answer(isHere ? path.flow : '', target);
  return undefined;
}

/**
 * Reads the top Via of a response. Only a Via that this cluster signed for this Call-ID counts; a
 * response without one is none of ours (RFC 3261 section 16.11).
 */
function readReturnPath(response: SipMessage, stamper: Stamper): ReturnPath | undefined {
  const via = response.topVia;
  if (via === undefined) return undefined;
  const ingressPeer = written(via.parameters, ';felb=');
  const flow = written(via.parameters, ';connid=');
  const signature = written(via.parameters, ';besig=');
  if (ingressPeer === '' || flow === '' || signature === '') return undefined;
  const stamp = {
    bekey: written(via.parameters, ';bekey='),
    beroute: written(via.parameters, ';beroute='),
  };
  const isOurs = stamper.verifyDialog(stamp, response.callId, signature);
  return isOurs ? { ingressPeer, flow, stamp } : undefined;
}

/** Value of a parameter as this project writes it; empty when it is not there. */
function written(parameters: string, name: string): string {
  const at = parameters.indexOf(name);
  if (at < 0) return '';
  const next = parameters.indexOf(';', at + 1);
  return parameters.slice(at + name.length, next < 0 ? undefined : next).trimEnd();
}

/**
 * Takes our Via off a response and reads from the next one where the response goes (RFC 3261
 * section 18.2.2, RFC 3581). `maddr` is not followed: whoever writes it would choose a third party.
 *
 * @returns undefined when no Via is left or it is malformed: the response was meant for us
 */
function popOwnVia(response: SipMessage): ResponseTarget | undefined {
  const own = response.topVia;
  const line = response.line(HeaderId.via);
  if (own === undefined) return undefined;
  const edits = new Edits(response);
  const next =
    own.end < response.valueEnd(line) ? nextOnLine(response, line, own) : nextLine(response, line);
  if (next === undefined) return undefined;
  if (next.start < response.valueEnd(line)) edits.remove(own.start, next.start);
  else edits.remove(response.lineStart(line), response.lineEnd(line));
  if (isStream(next.transport)) stateLength(edits, response);
  return {
    message: edits.toBuffer(),
    transport: next.transport,
    address: next.received ?? next.host.replace(/^\[|\]$/g, ''),
    port: portOf(next),
  };
}

function nextOnLine(response: SipMessage, line: number, own: Via): Via | undefined {
  let start = own.end + 1;
  const { text } = response;
  while (start < response.valueEnd(line) && text.charCodeAt(start) <= 0x20) start++;
  return readVia(text, start, response.valueEnd(line));
}

function nextLine(response: SipMessage, line: number): Via | undefined {
  const next = response.line(HeaderId.via, line + 1);
  if (next < 0) return undefined;
  return readVia(response.text, response.valueStart(next), response.valueEnd(next));
}

/** `rport` is for datagrams (RFC 3581 section 4): a lost stream is dialled at the port of sent-by. */
function portOf(via: Via): number {
  const rport = isStream(via.transport) ? 0 : Number(via.rport);
  return rport > 0 && rport <= 65_535 ? rport : (via.port ?? defaultPort(via.transport));
}

function isStream(transport: string): boolean {
  return transport !== 'UDP';
}

function defaultPort(transport: string): number {
  return transport === 'TLS' || transport === 'WSS' ? 5061 : 5060;
}
