export { HttpListener, type HttpListenerOptions } from './listener.ts';
export type { HttpClient, OpenClient } from './client.ts';
export { openHttp2 } from './http2-connection.ts';
export { LimitedLog } from './limited-log.ts';
export type { HttpLog, HttpTimeouts, ServeElsewhere, ServeHttp } from './listener-context.ts';
export { randomTraceIds } from './trace-ids.ts';
