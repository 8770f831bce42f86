import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { stop } from './cluster.ts';
import { listens } from './sipp-process.ts';
import { findTool } from './tools.ts';

/**
 * A registrar and proxy as people run it, knowing of the cluster only that its peer is its outbound
 * proxy: it keeps the Path of registrations, calls registered users along it, and stays in the dialog.
 */
const configuration = (port: number, outlet: string): string => `#!KAMAILIO
children=1
disable_tcp=yes
auto_aliases=no
log_stderror=yes
debug=0
listen=udp:127.0.0.1:${port}

loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "rr.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"

modparam("registrar", "use_path", 1)
modparam("registrar", "path_mode", 0)
modparam("rr", "append_fromtag", 0)

request_route {
  if (is_method("REGISTER")) {
    if (!save("location")) sl_reply_error();
    exit;
  }
  if (is_method("CANCEL")) {
    if (t_check_trans()) route(OUT);
    exit;
  }
  if (has_totag()) {
    if (is_method("ACK") && t_check_trans()) {
      route(OUT);
      exit;
    }
    if (!loose_route() && !is_method("ACK")) {
      sl_send_reply("481", "No such dialog");
      exit;
    }
    route(OUT);
    exit;
  }
  if (!t_newtran()) exit;
  if (!lookup("location")) {
    t_reply("404", "Not registered here");
    exit;
  }
  record_route();
  route(OUT);
}

route[OUT] {
  $du = "sip:${outlet}";
  t_relay();
  exit;
}
`;

/** Starts one on loopback with a free UDP port; `outlet` is the `host:port` of its peer. */
export async function startKamailio(t: TestContext, port: number, outlet: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sailring-kamailio-'));
  const file = join(folder, 'kamailio.cfg');
  await writeFile(file, configuration(port, outlet));
  const child = spawn(
    findTool('kamailio') ?? 'kamailio',
    ['-DD', '-E', '-f', file, '-Y', folder, '-P', join(folder, 'pid'), '-m', '32', '-M', '4'],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  t.after(async () => {
    await stop(child);
    await rm(folder, { recursive: true, force: true });
  });
  await listens(port);
}
