import type { Sources } from './read-variable.ts';
import type { HttpSubject, SipSubject, UriReader } from './subject.ts';
import { valueOf } from './value.ts';

/** Where variables of SIP rules take their text from. */
export function sipSources(uris: UriReader): Sources<SipSubject> {
  return {
    hasCookies: false,
    requestUri: (subject) => valueOf(subject.requestUri),
    method: (subject) => valueOf(subject.method),
    header: (name) => (subject) => subject.header(name),
    parameter: (wanted) => (subject) => {
      const parts = uris.uri(subject.requestUri);
      if (parts === undefined) return undefined;
      for (const [name, value] of parts.parameters) if (name === wanted) return value;
      return undefined;
    },
    cookie: () => () => undefined,
  };
}

/** Where variables of HTTP rules take their text from. */
export const httpSources: Sources<HttpSubject> = {
  hasCookies: true,
  requestUri: (subject) => valueOf(subject.target),
  method: (subject) => valueOf(subject.method),
  header: (name) => (subject) => subject.header(name),
  parameter: (name) => (subject) => subject.parameter(name),
  cookie: (name) => (subject) => subject.cookie(name),
};
