/** Whether an application is HTTP alone, or shares its sessions with SIP and is routed by rules. */
export type ContextKind = 'web' | 'converged';

/** Where an application stands in the path. */
export interface ContextRoot {
  /** Begins with `/`; matches itself and everything below. */
  readonly path: string;
  readonly kind: ContextKind;
}

/** Finds the kind of a target's application: the longest context root wins, none is `web`. */
export class ContextRoots {
  readonly #longestFirst: readonly ContextRoot[];

  constructor(roots: readonly ContextRoot[]) {
    this.#longestFirst = roots
      .map(({ path, kind }) => ({ path: path.replace(/\/+$/, ''), kind }))
      .sort((a, b) => b.path.length - a.path.length);
  }

  /** @param target origin-form, query included */
  kindOf(target: string): ContextKind {
    for (const { path, kind } of this.#longestFirst) {
      if (target.startsWith(path) && isBoundary(target[path.length])) return kind;
    }
    return 'web';
  }
}

/** A path parameter (`;jsessionid=…`) belongs to the segment before it. */
function isBoundary(next: string | undefined): boolean {
  return next === undefined || next === '/' || next === '?' || next === ';';
}
