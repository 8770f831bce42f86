/** What an entry may hold. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

// An interface, because a type alias may not name itself in a Record.
export interface JsonObject {
  readonly [name: string]: Json | undefined;
}

/** One text for equal values, whatever order their members were written in. */
export function canonicalJson(value: Json): string {
  return JSON.stringify(value, (_key, inner: Json) => (isObject(inner) ? sorted(inner) : inner));
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sorted(object: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const names = Object.keys(object).sort();
  // A member called __proto__ must stay a member.
  return Object.fromEntries(names.map((name) => [name, object[name]]));
}
