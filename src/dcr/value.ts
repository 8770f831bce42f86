/**
 * Outcome of one step of an evaluation: a text (never empty), null for none, or undefined while a
 * number is being looked up, which ends the evaluation at once.
 */
export type Value = string | null | undefined;

/** Reads a value from a subject. */
export type Read<Subject> = (subject: Subject) => Value;

/** An absent or empty text is no value. */
export function valueOf(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text;
}
