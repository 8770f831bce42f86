import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';

/** Who holds a folder. */
interface Holder {
  readonly peer: string;
  readonly pid: number;
  /** When the process started, as the system counts it; tells two processes of one id apart. */
  readonly started: string;
}

/** Tries to take a folder whose lock others take or give back meanwhile. */
const attempts = 3;

/**
 * Takes a folder for this process by a file that names it. The file of a process that was killed is
 * replaced, by one process however many try.
 *
 * @returns undefined, or which living process holds the folder
 * @throws the error of the system when the file cannot be written
 */
export async function lockFolder(file: string, peer: string): Promise<string | undefined> {
  const own: Holder = { peer, pid: process.pid, started: startOf(process.pid) ?? '' };
  const draft = `${file}.${randomUUID()}`;
  try {
    await writeFile(draft, `${JSON.stringify(own)}\n`, { mode: 0o600 });
    for (let attempt = 0; attempt < attempts; attempt++) {
      if (await place(draft, file)) return undefined;
      const found = await textOf(file);
      if (found === undefined) continue;
      const holder = readHolder(found);
      if (holder !== undefined && isRunning(holder)) {
        return `the process ${holder.pid} (peer ${holder.peer}) uses it`;
      }
      const taken = await takeOver(file, found, draft, peer);
      if (taken.kind === 'busy') return taken.by;
      if (taken.kind === 'done') return undefined;
    }
    return 'other processes take it at the same time';
  } finally {
    await rm(draft, { force: true });
  }
}

type TakeOver =
  { readonly kind: 'done' | 'changed' } | { readonly kind: 'busy'; readonly by: string };

/**
 * Puts a draft in the place of a file whose holder is gone. Between a look at the file and its
 * replacement another may have done the same, and would lose what it holds: so a further lock, named
 * for the text that is replaced, lets one process at a time look and replace. It may be left by a
 * crash too, and is then taken over in the same way; each such crash makes the name longer.
 */
async function takeOver(
  file: string,
  gone: string,
  draft: string,
  peer: string,
): Promise<TakeOver> {
  const turn = `${file}.${createHash('sha256').update(gone).digest('hex').slice(0, 16)}`;
  const by = await lockFolder(turn, peer);
  if (by !== undefined) return { kind: 'busy', by };
  try {
    if ((await textOf(file)) !== gone) return { kind: 'changed' };
    await rename(draft, file);
    return { kind: 'done' };
  } finally {
    await unlockFolder(turn);
  }
}

/** Gives a whole file its name at one stroke, so that nobody reads half of it; false when the name is taken. */
async function place(draft: string, file: string): Promise<boolean> {
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

export async function unlockFolder(file: string): Promise<void> {
  await rm(file, { force: true });
}

/** Undefined for a file that is gone. */
async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Undefined for a text that a crash left half written. */
function readHolder(text: string): Holder | undefined {
  try {
    const { peer, pid, started } = JSON.parse(text) as Partial<Holder>;
    if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
    return { peer: String(peer), pid, started: String(started) };
  } catch {
    return undefined;
  }
}

function isRunning({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, as another user.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const now = startOf(pid);
  return now === undefined || now === started;
}

/** Field 22 of /proc/<pid>/stat (proc_pid_stat(5)); undefined on systems without. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name of the program, in parentheses, may hold spaces.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
