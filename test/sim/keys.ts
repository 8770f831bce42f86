import type { Rules } from '../../src/dcr/index.ts';
import type { SimulationOptions } from './simulation.ts';

/** How a request without a stamp finds its instance. */
export type KeyMode = 'fallback' | 'private header' | 'round robin' | 'rules replaced';

export const keyModes: readonly KeyMode[] = [
  'fallback',
  'private header',
  'round robin',
  'rules replaced',
];

/** A rule on a header that CANCEL and ACK do not bear. */
const byRoom: Rules = {
  kind: 'rule',
  sipKey: (subject) => subject.header('Room-Id') ?? null,
  httpKey: () => null,
};

/** A rule on a header that all requests bear. */
export const byCaller: Rules = {
  kind: 'rule',
  sipKey: (subject) => `caller ${subject.header('From')?.split(';')[0] ?? ''}`,
  httpKey: () => null,
};

export function keyOptions(mode: KeyMode): Pick<SimulationOptions, 'rules' | 'algorithm'> {
  switch (mode) {
    case 'fallback':
      return {};
    case 'round robin':
      return { algorithm: 'round-robin' };
    case 'private header':
    case 'rules replaced':
      return { rules: byRoom };
  }
}
