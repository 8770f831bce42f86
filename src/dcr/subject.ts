/** A URI taken apart (RFC 3261 section 19.1, RFC 3966). Parts that are absent are undefined. */
export interface UriParts {
  /** Lower case, e.g. `sip`, `sips`, `tel`, `http`. */
  readonly scheme: string;
  /** Unescaped user part; the whole number for `tel:`. */
  readonly user: string | undefined;
  readonly host: string | undefined;
  readonly port: string | undefined;
  /** URI parameters in order; a parameter without value has an empty one. */
  readonly parameters: readonly (readonly [name: string, value: string])[];
}

/** A header value of name-addr or addr-spec form (RFC 3261 section 20.10). */
export interface NameAddr {
  readonly displayName: string | undefined;
  /** The URI's text, without angle brackets. */
  readonly uri: string;
  /** Header parameters after the URI. */
  readonly parameters: readonly (readonly [name: string, value: string])[];
}

/** Reads URIs for the rules; the SIP room's parser stands behind it, also for HTTP rules. */
export interface UriReader {
  uri(text: string): UriParts | undefined;
  nameAddr(text: string): NameAddr | undefined;
}

/** What rules may see of a SIP request. Names match without case and in compact form. */
export interface SipSubject {
  readonly method: string;
  readonly requestUri: string;
  /** First value of the header (a comma list is split where the header's grammar allows one). */
  header(name: string): string | undefined;
}

/** What rules may see of an HTTP request. The body is never read. */
export interface HttpSubject {
  readonly method: string;
  /** Request target as it stood on the wire. */
  readonly target: string;
  /** First value; names match without case. */
  header(name: string): string | undefined;
  /** Percent-decoded first query parameter of that name (case-sensitive); undefined when absent. */
  parameter(name: string): string | undefined;
  /** Case-sensitive. */
  cookie(name: string): string | undefined;
}
