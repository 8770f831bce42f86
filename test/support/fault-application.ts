/**
 * One instance of an application beside a peer, as a process of its own:
 * `node fault-application.ts <name> <address> <SIP port> <HTTP port>`. It keeps dialogs and HTTP sessions in
 * memory and says in every answer who it is. It prints a line when it serves, and ends with its standard input.
 */
import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

const [name = '', address = '', sipPort = '', httpPort = ''] = process.argv.slice(2);

/** Of RFC 3261 section 17.1.1.1. */
const [t1Ms, t2Ms] = [500, 4_000];

interface Dialog {
  /** Sends the 200 again until the ACK comes (RFC 3261 section 13.3.1.4). */
  again: NodeJS.Timeout | undefined;
  isOver: boolean;
}

/** By Call-ID; those that are over are kept, so that a BYE that comes again is answered as before. */
const dialogs = new Map<string, Dialog>();
const sip = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });

sip.on('message', (bytes, from) => {
  const message = bytes.toString('latin1');
  const method = /^([A-Z]+) \S+ SIP\/2\.0\r\n/u.exec(message)?.[1];
  const callId = field(message, 'Call-ID')[0] ?? '';
  const dialog = dialogs.get(callId);
  if (method === 'INVITE' && !/^To:.*;tag=/imu.test(message)) invite(message, callId, from);
  else if (method === 'ACK') clearTimeout(dialog?.again);
  else if (method === 'BYE' && dialog !== undefined) {
    dialog.isOver = true;
    clearTimeout(dialog.again);
    answer(message, '200 OK', from);
  } else if (method !== undefined) answer(message, '481 Call/Transaction Does Not Exist', from);
});

function invite(message: string, callId: string, from: RemoteInfo): void {
  const known = dialogs.get(callId);
  // The 200 that is sent again answers an INVITE that comes again.
  if (known !== undefined) return;
  const dialog: Dialog = { again: undefined, isOver: false };
  dialogs.set(callId, dialog);
  answer(message, '180 Ringing', from);
  const sendAgain = (afterMs: number): void => {
    answer(message, '200 OK', from);
    if (afterMs > 64 * t1Ms) return;
    dialog.again = setTimeout(sendAgain, Math.min(afterMs, t2Ms), afterMs * 2);
  };
  sendAgain(t1Ms);
}

function answer(request: string, status: string, to: RemoteInfo): void {
  const [to1 = ''] = field(request, 'To');
  const lines = [
    `SIP/2.0 ${status}`,
    ...['Via', 'Record-Route'].flatMap((of) =>
      field(request, of).map((value) => `${of}: ${value}`),
    ),
    `To: ${/;tag=/iu.test(to1) ? to1 : `${to1};tag=${name}`}`,
    ...['From', 'Call-ID', 'CSeq'].map((of) => `${of}: ${field(request, of)[0] ?? ''}`),
    `Contact: <sip:${name}@${address}:${sipPort}>`,
    `X-Served-By: ${name}`,
    'Content-Length: 0',
  ];
  sip.send(`${lines.join('\r\n')}\r\n\r\n`, to.port, to.address);
}

function field(message: string, name: string): string[] {
  return [...message.matchAll(new RegExp(`^${name}:\\s*(.*?)\\r$`, 'gimu'))].map(
    ([, value]) => value!,
  );
}

const visits = new Map<string, number>();

/** A session is a cookie and a count; the answer tells both who serves and what is remembered. */
function visit(request: IncomingMessage, response: ServerResponse): void {
  const sent = /(?:^|; )JSESSIONID=([^;]*)/u.exec(request.headers.cookie ?? '')?.[1];
  const isKnown = sent !== undefined && visits.has(sent);
  const session = isKnown ? sent : `${name}-${process.pid}-${visits.size + 1}`;
  const count = (visits.get(session) ?? 0) + 1;
  visits.set(session, count);
  if (!isKnown) response.setHeader('set-cookie', `JSESSIONID=${session}; Path=/; HttpOnly`);
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ instance: name, visits: count }));
}

const http = createServer(visit);
sip.bind(Number(sipPort), address);
http.listen(Number(httpPort), address);
await Promise.all([once(sip, 'listening'), once(http, 'listening')]);
process.stdout.write(`${name} serves\n`);
// Nobody is left to serve for.
process.stdin.resume();
await once(process.stdin, 'end');
process.exit(0);
