import type { ElseNode, Place, RuleDocument, RuleNode } from './document.ts';
import { compileVariable } from './read-variable.ts';
import type { MatchScope, Sources } from './read-variable.ts';
import { Resolution } from './resolution.ts';
import type { KeyResult, Rules, RuleTools, Trace } from './rules.ts';
import { httpSources, sipSources } from './sources.ts';
import { sessionCaseOf } from './session-case.ts';
import type { HttpSubject, SipSubject } from './subject.ts';
import { Tracer } from './tracer.ts';
import { valueOf } from './value.ts';
import type { Read } from './value.ts';
import type { Variable } from './variable.ts';

/**
 * Compiles a rule file to closures. The rules keep no state between two evaluations: equal subjects
 * and equal answers of the resolver give equal keys.
 */
export function compileRules(document: RuleDocument, tools: RuleTools): Rules {
  return new CompiledRules(document, tools);
}

class CompiledRules implements Rules {
  readonly kind = 'rule';
  readonly #document: RuleDocument;
  readonly #resolution: Resolution;
  readonly #sip: Read<SipSubject>;
  readonly #http: Read<HttpSubject>;
  readonly #tracer: Tracer = new Tracer();
  #sipTraced: Read<SipSubject> | undefined;
  #httpTraced: Read<HttpSubject> | undefined;

  constructor(document: RuleDocument, tools: RuleTools) {
    this.#document = document;
    this.#resolution = new Resolution(tools);
    this.#sip = this.#compileSip(undefined);
    this.#http = this.#compileHttp(undefined);
  }

  sipKey(subject: SipSubject, trace?: Trace): KeyResult {
    if (trace === undefined) return this.#result(this.#sip(subject));
    this.#sipTraced ??= this.#compileSip(this.#tracer);
    return this.#traced(this.#sipTraced, subject, trace);
  }

  httpKey(subject: HttpSubject, trace?: Trace): KeyResult {
    if (trace === undefined) return this.#result(this.#http(subject));
    this.#httpTraced ??= this.#compileHttp(this.#tracer);
    return this.#traced(this.#httpTraced, subject, trace);
  }

  #traced<Subject>(read: Read<Subject>, subject: Subject, trace: Trace): KeyResult {
    try {
      return this.#result(read(subject));
    } finally {
      this.#tracer.flush(trace);
    }
  }

  #result(value: string | null | undefined): KeyResult {
    return value === undefined ? { number: this.#resolution.pendingNumber } : value;
  }

  #compileSip(tracer: Tracer | undefined): Read<SipSubject> {
    const compiler = new Compiler(
      sipSources(this.#resolution.tools.uris),
      this.#resolution,
      (node) => {
        const { sessionCase } = node;
        const { uris } = this.#resolution.tools;
        return (subject: SipSubject) => sessionCaseOf(subject, uris) === sessionCase;
      },
      tracer,
    );
    return compiler.firstOf(this.#document.sip, 0);
  }

  #compileHttp(tracer: Tracer | undefined): Read<HttpSubject> {
    // HTTP knows no session case, so a rule that asks for one never holds.
    const compiler = new Compiler(httpSources, this.#resolution, () => () => false, tracer);
    return compiler.firstOf(this.#document.http, 0);
  }
}

type NodeOf<Kind extends RuleNode['kind']> = Extract<RuleNode, { readonly kind: Kind }>;
type Holds<Subject> = (subject: Subject) => boolean;

/** Compiles the rules of one protocol; with a tracer, closures that record their steps. */
class Compiler<Subject> {
  readonly #sources: Sources<Subject>;
  readonly #resolution: Resolution;
  readonly #sessionCase: (node: NodeOf<'session-case'>) => Holds<Subject>;
  readonly #tracer: Tracer | undefined;

  constructor(
    sources: Sources<Subject>,
    resolution: Resolution,
    sessionCase: (node: NodeOf<'session-case'>) => Holds<Subject>,
    tracer: Tracer | undefined,
  ) {
    this.#sources = sources;
    this.#resolution = resolution;
    this.#sessionCase = sessionCase;
    this.#tracer = tracer;
  }

  /** The first value among the rules; a look-up that runs ends the search. */
  firstOf(nodes: readonly RuleNode[], depth: number): Read<Subject> {
    return first(nodes.map((node) => this.#node(node, depth)));
  }

  #node(node: RuleNode, depth: number): Read<Subject> {
    return this.#element(node.place, depth, this.#read(node, depth));
  }

  #read(node: RuleNode, depth: number): Read<Subject> {
    switch (node.kind) {
      case 'or':
        return this.firstOf(node.children, depth + 1);
      case 'and':
        return last(node.children.map((child) => this.#node(child, depth + 1)));
      case 'if':
        return this.#if(node, depth);
      case 'session-case': {
        const holds = this.#sessionCase(node);
        const children = this.firstOf(node.children, depth + 1);
        return (subject) => (holds(subject) ? children(subject) : null);
      }
      case 'match':
        return this.#match(node);
      default:
        return this.#presence(node);
    }
  }

  #if(node: NodeOf<'if'>, depth: number): Read<Subject> {
    const children = node.children.map((child) => this.#node(child, depth + 1));
    if (node.otherwise !== undefined) children.push(this.#else(node.otherwise, depth + 1));
    return first(children);
  }

  #else(node: ElseNode, depth: number): Read<Subject> {
    return this.#element(node.place, depth, this.#variable(node.value, undefined));
  }

  #presence(node: NodeOf<'header' | 'cookie' | 'parameter'>): Read<Subject> {
    const item = this.#sources[node.kind](node.name);
    const value = this.#variable(node.value, undefined);
    // Most rules return the item that they ask for: one look at the message is enough.
    if (this.#tracer === undefined && isItself(node)) return (subject) => valueOf(item(subject));
    if (node.presence === 'exist') {
      return (subject) => (item(subject) === undefined ? null : value(subject));
    }
    // SIP knows no cookies: neither their presence nor their absence holds there.
    if (node.kind === 'cookie' && !this.#sources.hasCookies) return () => null;
    return (subject) => (item(subject) === undefined ? value(subject) : null);
  }

  #match(node: NodeOf<'match'>): Read<Subject> {
    const { pattern } = node;
    const { requestUri } = this.#sources;
    const scope: MatchScope = { pattern, value: null };
    const value = node.value === undefined ? undefined : this.#variable(node.value, scope);
    const parameter =
      node.parameter === undefined ? undefined : this.#sources.parameter(node.parameter);
    return (subject) => {
      if (parameter !== undefined && parameter(subject) === undefined) return null;
      scope.value = pattern.value(requestUri(subject) ?? '');
      return scope.value === null || value === undefined ? scope.value : value(subject);
    };
  }

  #variable(variable: Variable, scope: MatchScope | undefined): Read<Subject> {
    const read = compileVariable(variable, this.#sources, this.#resolution, scope);
    return this.#tracer?.variable(variable.text, read) ?? read;
  }

  #element(place: Place, depth: number, read: Read<Subject>): Read<Subject> {
    return this.#tracer?.element(place, depth, read) ?? read;
  }
}

/** Whether an `exist` returns the text of the very item whose presence it demands. */
function isItself(node: NodeOf<'header' | 'cookie' | 'parameter'>): boolean {
  const { source, reading } = node.value;
  if (node.presence !== 'exist' || reading.kind !== 'text') return false;
  return source.kind === node.kind && source.name === node.name;
}

function first<Subject>(reads: readonly Read<Subject>[]): Read<Subject> {
  const [only] = reads;
  if (only !== undefined && reads.length === 1) return only;
  return (subject) => {
    for (const read of reads) {
      const value = read(subject);
      if (value !== null) return value;
    }
    return null;
  };
}

function last<Subject>(reads: readonly Read<Subject>[]): Read<Subject> {
  return (subject) => {
    let value: string | null = null;
    for (const read of reads) {
      const next = read(subject);
      if (next === null || next === undefined) return next;
      value = next;
    }
    return value;
  };
}
