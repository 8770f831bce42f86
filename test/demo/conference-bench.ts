import { createConference } from '../../src/demo/conference.ts';
import { HostBench } from '../io/application/embedded-bench.ts';

/** The demo behind the real host, on one virtual clock. */
export async function conference(): Promise<HostBench> {
  let ids = 0;
  const bench: HostBench = new HostBench((context) =>
    createConference(context, {
      now: () => bench.time.now(),
      schedule: (delayMs, callback) => bench.time.schedule(bench.time.now() + delayMs, callback),
      newId: () => `${String(++ids).padStart(8, '0')}-0000-4000-8000-000000000000`,
    }),
  );
  await bench.host.start();
  return bench;
}
