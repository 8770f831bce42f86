import { decode, encode } from '@msgpack/msgpack';
import { gossipLimits } from '../config/defaults.ts';
import { isMap } from './msgpack.ts';

/** What a member says of itself: short texts by name. */
export type Tags = Readonly<Record<string, string>>;

/** First byte of metadata that holds tags, as serf writes it. */
const tagsMagic = 255;

/** Tags as metadata. Throws when they need more than 512 bytes: the caller's configuration is at fault. */
export function encodeTags(tags: Tags): Uint8Array {
  const map = encode(tags, { sortKeys: true });
  if (map.length + 1 > gossipLimits.metaBytesMax) {
    throw new RangeError(
      `the tags of a member take ${map.length + 1} bytes; at most ${gossipLimits.metaBytesMax} fit`,
    );
  }
  return Uint8Array.from([tagsMagic, ...map]);
}

/** The tags in a member's metadata; none when it holds something else. */
export function decodeTags(meta: Uint8Array): Tags {
  if (meta[0] !== tagsMagic) return {};
  try {
    const value = decode(meta.subarray(1), {
      maxMapLength: gossipLimits.metaBytesMax,
      maxArrayLength: 0,
      maxExtLength: 0,
    });
    if (!isMap(value)) return {};
    return Object.fromEntries(
      Object.entries(value).filter((entry): entry is [string, string] => {
        return typeof entry[1] === 'string';
      }),
    );
  } catch {
    return {};
  }
}
