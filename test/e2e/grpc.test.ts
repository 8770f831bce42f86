import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import {
  Client,
  credentials,
  Metadata,
  status,
  type CallOptions,
  type ClientDuplexStream,
  type MethodDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { metric } from '../support/cluster.ts';
import { sessionAt, startHttpPeers } from '../support/http-cluster.ts';
import * as grpc from '../support/http-grpc.ts';

interface Answer {
  readonly message: Buffer;
  readonly head: Metadata;
  readonly tail: Metadata;
}

/** A client of grpc-js whose calls come in at one peer and are served beside another. */
class Caller {
  /** Of the peer that calls come in at. */
  readonly admin: string;
  readonly #client: Client;
  readonly #cookie: string;

  private constructor(address: string, admin: string, cookie: string) {
    this.admin = admin;
    this.#cookie = cookie;
    this.#client = new Client(address, credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
    });
  }

  static async open(t: TestContext): Promise<Caller> {
    const ports = [await grpc.startGrpcServer(t), await grpc.startGrpcServer(t)];
    const [owner, other] = await startHttpPeers(
      t,
      ports.map((port) => ({ host: '127.0.0.1', port, protocol: 'http2' })),
      {
        http: {
          listeners: [{ address: '127.0.0.1', port: 0, http2: true }],
          contextRoots: [{ path: '/', kind: 'web' }],
          // The server makes no sessions: any answer tells its instance.
          cookies: { issue: 'always' },
        },
      },
    );
    assert.ok(owner !== undefined && other !== undefined);
    const cookie = await sessionAt(owner, '/');
    const caller = new Caller(other.http, `http://${other.admin}`, cookie);
    t.after(() => {
      caller.#client.close();
    });
    return caller;
  }

  metadata(fields: Readonly<Record<string, string | Buffer>> = {}): Metadata {
    const metadata = new Metadata();
    metadata.set('cookie', this.#cookie);
    for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
    return metadata;
  }

  /** A unary call; rejects with the error of grpc-js. */
  ask(
    { path, requestSerialize, responseDeserialize }: MethodDefinition<Buffer, Buffer>,
    message: Buffer,
    metadata: Metadata = this.metadata(),
    options: CallOptions = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let head = new Metadata();
      let tail = new Metadata();
      let answer: Buffer | undefined;
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        message,
        metadata,
        options,
        (error, given) => {
          if (error !== null) reject(error);
          else answer = given;
        },
      );
      call.on('metadata', (given: Metadata) => (head = given));
      call.on('status', (given: { metadata: Metadata }) => {
        tail = given.metadata;
        if (answer !== undefined) resolve({ message: answer, head, tail });
      });
    });
  }

  /** Messages that the server gives. */
  async stream(message: Buffer): Promise<Buffer[]> {
    const { path, requestSerialize, responseDeserialize } = grpc.count;
    const messages: Buffer[] = [];
    for await (const given of this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      message,
      this.metadata(),
    ))
      messages.push(given as Buffer);
    return messages;
  }

  /** Gives the server messages and gets one answer. */
  give(messages: readonly Buffer[]): Promise<Buffer | undefined> {
    const { path, requestSerialize, responseDeserialize } = grpc.sum;
    return new Promise((resolve, reject) => {
      const call = this.#client.makeClientStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        this.metadata(),
        (error, answer) => {
          if (error === null) resolve(answer);
          else reject(error);
        },
      );
      for (const message of messages) call.write(message);
      call.end();
    });
  }

  chat(): ClientDuplexStream<Buffer, Buffer> {
    const { path, requestSerialize, responseDeserialize } = grpc.chat;
    return this.#client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      this.metadata(),
    );
  }
}

describe('gRPC through two peers', { timeout: 60_000 }, () => {
  it('is gRPC of the application', async (t) => {
    const caller = await Caller.open(t);
    await t.test('unary calls, many at a time', () => unaryCalls(caller));
    await t.test('metadata of any bytes, before and behind the message', () => metadata(caller));
    await t.test('a message of 4 MiB there and back', () => large(caller));
    await t.test('an error without a message', () => refused(caller));
    await t.test('streams of the server, of the client and of both', () => streams(caller));
    await t.test('a deadline that passes ends the call at the server', () => deadline(caller));
    await t.test('a call that is cancelled ends at the server', () => cancelled(caller));
  });
});

async function unaryCalls(caller: Caller): Promise<void> {
  const before = await metric(caller.admin, 'sailring_http_routed_total', 'stamp');
  const messages = Array.from({ length: 300 }, (_, at) => randomBytes(at * 10));
  const answers = await Promise.all(messages.map((message) => caller.ask(grpc.unary, message)));
  for (const [at, { message }] of answers.entries()) assert.ok(message.equals(messages[at]!));
  const after = await metric(caller.admin, 'sailring_http_routed_total', 'stamp');
  assert.equal(after - before, messages.length);
}

async function metadata(caller: Caller): Promise<void> {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
  const given = caller.metadata({ 'given-bin': bytes });
  const { head, tail } = await caller.ask(grpc.unary, Buffer.from('m'), given);
  assert.deepEqual(head.get('head-bin'), [bytes]);
  assert.deepEqual(tail.get('tail-bin'), [bytes]);
}

async function large(caller: Caller): Promise<void> {
  const message = randomBytes(4 * 2 ** 20);
  const answer = await caller.ask(grpc.unary, message);
  assert.ok(answer.message.equals(message));
}

async function refused(caller: Caller): Promise<void> {
  await assert.rejects(caller.ask(grpc.refuse, Buffer.alloc(0)), (error: ServiceError) => {
    assert.deepEqual([error.code, error.details], [status.NOT_FOUND, 'nobody there: größe 100 %']);
    assert.deepEqual(error.metadata.get('why-bin'), [Buffer.from([0, 255, 10, 13])]);
    return true;
  });
}

async function streams(caller: Caller): Promise<void> {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(5_000);
  const given = await caller.stream(count);
  assert.deepEqual(
    given.map((message) => message.readUInt32BE()),
    Array.from({ length: 5_000 }, (_, at) => at),
  );

  const pieces = Array.from({ length: 1_000 }, () => Buffer.alloc(1_000));
  assert.equal(String(await caller.give(pieces)), '1000000');

  const chat = caller.chat();
  const answers: string[] = [];
  chat.write(Buffer.from('0'));
  for await (const answer of chat) {
    answers.push(String(answer as Buffer));
    // Each message waits for the answer to the one before.
    if (answers.length < 50) chat.write(Buffer.from(String(answers.length)));
    else chat.end();
  }
  assert.deepEqual(
    answers,
    Array.from({ length: 50 }, (_, at) => `re: ${at}`),
  );
}

async function deadline(caller: Caller): Promise<void> {
  const isCancelled = once(grpc.grpcEvents, 'cancelled');
  const options = { deadline: Date.now() + 500 };
  await assert.rejects(
    caller.ask(grpc.wait, Buffer.alloc(0), caller.metadata(), options),
    (error: ServiceError) => error.code === status.DEADLINE_EXCEEDED,
  );
  await isCancelled;
}

async function cancelled(caller: Caller): Promise<void> {
  const isCancelled = once(grpc.grpcEvents, 'cancelled');
  const chat = caller.chat();
  const ended = new Promise<ServiceError>((resolve) => chat.on('error', resolve as () => void));
  chat.write(Buffer.from('hello'));
  await once(chat, 'data');
  chat.cancel();
  assert.equal((await ended).code, status.CANCELLED);
  await isCancelled;
}
