export { HttpListener, type HttpListenerOptions } from './listener.ts';
export type { HttpClient, OpenClient } from './client.ts';
export type { HttpLog, HttpTimeouts, ServeHttp } from './listener-context.ts';
