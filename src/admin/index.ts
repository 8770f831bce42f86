export { keyPages, type KeySource } from './keys.ts';
export { AdminServer } from './server.ts';
export type { AuditLog } from './server.ts';
export type { AdminSource, MemberStatus, PeerStatus } from './status.ts';
export { json, type AdminRequest, type Answer, type Route } from './route.ts';
