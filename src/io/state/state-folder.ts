import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { clusterLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { lockFolder, unlockFolder } from './folder-lock.ts';
import { KeptFile, unusableFolder } from './kept-file.ts';
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

/** The folder of one peer, where it keeps the state of the cluster. */
export class StateFolder {
  readonly #options: StateFolderOptions;
  readonly #file: KeptFile;
  readonly #lock: string;
  #isOpen = false;

  constructor(options: StateFolderOptions) {
    this.#options = options;
    const { folder, counters, log } = options;
    this.#file = new KeptFile({
      folder,
      name: 'cluster-state',
      bytesMax: fileBytesMax,
      counters,
      counter: 'state_files',
      log,
      texts: {
        setAside:
          'a file of the cluster state cannot be used; it was set aside, the other peers give the state anew',
        unwritten: 'the state of the cluster was not written; trying again',
      },
    });
    this.#lock = join(folder, 'lock');
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
      throw unusableFolder(folder, error);
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
  save(state: Uint8Array): Promise<boolean> {
    return this.#file.save(serializeStateFile(this.#options, state));
  }

  /** Keeps the file of a state that was read but cannot be used, before another takes its place. */
  async setAside(reason: string): Promise<void> {
    await this.#file.setAside(reason);
  }

  /** Ends what is being written, and gives the folder back. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    await this.#file.close();
    this.#isOpen = false;
    await unlockFolder(this.#lock);
  }

  async #load(): Promise<Uint8Array | undefined> {
    const { folder, cluster, peer } = this.#options;
    const bytes = await this.#file.read();
    if (bytes === undefined) return undefined;
    const read = parseStateFile(bytes);
    if (!read.ok) {
      await this.#file.setAside(read.fault);
      return undefined;
    }
    if (read.owner.peer !== peer || read.owner.cluster !== cluster) {
      throw new Error(
        `dataDir ${folder} belongs to peer ${read.owner.peer} of cluster ${read.owner.cluster}; ` +
          `give each peer a folder of its own, or remove ${this.#file.path} if the peer was renamed`,
      );
    }
    return read.state;
  }
}
