import { gossipLimits } from '../config/defaults.ts';
import { decodeMessage, wireType } from './codec.ts';
import { expand } from './compression.ts';
import { crc32 } from './crc32.ts';
import type { Decoded, Message, WireFault } from './message.ts';

/** What one packet said: its good messages, and the faults of its bad ones. */
export interface PacketContent {
  readonly messages: readonly Message[];
  readonly faults: readonly WireFault[];
}

const compoundCountMax = 255;
const checksumBytes = 5;

/** The bytes that start every packet and stream of a cluster; empty for no label. */
export function labelHeader(label: string): Uint8Array {
  const text = Buffer.from(label, 'utf8');
  if (text.length > gossipLimits.labelBytesMax) {
    throw new Error(`the cluster label is longer than ${gossipLimits.labelBytesMax} bytes`);
  }
  if (text.length === 0) return new Uint8Array(0);
  return Uint8Array.from([wireType.label, text.length, ...text]);
}

/** Bytes that messages of these sizes take in one packet. */
export function packetBytes(
  header: Uint8Array,
  sizes: readonly number[],
  checksum: boolean,
): number {
  const content = sizes.reduce((sum, size) => sum + size, 0);
  const framing = sizes.length === 1 ? 0 : 2 + 2 * sizes.length;
  return header.length + (checksum ? checksumBytes : 0) + framing + content;
}

/** True when one more message fits a compound beside `count` others. */
export function compoundHasRoom(count: number): boolean {
  return count < compoundCountMax;
}

/** One packet out of encoded messages; the caller keeps it within `packetBytesMax`. */
export function encodePacket(
  header: Uint8Array,
  messages: readonly Uint8Array[],
  checksum: boolean,
): Uint8Array {
  const packet = Buffer.alloc(
    packetBytes(
      header,
      messages.map((message) => message.length),
      checksum,
    ),
  );
  packet.set(header, 0);
  const start = header.length + (checksum ? checksumBytes : 0);
  let at = start;
  if (messages.length !== 1) {
    packet[at++] = wireType.compound;
    packet[at++] = messages.length;
    for (const message of messages) at = packet.writeUInt16BE(message.length, at);
  }
  for (const message of messages) {
    packet.set(message, at);
    at += message.length;
  }
  if (checksum) {
    packet[header.length] = wireType.checksum;
    packet.writeUInt32BE(crc32(packet.subarray(start)), header.length + 1);
  }
  return packet;
}

/** Reads one packet of the cluster whose label header is given. Total on any bytes. */
export function decodePacket(packet: Uint8Array, header: Uint8Array): Decoded<PacketContent> {
  const labelFault = checkLabel(packet, header);
  if (labelFault !== undefined) return { ok: false, fault: labelFault };
  let body = packet.subarray(header.length);
  if (body[0] === wireType.checksum) {
    if (body.length <= checksumBytes) return { ok: false, fault: 'truncated' };
    const sum = new DataView(body.buffer, body.byteOffset).getUint32(1);
    body = body.subarray(checksumBytes);
    if (sum !== crc32(body)) return { ok: false, fault: 'checksum' };
  }
  if (body[0] === wireType.compressed) {
    const expanded = expand(body.subarray(1), gossipLimits.expandedPacketBytesMax);
    if (!expanded.ok) return expanded;
    body = expanded.value;
  }
  const parts = splitCompound(body);
  if (!parts.ok) return parts;
  const messages: Message[] = [];
  const faults: WireFault[] = [];
  for (const part of parts.value) {
    const message = decodeMessage(part);
    if (message.ok) messages.push(message.value);
    else faults.push(message.fault);
  }
  return { ok: true, value: { messages, faults } };
}

/** Compares the start of a packet with the cluster's own label header. */
export function checkLabel(packet: Uint8Array, header: Uint8Array): WireFault | undefined {
  if (packet.length === 0) return 'empty';
  if (header.length === 0) return packet[0] === wireType.label ? 'label-unexpected' : undefined;
  if (packet[0] !== wireType.label) return 'label-missing';
  if (packet.length < header.length) return 'label-wrong';
  for (let i = 0; i < header.length; i++) if (packet[i] !== header[i]) return 'label-wrong';
  return undefined;
}

/** The messages of a compound, or the one message. A compound inside is refused as a message. */
function splitCompound(body: Uint8Array): Decoded<readonly Uint8Array[]> {
  if (body[0] !== wireType.compound) return { ok: true, value: [body] };
  const count = body[1];
  if (count === undefined) return { ok: false, fault: 'truncated' };
  let at = 2 + 2 * count;
  if (at > body.length) return { ok: false, fault: 'truncated' };
  const parts: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const length = (body[2 + 2 * i]! << 8) | body[3 + 2 * i]!;
    if (at + length > body.length) return { ok: false, fault: 'truncated' };
    parts.push(body.subarray(at, at + length));
    at += length;
  }
  return at === body.length ? { ok: true, value: parts } : { ok: false, fault: 'malformed' };
}
