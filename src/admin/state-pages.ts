import type { Entry } from '../cluster/index.ts';
import { json, type Route } from './route.ts';
import type { StateVersion } from './state-change.ts';

/** What all peers share, as this peer has it. */
export interface StateSource {
  readonly status: StateVersion;
  entries(): readonly Entry[];
}

/** `GET /state`: which decisions this peer knows, not what they say. */
export function statePages(source: StateSource): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/state',
      serve: () => json(200, { ...source.status, entries: source.entries().map(described) }),
    },
  ];
}

function described({ key, version, value }: Entry): Readonly<Record<string, unknown>> {
  return { key, ...version, isRemoved: value === undefined };
}
