import type { KeyResult, NumberResolver, Rules, RuleTools, Trace } from './rules.ts';
import type { HttpSubject, SipSubject } from './subject.ts';

/** What a plug-in module may export; at least one of the two. */
export interface RulePlugin {
  /** The key of an initial SIP request; null for the fallback. */
  sipKey?(request: SipSubject, tools: RuleTools): string | null;
  /** The key of an HTTP request without session; null for the fallback. */
  httpKey?(request: HttpSubject, tools: RuleTools): string | null;
}

/** A plug-in threw or returned what is no key; the request got the fallback key. */
export interface PluginFault {
  readonly protocol: 'sip' | 'http';
  readonly text: string;
}

export type OnPluginFault = (fault: PluginFault) => void;

/** Whether a loaded module is a plug-in. */
export function isRulePlugin(module: unknown): module is RulePlugin {
  if (typeof module !== 'object' || module === null) return false;
  const { sipKey, httpKey } = module as Record<string, unknown>;
  const exported = [sipKey, httpKey].filter((value) => value !== undefined);
  return exported.length > 0 && exported.every((value) => typeof value === 'function');
}

/**
 * Rules that ask a plug-in. A plug-in that resolves a number still unknown is asked again when the
 * answer is there, whatever it returned meanwhile; a fault of the plug-in gives the fallback key.
 */
export function createPluginRules(
  plugin: RulePlugin,
  tools: RuleTools,
  onPluginFault: OnPluginFault,
): Rules {
  return new PluginRules(plugin, tools, onPluginFault);
}

/** Notes the first number whose answer is not known yet. */
class WatchedResolver implements NumberResolver {
  readonly #numbers: NumberResolver;
  #pending: string | undefined;

  constructor(numbers: NumberResolver) {
    this.#numbers = numbers;
  }

  resolve(number: string): string | undefined {
    const answer = this.#numbers.resolve(number);
    if (answer === undefined) this.#pending ??= number;
    return answer;
  }

  takePending(): string | undefined {
    const pending = this.#pending;
    this.#pending = undefined;
    return pending;
  }
}

class PluginRules implements Rules {
  readonly kind = 'plugin';
  readonly #plugin: RulePlugin;
  readonly #numbers: WatchedResolver;
  readonly #tools: RuleTools;
  readonly #onPluginFault: OnPluginFault;

  constructor(plugin: RulePlugin, tools: RuleTools, onPluginFault: OnPluginFault) {
    this.#plugin = plugin;
    this.#numbers = new WatchedResolver(tools.numbers);
    this.#tools = { uris: tools.uris, numbers: this.#numbers };
    this.#onPluginFault = onPluginFault;
  }

  sipKey(subject: SipSubject, trace?: Trace): KeyResult {
    return this.#ask('sip', () => this.#plugin.sipKey?.(subject, this.#tools) ?? null, trace);
  }

  httpKey(subject: HttpSubject, trace?: Trace): KeyResult {
    return this.#ask('http', () => this.#plugin.httpKey?.(subject, this.#tools) ?? null, trace);
  }

  #ask(protocol: 'sip' | 'http', call: () => unknown, trace: Trace | undefined): KeyResult {
    this.#numbers.takePending();
    let result: unknown = null;
    let fault = '';
    try {
      result = call();
      if (result !== null && typeof result !== 'string') {
        fault = `returned ${typeof result}; expected a string or null`;
      }
    } catch (error) {
      fault = error instanceof Error && error.message !== '' ? error.message : 'threw no message';
    }
    const number = this.#numbers.takePending();
    if (number !== undefined) return { number };
    if (fault !== '') this.#onPluginFault({ protocol, text: fault });
    const key = typeof result === 'string' && result !== '' ? result : null;
    trace?.({ line: 0, depth: 0, element: `plug-in ${protocol}Key`, value: key });
    return key;
  }
}
