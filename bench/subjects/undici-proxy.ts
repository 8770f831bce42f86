/**
 * The fastest HTTP proxy made of Node's own parts: `node:http` in front, undici's raw dispatch
 * behind, the origin chosen by a hash over the parameter `user`.
 *
 * Usage: undici-proxy.ts PORT ORIGIN_PORT...
 */
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import { Pool } from 'undici';
import type { Dispatcher } from 'undici';

const [listenPort, ...originPorts] = process.argv.slice(2).map(Number);
const pools = originPorts.map((port) => new Pool(`http://127.0.0.1:${port}`, { connections: 64 }));
const hopByHop = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade']);

function digest(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash >>> 0;
}

function poolFor(target: string): Pool {
  const from = target.indexOf('user=') + 5;
  return pools[digest(target.slice(from)) % pools.length]!;
}

function relayTo(response: ServerResponse): Dispatcher.DispatchHandler {
  return {
    onRequestStart: () => undefined,
    onResponseStart: (_controller, status, headers) => {
      for (const [name, value] of Object.entries(headers)) {
        if (value !== undefined && !hopByHop.has(name)) response.setHeader(name, value);
      }
      response.writeHead(status);
    },
    onResponseData: (controller, chunk) => {
      if (response.write(chunk)) return;
      controller.pause();
      response.once('drain', () => {
        controller.resume();
      });
    },
    onResponseEnd: () => {
      response.end();
    },
    onResponseError: () => {
      response.destroy();
    },
  };
}

const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  const target = request.url ?? '/';
  const headers = Object.fromEntries(
    Object.entries(request.headers).filter(([name]) => !hopByHop.has(name)),
  );
  const method = request.method as Dispatcher.HttpMethod;
  const body = method === 'GET' || method === 'HEAD' ? null : request;
  poolFor(target).dispatch({ path: target, method, headers, body }, relayTo(response));
});
server.listen(listenPort, '127.0.0.1', 4096, () => {
  console.log('ready');
});
