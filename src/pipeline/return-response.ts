import { pipelineLimits } from '../config/defaults.ts';
import {
  Edits,
  HeaderId,
  isBadResponse,
  parameterTexts,
  readVia,
  viaParameter,
  type SipMessage,
  type Via,
} from '../sip/index.ts';
import type { PipelineOptions } from './ports.ts';
import { stateLength } from './rewrite.ts';
import type { Stamp, Stamper, WayBack } from './stamp.ts';

/** What our Via, on top of a response, says of its way back. */
interface ReturnPath extends WayBack {
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
 * Sends a response where our Via says: on to the peer that holds the flow, or out on the flow. Whoever
 * sends it, only a Via that this cluster signed counts (RFC 3261 section 16.11).
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
  const popped = popOwnVia(message);
  if (popped === undefined) return 'response-without-via';
  if (isHere) {
    counters.count('sip_responses', 'answered');
    ports.answer(path.flow, responseTarget(popped));
    return undefined;
  }
  return answerForLostPeer(popped, path, options);
}

/**
 * The peer that holds the flow is gone. Over UDP any peer can answer a client for it, on a stream
 * none can. A response for an application goes to the one that has taken its calls over.
 */
function answerForLostPeer(
  popped: Popped,
  path: ReturnPath,
  options: PipelineOptions,
): string | undefined {
  const { counters, ports } = options;
  const view = options.view();
  const sentBy = popped.next.sentBy.toLowerCase();
  const isForApplication =
    path.flow.startsWith('a') || view.applications.has(sentBy) || view.departed.has(sentBy);
  if (isForApplication) {
    const isTaken = giveToApplication(popped, path.stamp, options);
    return isTaken ? undefined : 'application-lost';
  }
  if (popped.next.transport !== 'UDP') return 'flow-lost';
  counters.count('sip_responses', 'answered-for-lost-peer');
  ports.answer('', responseTarget(popped));
  return undefined;
}

/** To its own application while that can be reached, else to the first successor that takes it. */
function giveToApplication(
  popped: Popped,
  { beroute, bekey }: Stamp,
  { view, counters, ports }: PipelineOptions,
): boolean {
  const { instances, ring } = view();
  if (instances.has(beroute) && ports.deliverResponse(beroute, edited(popped))) {
    counters.count('sip_responses', 'answered-for-lost-peer');
    return true;
  }
  const successors = ring
    .successors(bekey, pipelineLimits.candidatesMax)
    .filter((name) => name !== beroute);
  return successors.some((name) => {
    const instance = instances.get(name);
    if (instance === undefined) return false;
    if (!ports.deliverResponse(name, renamed(popped, instance.applications[0]))) return false;
    counters.count('sip_responses', 'failed-over');
    return true;
  });
}

/** Reads the top Via of a response; undefined where it is none that this cluster wrote for this Call-ID. */
function readReturnPath(response: SipMessage, stamper: Stamper): ReturnPath | undefined {
  const via = response.topVia;
  if (via === undefined) return undefined;
  const ingressPeer = written(via.parameters, 'felb');
  const flow = written(via.parameters, 'connid');
  const signature = written(via.parameters, 'besig');
  if (ingressPeer === '' || flow === '' || signature === '') return undefined;
  const stamp = {
    bekey: written(via.parameters, 'bekey'),
    beroute: written(via.parameters, 'beroute'),
  };
  const isOurs = stamper.verifyVia(stamp, { ingressPeer, flow }, response.callId, signature);
  return isOurs ? { ingressPeer, flow, stamp } : undefined;
}

/**
 * Value of a parameter of our Via, empty when it is not there. It mostly stands as this project
 * wrote it; an application that writes a Via anew may have put white space around.
 */
function written(parameters: string, name: string): string {
  const at = parameters.indexOf(`;${name}=`);
  if (at < 0) return viaParameter(parameters, name) ?? '';
  const start = at + name.length + 2;
  const next = parameters.indexOf(';', start);
  return parameters.slice(start, next < 0 ? undefined : next).trimEnd();
}

/** A response without our Via. */
interface Popped {
  readonly response: SipMessage;
  /** Where our Via stands. */
  readonly removal: { readonly start: number; readonly end: number };
  /** The Via that is the top one now. */
  readonly next: Via;
}

/** @returns undefined when no Via is left or it is malformed: the response was meant for us */
function popOwnVia(response: SipMessage): Popped | undefined {
  const own = response.topVia;
  const line = response.line(HeaderId.via);
  if (own === undefined) return undefined;
  const next =
    own.end < response.valueEnd(line) ? nextOnLine(response, line, own) : nextLine(response, line);
  if (next === undefined) return undefined;
  const removal =
    next.start < response.valueEnd(line)
      ? { start: own.start, end: next.start }
      : { start: response.lineStart(line), end: response.lineEnd(line) };
  return { response, removal, next };
}

/**
 * Reads from the Via where the response goes (RFC 3261 section 18.2.2, RFC 3581). `maddr` is not
 * followed: whoever writes it would choose a third party.
 */
function responseTarget(popped: Popped): ResponseTarget {
  const { next } = popped;
  return {
    message: edited(popped),
    transport: next.transport,
    address: (next.received ?? next.host).replace(/^\[|\]$/g, ''),
    port: portOf(next),
  };
}

function edited({ response, next, removal }: Popped, via?: string): Buffer {
  const edits = new Edits(response);
  edits.remove(removal.start, removal.end);
  if (via !== undefined) edits.replace(next.start, next.end, via);
  if (isStream(next.transport)) stateLength(edits, response);
  return edits.toBuffer();
}

/**
 * The response for another application than the one that sent the request: the next Via is made to
 * name it, else it would not take the response for its own (RFC 3261 section 18.1.2).
 */
function renamed(popped: Popped, sentBy: string | undefined): Buffer {
  if (sentBy === undefined) return edited(popped);
  const { next } = popped;
  const kept = parameterTexts(next.parameters)
    .filter((parameter) => !/^\s*(received|rport)\s*(=|$)/i.test(parameter))
    .join(';');
  return edited(popped, `SIP/2.0/${next.transport} ${sentBy}${kept}`);
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
