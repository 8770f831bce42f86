import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { Agent, request } from 'undici';
import { Certificates, type Pair, tlsOf, withoutOpenssl } from '../accept/certificates.ts';
import { findTool, requireTool } from '../../support/tools.ts';
import { startOrigin } from './http-rig.ts';
import { answering, ask, dial, startHttp2, Stub } from './http2-rig.ts';
import { until } from './listener-parts.ts';

const run = promisify(execFile);

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Answers with what it got. */
function echoOrigin(t: TestContext): Promise<number> {
  return startOrigin(t, (incoming, outgoing) => {
    outgoing.writeHead(200, {
      'Content-Type': 'application/octet-stream',
      'X-Method': incoming.method,
      'X-Target': incoming.url,
      'X-Length': incoming.headers['content-length'] ?? 'none',
      'X-Cookie': incoming.headers.cookie ?? 'none',
      'X-Version': incoming.httpVersion,
      'X-Via': incoming.headers.via,
      'Set-Cookie': ['a=1', 'b=2'],
    });
    incoming.pipe(outgoing);
  });
}

describe('through HTTP/2 to an upstream server', () => {
  it('bodies of all sizes come back as they were', async (t) => {
    const rig = await startHttp2(t, await echoOrigin(t));
    const session = dial(t, rig.port);
    const sizes = [0, 1, 16_384, 65_535, 65_536, 1_048_577, 8_388_608];
    const bodies = sizes.map((size) => Buffer.alloc(size, `${size} sailring `));
    const answers = await Promise.all(
      bodies.map((body) => ask(session, { ':method': 'POST', ':path': `/${body.length}` }, body)),
    );
    for (const [at, { headers, body }] of answers.entries()) {
      assert.equal(headers['x-target'], `/${sizes[at]}`);
      assert.equal(headers['x-version'], '1.1');
      assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2']);
      assert.equal(digest(body), digest(bodies[at]!));
    }
  });

  it('what is special in HTTP/1.1 comes as it is in HTTP/2', async (t) => {
    const origin = await startOrigin(t, (incoming, outgoing) => {
      switch (incoming.url) {
        case '/trailers':
          outgoing.writeHead(200, { Trailer: 'X-Sum' });
          outgoing.write('body');
          outgoing.addTrailers({ 'X-Sum': '7' });
          outgoing.end();
          return;
        case '/hints':
          outgoing.writeEarlyHints({ link: '</a>; rel=preload' });
          outgoing.end('late');
          return;
        case '/nothing':
          outgoing.writeHead(204).end();
          return;
        case '/hop':
          outgoing
            .writeHead(200, { Connection: 'close, X-Hop', 'X-Hop': '1', 'X-End': '2' })
            .end('x');
          return;
        default:
          outgoing.writeHead(200, { 'Content-Length': 5 }).end();
      }
    });
    const rig = await startHttp2(t, origin);
    const session = dial(t, rig.port);
    const trailers = await ask(session, { ':path': '/trailers' });
    assert.equal(trailers.body.toString(), 'body');
    assert.equal(trailers.trailers?.['x-sum'], '7');
    const stream = session.request({ ':path': '/hints' });
    const [hints] = (await once(stream, 'headers')) as [Record<string, unknown>];
    assert.equal(hints['link'], '</a>; rel=preload');
    stream.resume();
    const nothing = await ask(session, { ':path': '/nothing' });
    assert.equal(nothing.headers[':status'], 204);
    const hop = await ask(session, { ':path': '/hop' });
    assert.equal(hop.headers['x-hop'], undefined);
    assert.equal(hop.headers.connection, undefined);
    assert.equal(hop.headers['x-end'], '2');
    const head = await ask(session, { ':method': 'HEAD', ':path': '/head' });
    assert.equal(head.headers['content-length'], '5');
    assert.equal(head.body.length, 0);
  });

  it('a client may wait for 100 before it sends its body', async (t) => {
    const rig = await startHttp2(t, await echoOrigin(t));
    const stream = dial(t, rig.port).request({ ':method': 'POST', expect: '100-continue' });
    await once(stream, 'continue');
    stream.end('now');
    let body = '';
    for await (const piece of stream) body += String(piece);
    assert.equal(body, 'now');
  });

  it('a server that breaks off breaks the stream alone', async (t) => {
    const origin = await startOrigin(t, (incoming, outgoing) => {
      if (incoming.url !== '/broken') return outgoing.end('whole');
      outgoing.write('half');
      setImmediate(() => incoming.socket.destroy());
      return undefined;
    });
    const rig = await startHttp2(t, origin);
    const session = dial(t, rig.port);
    await assert.rejects(ask(session, { ':path': '/broken' }), /INTERNAL_ERROR/);
    assert.equal((await ask(session)).body.toString(), 'whole');
  });
});

describe('HTTP/2 over TLS', { skip: withoutOpenssl }, () => {
  let made: Certificates;
  let server: Pair;

  before(() => {
    made = new Certificates();
    made.authority('ours');
    server = made.issue('server', 'ours', 'IP:127.0.0.1');
  });
  after(() => {
    made.remove();
  });

  it('is chosen by ALPN, beside HTTP/1.1', async (t) => {
    const origin = await echoOrigin(t);
    const rig = await startHttp2(t, origin, { tls: tlsOf(server) });
    const sent = Buffer.alloc(2_000_000, 'sailring');
    for (const [allowH2, via] of [
      [true, '2 sailring'],
      [false, '1.1 sailring'],
    ] as const) {
      const dispatcher = new Agent({ allowH2, connect: { ca: made.ca('ours') } });
      t.after(() => dispatcher.close());
      const ask = async (): Promise<Buffer> => {
        const { body, headers } = await request(`https://127.0.0.1:${rig.port}/a`, {
          dispatcher,
          method: 'PUT',
          body: sent,
        });
        assert.equal(headers['x-length'], String(sent.length));
        assert.equal(headers['x-via'], via);
        return Buffer.from(await body.arrayBuffer());
      };
      for (const body of await Promise.all([ask(), ask(), ask()])) {
        assert.equal(digest(body), digest(sent));
      }
    }
  });

  it('tells the application that it was TLS', async (t) => {
    const stub = answering();
    const rig = await startHttp2(t, stub.serve, { tls: tlsOf(server) });
    const session = dial(t, rig.port, { ca: made.ca('ours') });
    assert.equal((await ask(session)).headers[':status'], 200);
    assert.equal(session.alpnProtocol, 'h2');
    assert.equal(stub.requests[0]!.head.headers.get('x-forwarded-proto'), 'https');
  });

  it('serves curl', async (t) => {
    if (!requireTool('curl', t)) return;
    const rig = await startHttp2(t, await echoOrigin(t), { tls: tlsOf(server) });
    const { stdout } = await run(findTool('curl')!, [
      ...['--silent', '--show-error', '--http2', '--cacert', made.path('ours.pem')],
      ...['--include', '--data', 'a=b', '--cookie', 'c=1; d=2'],
      `https://127.0.0.1:${rig.port}/form`,
    ]);
    assert.match(stdout, /^HTTP\/2 200 \r\n/);
    assert.match(stdout, /^x-target: \/form\r$/m);
    assert.match(stdout, /^x-length: 3\r$/m);
    assert.match(stdout, /^x-cookie: c=1; d=2\r$/m);
    assert.match(stdout, /\r\n\r\na=b$/);
  });
});

describe('HTTP/2 in clear text', () => {
  it('serves curl, large bodies included', async (t) => {
    if (!requireTool('curl', t)) return;
    const rig = await startHttp2(t, await echoOrigin(t));
    const folder = mkdtempSync(join(tmpdir(), 'sailring-http2-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    const file = join(folder, 'body');
    const sent = Buffer.alloc(16_777_216, 'sailring');
    writeFileSync(file, sent);
    const { stdout } = await run(
      findTool('curl')!,
      [
        ...['--silent', '--show-error', '--http2-prior-knowledge', '--data-binary', `@${file}`],
        `http://127.0.0.1:${rig.port}/`,
      ],
      { encoding: 'buffer', maxBuffer: 33_554_432 },
    );
    assert.equal(digest(stdout), digest(sent));
    await until(() => rig.listener.connections === 0);
  });

  it('serves gRPC clients, also answers that are trailers alone', async (t) => {
    const stub = new Stub((call) => {
      const headers = [['content-type', 'application/grpc']] as const;
      if (call.head.target === '/echo/Refuse') {
        const fields = [...headers, ['grpc-status', '7'], ['grpc-message', 'not you']] as const;
        call.begin(200, fields, { kind: 'none' }).end([]);
        return;
      }
      call.end = () => {
        const response = call.begin(200, headers);
        response.data(Buffer.from(call.body, 'latin1'));
        response.end([['grpc-status', '0']]);
      };
    });
    const rig = await startHttp2(t, stub.serve);
    const client = new Client(`127.0.0.1:${rig.port}`, credentials.createInsecure());
    t.after(() => {
      client.close();
    });
    const plain = (bytes: Buffer): Buffer => bytes;
    const call = (method: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const sent = Buffer.from('hello');
        client.makeUnaryRequest(method, plain, plain, sent, new Metadata(), (error, value) => {
          if (error === null) resolve(String(value));
          else reject(error);
        });
      });
    assert.equal(await call('/echo/Say'), 'hello');
    assert.equal(stub.requests[0]!.head.headers.get('te'), 'trailers');
    await assert.rejects(call('/echo/Refuse'), (error: ServiceError) => {
      assert.equal(error.code, status.PERMISSION_DENIED);
      assert.equal(error.details, 'not you');
      return true;
    });
  });
});
