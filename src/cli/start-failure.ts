import type { Config, ListenAddress } from '../config/index.ts';

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use; stop what listens there or configure another port',
  EADDRNOTAVAIL: 'is no address of this machine; configure one that is',
  EACCES: 'may not be used by this user; configure a port above 1023 or grant the right',
};

/** One line that says why a peer did not start, with the key of the address that could not be bound. */
export function describeStartFailure(error: unknown, config: Config, file: string): string {
  const messages = messagesOf(error);
  for (const message of messages) {
    const match = /\b(EADDRINUSE|EADDRNOTAVAIL|EACCES)\b.*?(\S+):(\d+)\b/u.exec(message);
    if (match === null) continue;
    const [, code = '', host = '', port = ''] = match;
    const key = keyOf(config, Number(port));
    const where = key === undefined ? '' : ` (${key} in ${file})`;
    return `cannot listen: ${host}:${port}${where} ${reasons[code] ?? code}`;
  }
  return messages[0] ?? 'the peer did not start';
}

function messagesOf(error: unknown): string[] {
  const messages: string[] = [];
  for (let current = error; current instanceof Error; current = current.cause) {
    messages.push(current.message);
    if (current instanceof AggregateError)
      for (const inner of current.errors) messages.push(...messagesOf(inner));
  }
  return messages.length === 0 ? [String(error)] : messages;
}

function keyOf({ sip, http, gossip, link, admin }: Config, port: number): string | undefined {
  const all: [string, ListenAddress][] = [
    ...sip.listeners.map((listen, at): [string, ListenAddress] => [`sip.listeners[${at}]`, listen]),
    ['sip.internal', sip.internal],
    ...http.listeners.map((listen, at): [string, ListenAddress] => [
      `http.listeners[${at}]`,
      listen,
    ]),
    ['gossip.listen', gossip.listen],
    ['link.listen', link.listen],
    ['admin.listen', admin.listen],
  ];
  return all.find(([, listen]) => listen.port === port)?.[0];
}
