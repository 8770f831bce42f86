import { isIP } from 'node:net';
import { z } from 'zod';
import { isHost, isNetwork, parseHostPort } from './address.ts';
import type { ListenAddress } from './config.ts';

/** A secret as the file gives it: the text itself, or where it stands. */
export type SecretSource = string | { readonly file: string } | { readonly env: string };

/** Text that passes a check of ours. The error is `what; what to do`. */
export function text(check: (value: string) => boolean, error: string): z.ZodString {
  return z.string().refine(check, { error });
}

/** Text of a pattern, which editors see too. */
export function pattern(expression: RegExp, error: string): z.ZodString {
  return z.string().regex(expression, { error });
}

export const nameText: z.ZodString = pattern(
  /^[A-Za-z0-9._-]{1,64}$/u,
  'is not a usable name; use 1 to 64 of the characters A-Z a-z 0-9 . _ -',
);
export const ipAddress: z.ZodString = text(
  (value) => isIP(value) !== 0,
  'is not an IP address; write an address of this machine such as 127.0.0.1, 0.0.0.0 or "::1"',
);
export const host: z.ZodString = text(
  isHost,
  'is not a host; write an IP address or a DNS name without a port',
);
/** Of certificates: `*.` stands for one label. */
export const serverName: z.ZodString = text(
  (value) => isHost(value.replace(/^\*\./u, '')),
  'is not a server name; write a DNS name, or "*." and a DNS name for all names with one label more',
);
export const hostPort: z.ZodString = text(
  (value) => (parseHostPort(value)?.port ?? 0) > 0,
  'is not host:port; write for example 192.0.2.1:5060, sip.example.com:5060 or "[2001:db8::1]:5060"',
);
export const hostOrHostPort: z.ZodString = text(
  (value) => isHost(value) || (parseHostPort(value)?.port ?? 0) > 0,
  'is neither host nor host:port; write for example sip.example.com or sip.example.com:5060',
);
export const ipPort: z.ZodString = text(
  isUsableIpPort,
  'is not ip:port; write for example 192.0.2.53:53 or "[2001:db8::53]:53"',
);
export const ipOrIpPort: z.ZodString = text(
  (value) => isIP(value) !== 0 || isUsableIpPort(value),
  'is neither an IP address nor ip:port; write for example 192.0.2.20, 192.0.2.20:5060 or "[2001:db8::20]:5060"',
);
export const network: z.ZodString = text(
  isNetwork,
  'is neither an IP address nor a network; write for example 10.0.0.0/8 or "fd00::/8"',
);
export const absolutePath: z.ZodString = pattern(
  /^\/[\x21-\x3a\x3c-\x7e]*$/u,
  'is not an absolute path; begin it with "/" and leave out spaces and semicolons',
);
export const cookieName: z.ZodString = pattern(
  /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/u,
  'is not a cookie name; use letters, digits, "_" and "-"',
);
export const parameterName: z.ZodString = pattern(
  /^[A-Za-z0-9._~-]{1,64}$/u,
  'is not a usable URL parameter; use 1 to 64 of the characters A-Z a-z 0-9 . _ ~ -',
);
/** Of Tomcat and its kin: what stands behind the last dot of a session id. */
export const jvmRoute: z.ZodString = pattern(
  /^[A-Za-z0-9_-]{1,64}$/u,
  'is not a usable route; use 1 to 64 of the characters A-Z a-z 0-9 _ -',
);
export const keyId: z.ZodString = pattern(
  /^[A-Za-z0-9]{1,16}$/u,
  'is not a key id; use 1 to 16 letters and digits',
);
export const filePath: z.ZodString = text(
  (value) => value !== '',
  'is empty; write the path of a file',
);
/** 0 takes any free one. */
export const port: z.ZodInt = z.int().min(0).max(65_535);

/** Where to listen; by default at `address`. */
export function listen(
  address: string,
  defaultPort: number,
): z.ZodType<
  ListenAddress,
  { address?: string | undefined; port?: number | undefined } | undefined
> {
  return z
    .strictObject({
      address: ipAddress.default(address).describe('IP address to listen on'),
      port: port.default(defaultPort).describe('port; 0 takes any free one'),
    })
    .prefault({});
}

export const secret: z.ZodType<SecretSource, SecretSource> = z.union([
  z.string(),
  z.strictObject({
    file: filePath.describe('file whose content, without the last line feed, is the secret'),
  }),
  z.strictObject({ env: z.string().describe('environment variable that holds the secret') }),
]);

/** A time within bounds. */
export function milliseconds(least: number, most: number): z.ZodInt {
  return z.int().min(least).max(most);
}

function isUsableIpPort(value: string): boolean {
  const parsed = parseHostPort(value);
  return parsed !== undefined && parsed.port > 0 && isIP(parsed.host) !== 0;
}
