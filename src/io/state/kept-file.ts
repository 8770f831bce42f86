import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { stateFolderLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';

type LogLine = (fields: object, message: string) => void;

export interface KeptFileOptions {
  /** Absolute path of a folder that is there, and that this process alone uses. */
  readonly folder: string;
  /** Of the file; what is written or set aside has it with an ending. */
  readonly name: string;
  /** A larger one is set aside unread. */
  readonly bytesMax: number;
  readonly counters: Counters;
  /** Name of the counter of what became of the file. */
  readonly counter: string;
  readonly log: { readonly error: LogLine };
  /** What the log says beside the reason. */
  readonly texts: { readonly setAside: string; readonly unwritten: string };
}

/**
 * A file that is whole, or not there: what is saved is written beside the old one, readable by this user
 * alone, and put in its place once the disk has it.
 */
export class KeptFile {
  readonly path: string;
  readonly #options: KeptFileOptions;
  readonly #newPath: string;
  /** What is to be written next; a later one takes its place. */
  #due: Uint8Array | undefined;
  #writing: Promise<boolean> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs: number = stateFolderLimits.retryMinMs;

  constructor(options: KeptFileOptions) {
    this.#options = options;
    this.path = join(options.folder, options.name);
    this.#newPath = `${this.path}.new`;
  }

  /**
   * What is in the file; undefined when there is none, or none of a usable size. A half-written one
   * beside it is set aside.
   *
   * @throws Error with a remedy, when the folder cannot be used
   */
  async read(): Promise<Buffer | undefined> {
    if ((await sizeOf(this.#newPath)) !== undefined) {
      await this.#setAside(this.#newPath, 'half-written');
    }
    const size = await sizeOf(this.path);
    if (size === undefined) return undefined;
    if (size > this.#options.bytesMax) {
      await this.#setAside(this.path, 'too-large');
      return undefined;
    }
    return this.#use(() => readFile(this.path));
  }

  /**
   * Writes these bytes; of several that wait, the last ones alone.
   *
   * @returns whether these, or later ones, are on the disk; if not, it is tried again
   */
  async save(bytes: Uint8Array): Promise<boolean> {
    this.#due = bytes;
    clearTimeout(this.#retry);
    // One write at a time: one that runs may have begun before these bytes were there.
    if (this.#writing !== undefined) await this.#writing;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  /** Keeps a file that was read but cannot be used, a bounded number of times, for whoever wants to see it. */
  async setAside(reason: string): Promise<void> {
    await this.#setAside(this.path, reason);
  }

  /** Takes the file away. Throws Error with a remedy, when the folder cannot be used. */
  async remove(): Promise<void> {
    await this.#use(async () => {
      await rm(this.path, { force: true });
      await this.#syncFolder();
    });
  }

  /** Ends what is being written. */
  async close(): Promise<void> {
    clearTimeout(this.#retry);
    // A save that waited for the write before it begins its own behind that.
    while (this.#writing !== undefined) await this.#writing;
    clearTimeout(this.#retry);
  }

  async #setAside(file: string, reason: string): Promise<void> {
    const { counters, counter, log, texts } = this.#options;
    let place = '';
    let oldest = Infinity;
    for (let number = 1; number <= stateFolderLimits.setAsideMax; number++) {
      const name = `${this.path}.bad-${number}`;
      const changed = await changedAt(name);
      if (changed >= oldest) continue;
      [place, oldest] = [name, changed];
    }
    await this.#use(() => rename(file, place));
    counters.count(counter, reason);
    log.error({ file, movedTo: place, reason }, texts.setAside);
  }

  /** Writes until nothing is due. */
  async #write(): Promise<boolean> {
    const { counters, counter, log, folder, texts } = this.#options;
    for (let bytes = this.#due; bytes !== undefined; bytes = this.#due) {
      this.#due = undefined;
      try {
        await this.#replace(bytes);
      } catch (error) {
        this.#due ??= bytes;
        counters.count(counter, 'write-failed');
        log.error({ folder, err: error }, texts.unwritten);
        this.#retryLater();
        return false;
      }
      this.#retryMs = stateFolderLimits.retryMinMs;
      counters.count(counter, 'written');
    }
    return true;
  }

  async #replace(bytes: Uint8Array): Promise<void> {
    const file = await open(this.#newPath, 'w', 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(this.#newPath, this.path);
    await this.#syncFolder();
  }

  /** A new name is on the disk only with the folder. */
  async #syncFolder(): Promise<void> {
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

  async #use<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      throw unusableFolder(this.#options.folder, error);
    }
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

/** An error that says what an operator can do about it. */
export function unusableFolder(folder: string, cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Error(
    `dataDir ${folder} cannot be used: ${reason}; name a folder that this user may write`,
    { cause },
  );
}
