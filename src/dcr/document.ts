import type { Pattern } from './pattern.ts';
import type { Variable } from './variable.ts';

/** Where an element stands and how it reads, for traces. */
export interface Place {
  /** 1-based. */
  readonly line: number;
  /** As in the file, on one line: `header name="Room-Id" exist`. */
  readonly element: string;
}

export type Presence = 'exist' | 'notexist';

export type SessionCase = 'EXTERNAL' | 'ORIGINATING' | 'TERMINATING' | 'TERMINATING_UNREGISTERED';

/** `else`: the value of an `if` whose children gave none. */
export interface ElseNode {
  readonly place: Place;
  readonly value: Variable;
}

/** A rule of the language, checked. */
export type RuleNode =
  | { readonly kind: 'or'; readonly place: Place; readonly children: readonly RuleNode[] }
  | { readonly kind: 'and'; readonly place: Place; readonly children: readonly RuleNode[] }
  | {
      readonly kind: 'if';
      readonly place: Place;
      readonly children: readonly RuleNode[];
      readonly otherwise: ElseNode | undefined;
    }
  | {
      readonly kind: 'session-case';
      readonly place: Place;
      readonly sessionCase: SessionCase;
      readonly children: readonly RuleNode[];
    }
  | {
      readonly kind: 'header' | 'cookie' | 'parameter';
      readonly place: Place;
      readonly name: string;
      readonly presence: Presence;
      readonly value: Variable;
    }
  | {
      readonly kind: 'match';
      readonly place: Place;
      readonly pattern: Pattern;
      /** Must be present where it is given. */
      readonly parameter: string | undefined;
      /** Undefined: the value is the match itself. */
      readonly value: Variable | undefined;
    };

/** A rule file without faults. */
export interface RuleDocument {
  /** Name of the file, as given. */
  readonly file: string;
  readonly sip: readonly RuleNode[];
  readonly http: readonly RuleNode[];
}
