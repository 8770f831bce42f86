/**
 * A proxy of the npm packages fastify and @fastify/http-proxy, where they are installed.
 * Usage: fastify-proxy.ts PORT ORIGIN_PORT...
 */
interface FastifyInstance {
  register(plugin: unknown, options: { upstream: string }): Promise<void>;
  listen(options: { port: number; host: string }): Promise<string>;
}

const [listenPort, originPort] = process.argv.slice(2).map(Number);
// The names are held apart from the imports: the packages are no dependencies of the project.
const [framework, plugin]: readonly [string, string] = ['fastify', '@fastify/http-proxy'];
const { fastify } = (await import(framework)) as { fastify: () => FastifyInstance };
const { fastifyHttpProxy } = (await import(plugin)) as { fastifyHttpProxy: unknown };
const server = fastify();
await server.register(fastifyHttpProxy, { upstream: `http://127.0.0.1:${originPort!}` });
await server.listen({ port: listenPort!, host: '127.0.0.1' });
console.log('ready');
