export { HttpListener, type HttpListenerOptions } from './listener.ts';
export type { HttpLog, HttpTimeouts, ServeHttp } from './listener-context.ts';
