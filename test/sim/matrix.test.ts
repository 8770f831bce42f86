import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keyModes } from './keys.ts';
import {
  ownerStates,
  ringChanges,
  runCell,
  type Cell,
  type Kind,
  type OwnerState,
} from './matrix.ts';

const kinds: readonly Kind[] = [
  'initial INVITE',
  'BYE',
  'INFO',
  're-INVITE',
  'ACK to 2xx',
  'ACK to non-2xx',
  'CANCEL',
  'retransmitted INVITE',
  'retransmitted MESSAGE',
  'response from outside',
];

/** Every sprayer, way to find a key and change of the ring, for one state of the owner. */
function cellsOf(state: OwnerState): Cell[] {
  return (['per-packet', 'flow-sticky'] as const).flatMap((sprayer) =>
    keyModes.flatMap((keys) => ringChanges.map((change) => ({ state, sprayer, keys, change }))),
  );
}

function nameOf({ sprayer, keys, change }: Cell): string {
  return `${sprayer}, ${keys}, ${change}`;
}

for (const state of ownerStates) {
  describe(`the owner is ${state}`, () => {
    const cells = cellsOf(state);
    const results = cells.map((cell, index) => lazy(() => runCell(cell, { seed: index + 1 })));

    for (const kind of [...kinds, 'every hop'] as const) {
      const what =
        kind === 'every hop' ? 'every hop obeys the rules' : `${kind} meets its instance`;
      it(what, () => {
        const faults = cells.flatMap((cell, index) =>
          (results[index]!().get(kind) ?? ['not tried']).map(
            (fault) => `[${nameOf(cell)}] ${fault}`,
          ),
        );
        assert.equal(faults.length, 0, `${faults.length} faults, the first:\n${faults[0] ?? ''}`);
      });
    }
  });
}

function lazy<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
