import { z } from 'zod';
import type { ServerTlsConfig } from './config.ts';
import { configLimits } from './defaults.ts';
import { filePath, serverName } from './values.ts';

/** The part of the file that says how a listener speaks TLS. */
export const serverTls: z.ZodType<ServerTlsConfig, Record<string, unknown>> = z
  .strictObject({
    certificate: filePath.describe('PEM file of the certificate and those between it and the root'),
    key: filePath.describe('PEM file of its key'),
    servers: z
      .array(
        z.strictObject({
          name: serverName.describe(
            'server name that the client asks for (SNI); `*.` is one label',
          ),
          certificate: filePath.describe('PEM file of the certificate for it'),
          key: filePath.describe('PEM file of its key'),
        }),
      )
      .max(configLimits.tlsServersMax)
      .default([])
      .describe('further certificates, by server name'),
    clientCa: z
      .exactOptional(filePath)
      .describe('PEM file of the authority that signs client certificates'),
    clientCertificates: z
      .enum(['none', 'optional', 'required'])
      .exactOptional()
      .describe(
        '`none`: not asked for; `optional`: checked when given; `required`; by default `optional` with `clientCa`, else `none`',
      ),
  })
  .transform((given) => ({
    ...given,
    clientCertificates:
      given.clientCertificates ?? (given.clientCa === undefined ? 'none' : 'optional'),
  }));
