/** A proxy of the npm package http-proxy-3, where it is installed. Usage: http-proxy.ts PORT ORIGIN_PORT... */
import { Agent, createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';

interface Proxy {
  web(request: IncomingMessage, response: ServerResponse, options: { target: string }): void;
}
interface Library {
  createProxyServer(options: { agent: Agent }): Proxy;
}

const [listenPort, ...originPorts] = process.argv.slice(2).map(Number);
// The name is held apart from the import: the package is no dependency of the project.
const [name]: readonly [string] = ['http-proxy-3'];
const library = (await import(name)) as Library;
const proxy = library.createProxyServer({ agent: new Agent({ keepAlive: true, maxSockets: 128 }) });
let next = 0;
const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  next = (next + 1) % originPorts.length;
  proxy.web(request, response, { target: `http://127.0.0.1:${originPorts[next]!}` });
});
server.listen(listenPort, '127.0.0.1', 4096, () => {
  console.log('ready');
});
