import { isIPv6 } from 'node:net';
import { formatHostPort } from '../../config/address.ts';
import { upstreamLimits } from '../../config/defaults.ts';
import type { ListenerNames, SipTransport } from '../../pipeline/arrival.ts';
import type { ResponseTarget } from '../../pipeline/return-response.ts';
import { UpstreamAddresses } from './upstream-addresses.ts';
import { Reachability } from './upstream-reachability.ts';
import { UpstreamSipConnections } from './upstream-sip-connections.ts';
import { UpstreamSipServer } from './upstream-sip-server.ts';
import { UpstreamSipTcp } from './upstream-sip-tcp.ts';
import { UpstreamSipUdp } from './upstream-sip-udp.ts';
import type { UpstreamSip, UpstreamSipOptions } from './upstream-sip.ts';

const udpFlow = 'a0';

/** All sockets between a peer and its upstream SIP server: UDP and TCP on one port, and the dialled one. */
export class UpstreamSipSockets implements UpstreamSip {
  readonly transport: 'UDP' | 'TCP';
  readonly #options: UpstreamSipOptions;
  readonly #addresses: UpstreamAddresses;
  readonly #udp: UpstreamSipUdp;
  readonly #tcp: UpstreamSipTcp;
  readonly #server: UpstreamSipServer;
  readonly #connections: UpstreamSipConnections;
  #port: number;
  #names: { readonly UDP: ListenerNames; readonly TCP: ListenerNames };
  #resolver: NodeJS.Timeout | undefined;
  #isResolving = false;
  #isStopped = false;

  constructor(options: UpstreamSipOptions) {
    const { counters, response, local } = options;
    const addresses = new UpstreamAddresses(options);
    const reachability = new Reachability(options, () => void this.#resolve());
    const parts = { ...options, addresses, reachability };
    const connections = new UpstreamSipConnections({
      ...parts,
      request: (message, address, port, flow) =>
        options.request(message, {
          transport: 'TCP',
          address,
          port,
          flow,
          listener: this.#names.TCP,
        }),
    });
    this.transport = options.transport === 'udp' ? 'UDP' : 'TCP';
    this.#options = options;
    this.#addresses = addresses;
    this.#connections = connections;
    this.#udp = new UpstreamSipUdp({
      ...parts,
      response,
      request: (message, address, port) =>
        options.request(message, {
          transport: 'UDP',
          address,
          port,
          flow: udpFlow,
          listener: this.#names.UDP,
        }),
    });
    this.#tcp = new UpstreamSipTcp({ ...parts, connections });
    this.#server = new UpstreamSipServer({
      local,
      addresses,
      counters,
      accepted: (socket) => void connections.add(socket),
    });
    this.#port = local.port;
    this.#names = this.#named();
  }

  get localAddress(): string {
    const { advertise, local } = this.#options;
    return advertise ?? formatHostPort(local.address, this.#port);
  }

  get listeners(): readonly ListenerNames[] {
    return [this.#names.UDP, this.#names.TCP];
  }

  async start(): Promise<void> {
    await this.#addresses.resolve();
    if (!this.#isStopped) this.#port = await this.#bind();
    if (this.#isStopped) {
      await this.stop();
      throw new Error('the application was stopped before its SIP sockets were open');
    }
    this.#names = this.#named();
    this.#connections.start();
    await this.#udp.aim();
    if (!this.#addresses.isName) return;
    this.#resolver = setInterval(() => void this.#resolve(), upstreamLimits.resolveIntervalMs);
    this.#resolver.unref();
  }

  deliver(message: Buffer): boolean {
    if (this.#isStopped) return false;
    return this.transport === 'UDP' ? this.#udp.deliver(message) : this.#tcp.deliver(message);
  }

  deliverResponse(message: Buffer): boolean {
    if (this.#isStopped) return false;
    return this.transport === 'UDP'
      ? this.#udp.deliverResponse(message)
      : this.#tcp.deliver(message);
  }

  answer(flow: string, target: ResponseTarget): void {
    if (flow === udpFlow) this.#udp.answer(target);
    else if (flow.startsWith('a1-')) this.#answerOnStream(flow, target);
    else this.#options.counters.count('sip_drops', 'unknown-flow');
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#resolver);
    this.#tcp.stop();
    this.#connections.stop();
    await Promise.all([this.#server.close(), this.#udp.stop()]);
  }

  /** RFC 3261 section 18.2.2: if the connection is gone, on another one to where the request came from. */
  #answerOnStream(flow: string, { message, address }: ResponseTarget): void {
    const { counters } = this.#options;
    const connection = this.#connections.get(flow);
    if (connection !== undefined) {
      if (!connection.send(message)) counters.count('sip_drops', 'application-slow');
      return;
    }
    const isDialled =
      !this.#isStopped && this.transport === 'TCP' && this.#addresses.isOwn(address);
    if (isDialled && this.#tcp.deliver(message)) counters.count('sip_responses', 'flow-redialled');
    else counters.count('sip_drops', 'flow-lost');
  }

  /** @returns a port that both protocols got */
  async #bind(): Promise<number> {
    const { local } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const port = await this.#server.listen(local.port);
      try {
        await this.#udp.bind(port);
        return port;
      } catch (error) {
        await this.#server.close();
        const isWorthAnother = local.port === 0 && attempt < upstreamLimits.portAttempts;
        if (!isWorthAnother) throw error;
      }
    }
  }

  /** One look-up at a time: each may hold a thread for as long as no name server answers. */
  async #resolve(): Promise<void> {
    if (this.#isResolving || this.#isStopped) return;
    this.#isResolving = true;
    try {
      await this.#addresses.resolve();
      await this.#udp.aim();
    } finally {
      this.#isResolving = false;
    }
  }

  #named(): { UDP: ListenerNames; TCP: ListenerNames } {
    const { advertise, local } = this.#options;
    const name = this.localAddress;
    const isV6 = advertise?.startsWith('[') ?? isIPv6(local.address);
    const named = (transport: SipTransport): ListenerNames => ({
      type: 'internal',
      transport,
      advertised: name,
      own: name,
      isV6,
    });
    return { UDP: named('UDP'), TCP: named('TCP') };
  }
}
