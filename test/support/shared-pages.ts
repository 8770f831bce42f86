import {
  instancesPages,
  policyPages,
  rulesPages,
  statePages,
  type ChangeOutcome,
  type MemberStatus,
  type Route,
  type RulesStatus,
} from '../../src/admin/index.ts';
import { ClusterState, type ChangeFault } from '../../src/cluster/index.ts';

const member: MemberStatus = {
  name: 'peer-1',
  state: 'alive',
  address: '127.0.0.1:1',
  status: 'ready',
  weight: 1,
};

/** The pages of what all peers share over a real state of peer-1, which stores nothing. */
export class SharedPages {
  readonly state: ClusterState = new ClusterState('peer-1');
  readonly audit: string[] = [];
  readonly routes: readonly Route[];
  running: RulesStatus = { source: 'file', digest: 'abc', odd: [], isOverdue: false };
  /** What every change comes to, where it is to fail. */
  fault: ChangeFault | undefined;
  stored: 'disk' | 'memory' | 'failed' = 'memory';

  /** Rules that read `good` can be loaded. */
  constructor() {
    const { state } = this;
    const source = {
      get status() {
        return { clock: state.clock, digest: state.digest.slice(0, 8) };
      },
      get rules() {
        return state.rules;
      },
      get policy() {
        return state.policy;
      },
      entries: () => state.entries(),
      instance: (name: string) => state.instance(name),
      instances: () => state.instances(),
      setRules: (...args: Parameters<ClusterState['setRules']>) =>
        this.#outcome(state.setRules(...args)),
      setPolicy: (...args: Parameters<ClusterState['setPolicy']>) =>
        this.#outcome(state.setPolicy(...args)),
      setInstance: (...args: Parameters<ClusterState['setInstance']>) =>
        this.#outcome(state.setInstance(...args)),
    };
    const rules = {
      status: () => this.running,
      check: (text: string, name: string) => (text === 'good' ? [] : [`${name}:3:5: error: bad`]),
    };
    const audit = (line: string): void => void this.audit.push(line);
    this.routes = [
      ...rulesPages(source, rules, audit),
      ...instancesPages(source, () => [member], audit),
      ...policyPages(source, audit),
      ...statePages(source),
    ];
  }

  #outcome(fault: ChangeFault | undefined): Promise<ChangeOutcome> {
    const found = this.fault ?? fault;
    return Promise.resolve(
      found === undefined ? { ok: true, stored: this.stored } : { ok: false, fault: found },
    );
  }
}
