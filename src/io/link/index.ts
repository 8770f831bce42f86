export { GrpcLinks } from './grpc-links.ts';
export type { LinkHandler, LinkPeer, Links } from './link.ts';
export type { LinkLimits, LinkLog, LinkOptions, LinkTlsFiles } from './options.ts';
