import {
  type CallOptions,
  Client,
  credentials,
  Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerOptions,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { openHttp2 } from '../../../src/io/http/http2-connection.ts';
import { startRig } from '../http/http-rig.ts';
import { Inbox } from '../sip/sip-rig.ts';
import { Http2Rig } from './upstream-http2-rig.ts';

const asIs = (value: Buffer): Buffer => value;

function method(name: string, requestStream: boolean, responseStream: boolean) {
  return {
    path: `/test.Echo/${name}`,
    requestStream,
    responseStream,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}

const echo = {
  one: method('One', false, false),
  count: method('Count', false, true),
  join: method('Join', true, false),
  each: method('Each', true, true),
};

const failure = { code: status.FAILED_PRECONDITION, details: 'no: 100 %' };

interface Path {
  readonly client: Client;
  readonly rig: Http2Rig;
  readonly cancelled: Inbox<true>;
}

/** A gRPC client, a peer's listener, its HTTP/2 upstream, a gRPC server. */
async function startPath(t: TestContext, options: ServerOptions = {}): Promise<Path> {
  const cancelled = new Inbox<true>();
  const server = new Server(options);
  server.addService(echo, {
    one: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
      const trailers = new Metadata();
      trailers.set('x-asked', call.metadata.get('x-ask')[0] ?? '');
      trailers.set('x-sum-bin', Buffer.of(0, 255));
      if (String(call.request) === 'fail') done({ ...failure, metadata: trailers });
      else if (String(call.request) === 'wait') call.on('cancelled', () => cancelled.put(true));
      else done(null, call.request, trailers);
    },
    count: (call: ServerWritableStream<Buffer, Buffer>) => {
      for (let at = 0; at < Number(call.request); at++) call.write(Buffer.from(String(at)));
      call.end();
    },
    join: (call: ServerReadableStream<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
      const parts: Buffer[] = [];
      call.on('data', (part: Buffer) => parts.push(part));
      call.on('end', () => {
        done(null, Buffer.concat(parts));
      });
    },
    each: (call: ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (part: Buffer) => {
        if (String(part) === 'fail') call.emit('error', failure);
        else call.write(part);
      });
      call.on('end', () => {
        call.end();
      });
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  t.after(() => {
    server.forceShutdown();
  });
  const rig = new Http2Rig(t, port);
  const front = await startRig(t, {
    instances: {
      p1: (_, request, envelope, response) => rig.upstream.serve(request, envelope, response),
    },
    listener: { openHttp2 },
  });
  const client = new Client(`127.0.0.1:${front.port}`, credentials.createInsecure());
  t.after(() => {
    client.close();
  });
  return { client, rig, cancelled };
}

interface Outcome {
  readonly error: ServiceError | null;
  readonly value: Buffer | undefined;
  readonly trailers: Metadata;
}

function one(client: Client, request: Buffer, options: CallOptions = {}): Promise<Outcome> {
  const metadata = new Metadata();
  metadata.set('x-ask', 'why');
  return new Promise((resolve) => {
    let trailers = new Metadata();
    let outcome: Pick<Outcome, 'error' | 'value'> | undefined;
    const call = client.makeUnaryRequest(
      echo.one.path,
      asIs,
      asIs,
      request,
      metadata,
      options,
      (error, value) => (outcome = { error, value }),
    );
    call.on('status', (end) => {
      trailers = end.metadata;
      setImmediate(() => {
        resolve({ error: null, value: undefined, ...outcome, trailers });
      });
    });
  });
}

describe('gRPC through a peer', () => {
  it('asks one and answers one, with metadata before and behind', async (t) => {
    const { client } = await startPath(t);
    const { error, value, trailers } = await one(client, Buffer.from('hello'));
    assert.deepEqual([error, String(value)], [null, 'hello']);
    assert.deepEqual(trailers.get('x-asked'), ['why']);
    assert.deepEqual(trailers.get('x-sum-bin'), [Buffer.of(0, 255)]);
  });

  it('carries large messages as they are', async (t) => {
    const { client } = await startPath(t);
    const large = randomFillSync(Buffer.alloc(3_000_000));
    const { error, value } = await one(client, large);
    assert.equal(error, null);
    assert.ok(value?.equals(large));
  });

  it('carries errors: of a call, of a method that there is not', async (t) => {
    const { client } = await startPath(t);
    const { error, trailers } = await one(client, Buffer.from('fail'));
    assert.deepEqual([error?.code, error?.details], [failure.code, failure.details]);
    assert.deepEqual(trailers.get('x-asked'), ['why']);
    const unknown = await new Promise<ServiceError | null>((resolve) => {
      client.makeUnaryRequest('/test.Echo/None', asIs, asIs, Buffer.of(), (reason) => {
        resolve(reason);
      });
    });
    assert.equal(unknown?.code, status.UNIMPLEMENTED);
    assert.match(unknown.details, /test\.Echo\/None/);
  });

  it('streams from the server', async (t) => {
    const { client } = await startPath(t);
    const { path } = echo.count;
    const call = client.makeServerStreamRequest(path, asIs, asIs, Buffer.from('1000'));
    const got: number[] = [];
    for await (const part of call) got.push(Number(part));
    assert.deepEqual(
      got,
      Array.from({ length: 1_000 }, (_, at) => at),
    );
  });

  it('streams to the server', async (t) => {
    const { client } = await startPath(t);
    const joined = await new Promise<Buffer | undefined>((resolve, reject) => {
      const { path } = echo.join;
      const call = client.makeClientStreamRequest<Buffer, Buffer>(
        path,
        asIs,
        asIs,
        (error, value) => {
          if (error === null) resolve(value);
          else reject(error);
        },
      );
      for (let at = 0; at < 1_000; at++) call.write(Buffer.alloc(1_000, at));
      call.end();
    });
    const parts = Array.from({ length: 1_000 }, (_, at) => Buffer.alloc(1_000, at));
    assert.ok(joined?.equals(Buffer.concat(parts)));
  });

  it('streams both ways, each message when it is there, to an error', async (t) => {
    const { client } = await startPath(t);
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(echo.each.path, asIs, asIs);
    const got = new Inbox<string>();
    call.on('data', (part: Buffer) => {
      got.put(String(part));
    });
    for (let at = 0; at < 100; at++) {
      call.write(Buffer.from(`m${at}`));
      assert.equal(await got.take(), `m${at}`);
    }
    call.write(Buffer.from('fail'));
    const [error] = (await once(call, 'error')) as [ServiceError];
    assert.deepEqual([error.code, error.details], [failure.code, failure.details]);
  });

  it('tells the server that the client has no more time', async (t) => {
    const { client, cancelled, rig } = await startPath(t);
    const { error } = await one(client, Buffer.from('wait'), { deadline: Date.now() + 50 });
    assert.equal(error?.code, status.DEADLINE_EXCEEDED);
    assert.equal(await cancelled.take(), true);
    assert.equal((await one(client, Buffer.from('next'))).error, null);
    assert.equal(rig.count('connect'), 1);
  });

  it('loses no call when the server ends its connections by age', async (t) => {
    const { client, rig } = await startPath(t, { 'grpc.max_connection_age_ms': 50 });
    const failures: unknown[] = [];
    let left = 20_000;
    const lane = async (): Promise<void> => {
      while (left-- > 0 && rig.count('goaway') < 5) {
        const { error } = await one(client, Buffer.from('hello'));
        if (error !== null) failures.push(error.message);
      }
    };
    await Promise.all(Array.from({ length: 20 }, lane));
    assert.deepEqual(failures, []);
    assert.ok(rig.count('goaway') >= 5);
  });
});
