/** A Contact, From or To value: the URI, and the header parameters as written. */
export interface NameAddress {
  readonly uri: string;
  readonly parameters: readonly string[];
}

/** Takes a header value apart (RFC 3261 section 20.10); undefined when a bracket is left open. */
export function parseNameAddress(value: string): NameAddress | undefined {
  const bare = value.replace(/"(?:[^"\\]|\\.)*"/g, (quoted) => ' '.repeat(quoted.length));
  const open = bare.indexOf('<');
  if (open < 0) {
    // Without brackets all parameters are the header's.
    const [uri = '', ...parameters] = value.split(';');
    return { uri: uri.trim(), parameters: parameters.map((part) => part.trim()) };
  }
  const close = bare.indexOf('>', open);
  if (close < 0) {
    return undefined;
  }
  const parameters = value
    .slice(close + 1)
    .split(';')
    .slice(1);
  return { uri: value.slice(open + 1, close), parameters: parameters.map((part) => part.trim()) };
}

/** Scheme, user and host of a SIP URI, without parameters; fit to stand between angle brackets. */
export function plainSipUri(uri: string): string {
  const match = /^(sips?):(?:([^<>"\s]*)@)?([^@<>"\s;?]+)/i.exec(uri);
  if (match === null) {
    return 'sip:conference.invalid';
  }
  const [, scheme = 'sip', user, host = ''] = match;
  return `${scheme}:${user === undefined ? '' : `${user}@`}${host}`;
}
