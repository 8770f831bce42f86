import { EventEmitter } from 'node:events';
import type { TestContext } from 'node:test';
import {
  Metadata,
  Server,
  ServerCredentials,
  status,
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type MethodDefinition,
} from '@grpc/grpc-js';

const host = '127.0.0.1';

type Bytes = MethodDefinition<Buffer, Buffer>;

/** Messages are bytes as they are: what is tested is how they travel. */
function method(name: string, asks: boolean, answers: boolean): Bytes {
  const asItIs = (message: Buffer): Buffer => message;
  return {
    path: `/sailring.test.Echo/${name}`,
    requestStream: asks,
    responseStream: answers,
    requestSerialize: asItIs,
    requestDeserialize: asItIs,
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  };
}

export const unary: Bytes = method('Unary', false, false);
export const refuse: Bytes = method('Refuse', false, false);
export const wait: Bytes = method('Wait', false, false);
export const count: Bytes = method('Count', false, true);
export const sum: Bytes = method('Sum', true, false);
export const chat: Bytes = method('Chat', true, true);

/** What happened at servers of this process: `cancelled`. */
export const grpcEvents: EventEmitter = new EventEmitter();

type Unary = handleUnaryCall<Buffer, Buffer>;
type Count = handleServerStreamingCall<Buffer, Buffer>;
type Sum = handleClientStreamingCall<Buffer, Buffer>;
type Chat = handleBidiStreamingCall<Buffer, Buffer>;

/** Gives a message back, and the metadata `-bin` in front of it and behind it. */
const serveUnary: Unary = (call, callback) => {
  const [bytes] = call.metadata.get('given-bin');
  const back = new Metadata();
  if (bytes !== undefined) {
    back.set('head-bin', bytes);
    call.sendMetadata(back);
  }
  const trailer = new Metadata();
  if (bytes !== undefined) trailer.set('tail-bin', bytes);
  callback(null, call.request, trailer);
};

const serveRefuse: Unary = (_call, callback) => {
  const metadata = new Metadata();
  metadata.set('why-bin', Buffer.from([0, 255, 10, 13]));
  callback({ code: status.NOT_FOUND, details: 'nobody there: größe 100 %', metadata });
};

const serveWait: Unary = (call) => {
  call.on('cancelled', () => grpcEvents.emit('cancelled'));
};

const serveCount: Count = (call) => {
  const last = call.request.readUInt32BE();
  let next = 0;
  const write = (): void => {
    for (; next < last; next++) {
      const message = Buffer.alloc(1_000);
      message.writeUInt32BE(next);
      if (!call.write(message)) {
        next += 1;
        call.once('drain', write);
        return;
      }
    }
    call.end();
  };
  write();
};

const serveSum: Sum = (call, callback) => {
  let total = 0;
  call.on('data', (message: Buffer) => (total += message.length));
  call.on('end', () => {
    callback(null, Buffer.from(String(total)));
  });
};

const serveChat: Chat = (call) => {
  call.on('cancelled', () => grpcEvents.emit('cancelled'));
  call.on('data', (message: Buffer) => {
    call.write(Buffer.concat([Buffer.from('re: '), message]));
  });
  call.on('end', () => {
    call.end();
  });
};

/** A server of grpc-js with the methods above; gives its port. */
export function startGrpcServer(t: TestContext): Promise<number> {
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  server.addService(
    { unary, refuse, wait, count, sum, chat },
    {
      unary: serveUnary,
      refuse: serveRefuse,
      wait: serveWait,
      count: serveCount,
      sum: serveSum,
      chat: serveChat,
    },
  );
  t.after(() => {
    server.forceShutdown();
  });
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:0`, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
}
