import { endpointText, type Member, type SwimEvent } from '../../gossip/index.ts';
import type { Counters } from '../../pipeline/counters.ts';

type LogLine = (fields: object, message: string) => void;

/** Where gossip writes what happens. */
export interface GossipLog {
  readonly debug: LogLine;
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
}

export interface MemberEventsOptions {
  readonly counters: Counters;
  readonly log: GossipLog;
  readonly members: () => readonly Member[];
  /** Called once for all that one turn of the event loop changed. */
  readonly onChange: (members: readonly Member[]) => void;
}

/** What happens to members: logged and counted each, and handed on once a turn. */
export class MemberEvents {
  readonly #options: MemberEventsOptions;
  #isChangeDue = false;
  #isStopped = false;

  constructor(options: MemberEventsOptions) {
    this.#options = options;
  }

  add(event: Exclude<SwimEvent, { kind: 'left' }>): void {
    const { counters, members, onChange } = this.#options;
    this.#log(event);
    counters.count('gossip_events', event.kind);
    if (this.#isChangeDue) return;
    this.#isChangeDue = true;
    setImmediate(() => {
      this.#isChangeDue = false;
      if (!this.#isStopped) onChange(members());
    });
  }

  /** Hands on nothing any more. */
  stop(): void {
    this.#isStopped = true;
  }

  #log(event: Exclude<SwimEvent, { kind: 'left' }>): void {
    const { log } = this.#options;
    const { name, incarnation } = event.member;
    const fields = { member: name, at: endpointText(event.member), incarnation };
    switch (event.kind) {
      case 'join':
        log.info(fields, 'a member joined');
        return;
      case 'leave':
        log.info(fields, 'a member left');
        return;
      case 'update':
        log.debug(fields, 'a member changed');
        return;
      case 'suspect':
        log.info({ ...fields, by: event.by }, 'a member is suspected');
        return;
      case 'fail':
        log.warn({ ...fields, by: event.by }, 'a member failed');
        return;
      case 'conflict':
        log.error(fields, 'another peer uses the name of this one');
        return;
    }
  }
}
