import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { clusterLimits, stateFolderLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { lockFolder, unlockFolder } from './folder-lock.ts';
import { parseStateFile, serializeStateFile, type StateOwner } from './state-file.ts';

type LogLine = (fields: object, message: string) => void;

export interface StateFolderOptions extends StateOwner {
  /** Absolute path; made when it is not there. */
  readonly folder: string;
  readonly counters: Counters;
  readonly log: { readonly error: LogLine; readonly warn: LogLine };
}

/** More than the head of the file takes. */
const fileBytesMax = clusterLimits.mergedStateBytesMax + 1_024;

/**
 * The folder where a peer keeps the state of the cluster. What is saved is whole, or not there: it is
 * written beside the old file and put in its place once the disk has it.
 */
export class StateFolder {
  readonly #options: StateFolderOptions;
  readonly #file: string;
  readonly #newFile: string;
  readonly #lock: string;
  #isOpen = false;
  /** What is to be written next; a later one takes its place. */
  #due: Uint8Array | undefined;
  #writing: Promise<boolean> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs: number = stateFolderLimits.retryMinMs;

  constructor(options: StateFolderOptions) {
    this.#options = options;
    this.#file = join(options.folder, 'cluster-state');
    this.#newFile = join(options.folder, 'cluster-state.new');
    this.#lock = join(options.folder, 'lock');
  }

  /**
   * Takes the folder and reads the state in it. What cannot be read is set aside, and reported.
   *
   * @returns undefined when there is no usable state
   * @throws Error with a remedy, when the folder cannot be used or belongs to another peer
   */
  async open(): Promise<Uint8Array | undefined> {
    const { folder, peer } = this.#options;
    let isTaken: string | undefined;
    try {
      await mkdir(folder, { recursive: true });
      isTaken = await lockFolder(this.#lock, peer);
    } catch (error) {
      throw unusable(folder, error);
    }
    if (isTaken !== undefined) {
      throw new Error(
        `dataDir ${folder} is in use: ${isTaken}; give each peer a folder of its own`,
      );
    }
    this.#isOpen = true;
    try {
      return await this.#load();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /**
   * Writes a state; of several that wait, the last one alone.
   *
   * @returns whether this state, or a later one, is on the disk; if not, it is tried again
   */
  async save(state: Uint8Array): Promise<boolean> {
    this.#due = state;
    clearTimeout(this.#retry);
    // One write at a time: one that runs may have begun before this state was there.
    if (this.#writing !== undefined) await this.#writing;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  /** Keeps the file of a state that was read but cannot be used, before another takes its place. */
  async setAside(reason: string): Promise<void> {
    await this.#setAside(this.#file, reason);
  }

  /** Ends what is being written, and gives the folder back. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    clearTimeout(this.#retry);
    await this.#writing;
    clearTimeout(this.#retry);
    this.#isOpen = false;
    await unlockFolder(this.#lock);
  }

  async #load(): Promise<Uint8Array | undefined> {
    const { folder, cluster, peer } = this.#options;
    if ((await sizeOf(this.#newFile)) !== undefined) {
      await this.#setAside(this.#newFile, 'half-written');
    }
    const size = await sizeOf(this.#file);
    if (size === undefined) return undefined;
    if (size > fileBytesMax) return this.#setAside(this.#file, 'too-large');
    let bytes: Buffer;
    try {
      bytes = await readFile(this.#file);
    } catch (error) {
      throw unusable(folder, error);
    }
    const read = parseStateFile(bytes);
    if (!read.ok) return this.#setAside(this.#file, read.fault);
    if (read.owner.peer !== peer || read.owner.cluster !== cluster) {
      throw new Error(
        `dataDir ${folder} belongs to peer ${read.owner.peer} of cluster ${read.owner.cluster}; ` +
          `give each peer a folder of its own, or remove ${this.#file} if the peer was renamed`,
      );
    }
    return read.state;
  }

  /** Keeps what cannot be used for whoever wants to see it, a bounded number of times. */
  async #setAside(file: string, reason: string): Promise<undefined> {
    const { folder, counters, log } = this.#options;
    let place = '';
    let oldest = Infinity;
    for (let number = 1; number <= stateFolderLimits.setAsideMax; number++) {
      const name = join(folder, `cluster-state.bad-${number}`);
      const changed = await changedAt(name);
      if (changed >= oldest) continue;
      [place, oldest] = [name, changed];
    }
    try {
      await rename(file, place);
    } catch (error) {
      throw unusable(folder, error);
    }
    counters.count('state_files', reason);
    log.error(
      { file, movedTo: place, reason },
      'a file of the cluster state cannot be used; it was set aside, the other peers give the state anew',
    );
  }

  /** Writes until nothing is due. */
  async #write(): Promise<boolean> {
    const { counters, log, folder } = this.#options;
    for (let state = this.#due; state !== undefined; state = this.#due) {
      this.#due = undefined;
      try {
        await this.#replace(state);
      } catch (error) {
        this.#due ??= state;
        counters.count('state_files', 'write-failed');
        log.error({ folder, err: error }, 'the state of the cluster was not written; trying again');
        this.#retryLater();
        return false;
      }
      this.#retryMs = stateFolderLimits.retryMinMs;
      counters.count('state_files', 'written');
    }
    return true;
  }

  async #replace(state: Uint8Array): Promise<void> {
    const file = await open(this.#newFile, 'w', 0o600);
    try {
      await file.writeFile(serializeStateFile(this.#options, state));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(this.#newFile, this.#file);
    // The new name is on the disk only with the folder.
    const folder = await open(this.#options.folder, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  #retryLater(): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      if (this.#due !== undefined) void this.save(this.#due);
    }, this.#retryMs);
    this.#retry.unref();
    this.#retryMs = Math.min(this.#retryMs * 2, stateFolderLimits.retryMaxMs);
  }
}

/** Undefined for a file that is not there. */
async function sizeOf(file: string): Promise<number | undefined> {
  return (await stat(file).catch(() => undefined))?.size;
}

/** When a file was last written; the earliest time for one that is not there. */
async function changedAt(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.mtimeMs ?? -Infinity;
}

function unusable(folder: string, cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Error(
    `dataDir ${folder} cannot be used: ${reason}; name a folder that this user may write`,
    { cause },
  );
}
