import type { EmbeddedSipRequest, EmbeddedSipResponse } from '../io/application/module.ts';
import { ExpiringMap } from './expiring-map.ts';
import { demoLimits } from './limits.ts';
import { parseNameAddress } from './name-address.ts';

interface Binding {
  readonly uri: string;
  /** Contact parameters without `expires`. */
  readonly parameters: readonly string[];
  readonly expiresAt: number;
}

type Change =
  | { readonly kind: 'bind'; readonly binding: Binding }
  | { readonly kind: 'remove'; readonly uri: string }
  | { readonly kind: 'remove-all' };

/** A registrar that keeps bindings for minutes (RFC 3261 section 10.3, Path: RFC 3327). */
export class Registrar {
  readonly #records = new ExpiringMap<readonly Binding[]>(demoLimits.recordsMax);

  get size(): number {
    return this.#records.size;
  }

  register(request: EmbeddedSipRequest, now: number): EmbeddedSipResponse {
    const record = parseNameAddress(request.header('To') ?? '')?.uri;
    const changes = changesOf(request, now);
    if (record === undefined || changes === undefined) {
      return { status: 400 };
    }
    const bindings = changes.reduce(apply, this.#bindings(record, now));
    if (bindings.length > demoLimits.bindingsMax) {
      return { status: 403, reason: 'Too Many Bindings' };
    }
    if (bindings.length === 0) {
      this.#records.delete(record);
    } else {
      const endsAt = Math.max(...bindings.map(({ expiresAt }) => expiresAt));
      this.#records.set(record, bindings, endsAt);
    }
    return {
      status: 200,
      headers: [
        ...bindings.map((binding) => contactHeader(binding, now)),
        ...request.headers('Path').map((path) => ['Path', path] as const),
        ['Date', new Date(now).toUTCString()],
      ],
    };
  }

  sweep(now: number): void {
    this.#records.sweep(now);
  }

  #bindings(record: string, now: number): readonly Binding[] {
    return (this.#records.get(record, now) ?? []).filter(({ expiresAt }) => expiresAt > now);
  }
}

function apply(bindings: readonly Binding[], change: Change): readonly Binding[] {
  switch (change.kind) {
    case 'remove-all':
      return [];
    case 'remove':
      return bindings.filter(({ uri }) => uri !== change.uri);
    case 'bind':
      return [...bindings.filter(({ uri }) => uri !== change.binding.uri), change.binding];
  }
}

/** Undefined when a Contact is malformed, or `*` does not stand alone with Expires 0. */
function changesOf(request: EmbeddedSipRequest, now: number): readonly Change[] | undefined {
  const contacts = request.headers('Contact');
  const defaultSeconds = secondsOf(request.header('Expires'), demoLimits.expiresSecondsMax);
  if (contacts.some((value) => value.trim() === '*')) {
    return contacts.length === 1 && defaultSeconds === 0 ? [{ kind: 'remove-all' }] : undefined;
  }
  const changes: Change[] = [];
  for (const value of contacts) {
    const change = changeOf(value, defaultSeconds, now);
    if (change === undefined) {
      return undefined;
    }
    changes.push(change);
  }
  return changes;
}

function changeOf(value: string, defaultSeconds: number, now: number): Change | undefined {
  const contact = parseNameAddress(value);
  if (contact === undefined || contact.uri === '') {
    return undefined;
  }
  const { uri, parameters } = contact;
  const own = parameters.find((parameter) => /^expires\s*=/i.test(parameter));
  const seconds = secondsOf(own?.slice(own.indexOf('=') + 1).trim(), defaultSeconds);
  if (seconds === 0) {
    return { kind: 'remove', uri };
  }
  const others = parameters.filter((parameter) => parameter !== own && parameter !== '');
  return { kind: 'bind', binding: { uri, parameters: others, expiresAt: now + seconds * 1_000 } };
}

/** Seconds asked for, at most what the demo keeps; the default for what is absent or no number. */
export function secondsOf(text: string | undefined, defaultSeconds: number): number {
  return text !== undefined && /^\d{1,10}$/.test(text)
    ? Math.min(Number(text), demoLimits.expiresSecondsMax)
    : defaultSeconds;
}

function contactHeader(binding: Binding, now: number): readonly [name: string, value: string] {
  const seconds = Math.max(1, Math.round((binding.expiresAt - now) / 1_000));
  const parameters = [...binding.parameters, `expires=${seconds}`];
  return ['Contact', [`<${binding.uri}>`, ...parameters].join(';')];
}
