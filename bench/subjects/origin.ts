/** Answers HTTP where nginx is not installed. Usage: origin.ts PORT... */
import { createServer } from 'node:http';
import { once } from 'node:events';

for (const port of process.argv.slice(2).map(Number)) {
  const server = createServer({ keepAliveTimeout: 600_000 }, (_request, response) => {
    response.setHeader('Content-Type', 'text/plain');
    response.end('hello\n');
  });
  server.listen(port, '127.0.0.1', 4096);
  await once(server, 'listening');
}
console.log('ready');
