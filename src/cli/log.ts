import type { Logger } from 'pino';
import { destination, pino, stdTimeFunctions } from 'pino';
import type { Config } from '../config/index.ts';

/** Never written, wherever they stand in what is logged. */
const secrets = ['secret', 'token', 'authorization', 'cookie', 'keys'];

/** The peer's log: one JSON object a line on standard error. */
export function createLog(config: Config): Logger {
  return pino(
    {
      level: config.log.level,
      base: { name: config.name },
      timestamp: stdTimeFunctions.isoTime,
      redact: {
        paths: secrets.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
        censor: '[secret]',
      },
    },
    destination({ fd: 2, sync: true }),
  );
}
