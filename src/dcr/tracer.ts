import type { Place } from './document.ts';
import type { Trace, TraceStep } from './rules.ts';
import type { Read } from './value.ts';

type OpenStep = { -readonly [Name in keyof TraceStep]: TraceStep[Name] };

/** Records the steps of one evaluation, an element before its children. */
export class Tracer {
  #steps: OpenStep[] = [];

  /** Wraps an element's closure so that its steps are recorded. */
  element<Subject>(place: Place, depth: number, read: Read<Subject>): Read<Subject> {
    return (subject) => {
      const step: OpenStep = { line: place.line, depth, element: place.element, value: null };
      this.#steps.push(step);
      const value = read(subject);
      step.value = value ?? null;
      return value;
    };
  }

  /** Wraps a variable's closure so that its name shows in the step of its element. */
  variable<Subject>(name: string, read: Read<Subject>): Read<Subject> {
    return (subject) => {
      const step = this.#steps.at(-1);
      if (step !== undefined) step.variable = name;
      return read(subject);
    };
  }

  /** Hands over what was recorded and forgets it. */
  flush(trace: Trace): void {
    const steps = this.#steps;
    this.#steps = [];
    for (const step of steps) trace(step);
  }
}
