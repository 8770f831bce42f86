export { createEnumResolver } from './create-enum-resolver.ts';
export { createNaptrQuery, parseDnsServer } from './dns-query.ts';
export type { DnsServer } from './dns-query.ts';
export { EnumResolver } from './enum.ts';
export type { EnumClock, EnumOptions, NaptrAnswer, QueryNaptr } from './enum.ts';
export { chooseSipUri } from './naptr.ts';
export type { NaptrRecord } from './naptr.ts';
export { SipResolver } from './sip-resolver.ts';
export type { SipResolverOptions } from './sip-resolver.ts';
