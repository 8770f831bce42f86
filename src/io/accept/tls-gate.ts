import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { ServerTlsConfig } from '../../config/config.ts';
import type { Handshake } from './handshake.ts';
import type { TlsCredentials } from './tls-credentials.ts';

export interface TlsGateOptions {
  readonly credentials: TlsCredentials;
  readonly clientCertificates: ServerTlsConfig['clientCertificates'];
  /** Offered by ALPN, the preferred one first; none: it is not spoken. */
  readonly protocols: readonly string[];
  readonly timeoutMs: number;
  readonly failed: (reason: string) => void;
  readonly passed: (handshake: Handshake, secured: TLSSocket) => void;
}

/** Brings accepted connections through the TLS handshake. */
export class TlsGate {
  readonly #options: TlsGateOptions;
  /** Never bound: it is given connections that were accepted elsewhere. */
  readonly #server: Server;
  /** By both ends' addresses: the TLS server does not tell which socket it secured. */
  readonly #pending = new Map<string, Handshake>();
  /** Handshakes that were given up and whose end the TLS server has not told yet. */
  #expired = 0;

  constructor(options: TlsGateOptions) {
    this.#options = options;
    const { credentials, clientCertificates, protocols, timeoutMs, failed } = options;
    this.#server = createServer({
      ...credentials.server,
      ...(protocols.length === 0 ? {} : { ALPNProtocols: [...protocols] }),
      requestCert: clientCertificates !== 'none',
      rejectUnauthorized: clientCertificates === 'required',
      // It only guards against silence; the limit of the whole handshake comes first.
      handshakeTimeout: 2 * timeoutMs,
      SNICallback: (name, found) => found(null, credentials.named(name)),
    });
    this.#server.on('secureConnection', (socket) => this.#secured(socket));
    this.#server.on('tlsClientError', (error, socket) => {
      failed(this.#reasonOf(error, socket));
      socket.destroy();
    });
  }

  take(handshake: Handshake): void {
    handshake.stage = 'tls';
    const ends = endsOf(handshake.socket);
    this.#pending.set(ends, handshake);
    handshake.socket.once('close', () => {
      if (this.#pending.get(ends) === handshake) this.#pending.delete(ends);
    });
    this.#server.emit('connection', handshake.socket);
  }

  /** A handshake took too long and is being closed, which the TLS server will tell as a reset. */
  expire(): void {
    this.#expired++;
  }

  /** Handshakes from now on use what the credentials hold now; connections keep what they have. */
  renew(): void {
    this.#server.setSecureContext(this.#options.credentials.server);
  }

  #reasonOf(error: Error, socket: TLSSocket): string {
    const reason = failureReason(error, socket);
    if (reason !== 'tls-reset' || this.#expired === 0) return reason;
    this.#expired--;
    return 'tls-timeout';
  }

  #secured(socket: TLSSocket): void {
    const { clientCertificates, failed, passed } = this.#options;
    const ends = endsOf(socket);
    const handshake = this.#pending.get(ends);
    this.#pending.delete(ends);
    if (handshake === undefined) {
      failed('tls-reset');
      socket.destroy();
      return;
    }
    const isForeign = !socket.authorized && hasCertificate(socket);
    if (clientCertificates === 'optional' && isForeign) {
      failed('tls-client-certificate');
      socket.destroy();
      return;
    }
    passed(handshake, socket);
  }
}

function endsOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress}`;
}

function hasCertificate(socket: TLSSocket): boolean {
  return Object.keys(socket.getPeerCertificate()).length > 0;
}

/** Reasons by the code that Node or OpenSSL gives; the rest is `tls-other`. */
const failureReasons: Readonly<Record<string, string>> = {
  ECONNRESET: 'tls-reset',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'tls-timeout',
  ERR_SSL_WRONG_VERSION_NUMBER: 'tls-not-spoken',
  ERR_SSL_HTTP_REQUEST: 'tls-not-spoken',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'tls-not-spoken',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'tls-version',
  ERR_SSL_NO_SHARED_CIPHER: 'tls-cipher',
  ERR_SSL_NO_APPLICATION_PROTOCOL: 'tls-protocol',
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'tls-client-certificate',
};

function failureReason(error: Error, socket: TLSSocket): string {
  // With a certificate that is not believed, Node ends the connection and says no more than that.
  // The types call it an Error; it is a code, or null.
  if (Boolean(socket.authorizationError)) return 'tls-client-certificate';
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code.includes('_ALERT_')) return 'tls-refused-by-client';
  return failureReasons[code] ?? 'tls-other';
}
