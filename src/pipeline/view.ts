import type { Ring } from '../ring/index.ts';

/** Life cycle of an instance as its peer announces it by gossip. */
export type InstanceStatus = 'joining' | 'ready' | 'draining' | 'disabled';

/** One instance as this peer sees it now. Only living members are listed. */
export interface InstanceView {
  readonly name: string;
  readonly status: InstanceStatus;
  /** `host:port` (IPv6 in brackets) where its application's SIP responses go; sent-by of our Via. */
  readonly sipInternal: string;
  /** Transport between that peer and its application, as the Via names it. */
  readonly sipTransport: 'UDP' | 'TCP';
}

/** What a peer knows of its cluster: an immutable snapshot, replaced as a whole by `peer.ts`. */
export interface ClusterView {
  /** Name of this peer and of its instance. */
  readonly self: string;
  readonly ring: Ring;
  readonly instances: ReadonlyMap<string, InstanceView>;
}
