import type { SessionCase } from './document.ts';
import type { SipSubject, UriReader } from './subject.ts';

const cases: ReadonlyMap<string, SessionCase> = new Map([
  ['orig', 'ORIGINATING'],
  ['term_registered', 'TERMINATING'],
  ['term_unregistered', 'TERMINATING_UNREGISTERED'],
]);

/**
 * The IMS session case of a request, from the `call` parameter of its topmost Route: a parameter of
 * the URI, or else of the header. Undefined when the parameter has another value.
 */
export function sessionCaseOf(subject: SipSubject, uris: UriReader): SessionCase | undefined {
  const route = subject.header('Route');
  if (route === undefined) return 'EXTERNAL';
  const address = uris.nameAddr(route);
  if (address === undefined) return 'EXTERNAL';
  const call =
    valueOf(uris.uri(address.uri)?.parameters ?? [], 'call') ?? valueOf(address.parameters, 'call');
  return call === undefined ? 'EXTERNAL' : cases.get(call);
}

function valueOf(
  parameters: readonly (readonly [name: string, value: string])[],
  wanted: string,
): string | undefined {
  for (const [name, value] of parameters) if (name === wanted) return value;
  return undefined;
}
