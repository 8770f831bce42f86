/** RFC 8489 section 5: what tells STUN from everything else on the same port. */
const magicCookie = 0x2112_a442;
const headerBytes = 20;

const bindingRequest = 0x0001;
const bindingSuccess = 0x0101;
const bindingError = 0x0111;

const errorCode = 0x0009;
const unknownAttributes = 0x000a;
const xorMappedAddress = 0x0020;
const fingerprint = 0x8028;
const fingerprintBytes = 8;

/** From here on attributes may be passed over by who does not know them. */
const comprehensionOptional = 0x8000;

/** MESSAGE-INTEGRITY of both kinds: what follows, but for the fingerprint, is to be ignored. */
const integrity: ReadonlySet<number> = new Set([0x0008, 0x001c]);

/**
 * Comprehension-required attributes of RFC 8489 section 14. Those of authentication are not acted
 * upon: a keep-alive of RFC 5626 section 8 is answered to everybody.
 */
const knownAttributes: ReadonlySet<number> = new Set([
  0x0001, 0x0006, 0x0008, 0x0009, 0x000a, 0x0014, 0x0015, 0x001c, 0x001d, 0x001e, 0x0020,
]);

/**
 * Answers a STUN Binding request (RFC 8489) that came in on a SIP port (RFC 5626 section 4.4.2).
 *
 * The answer is at most 24 bytes larger than the request (an IPv6 address); with an attribute that
 * is not known it is at most 1.5 times as large.
 *
 * @param address source of the datagram, IPv6 without brackets
 * @returns the datagram to send back to the source; undefined: this is no Binding request
 */
export function answerStun(datagram: Buffer, address: string, port: number): Buffer | undefined {
  if (!isBindingRequest(datagram)) return undefined;
  const attributes = readAttributes(datagram);
  if (attributes === undefined) return undefined;
  const body =
    attributes.unknown.length > 0
      ? refusal(attributes.unknown)
      : mappedAddress(datagram, address, port);
  if (body === undefined) return undefined;
  const type = attributes.unknown.length > 0 ? bindingError : bindingSuccess;
  return answer(datagram, type, body, attributes.hasFingerprint);
}

function isBindingRequest(datagram: Buffer): boolean {
  return (
    datagram.length >= headerBytes &&
    datagram.length % 4 === 0 &&
    datagram.readUInt16BE(0) === bindingRequest &&
    datagram.readUInt16BE(2) === datagram.length - headerBytes &&
    datagram.readUInt32BE(4) === magicCookie
  );
}

interface Attributes {
  /** Comprehension-required ones that are not known, each once. */
  readonly unknown: readonly number[];
  readonly hasFingerprint: boolean;
}

/** Undefined when they overrun the datagram or the fingerprint is not right. */
function readAttributes(datagram: Buffer): Attributes | undefined {
  const unknown = new Set<number>();
  let isSealed = false;
  let at = headerBytes;
  while (at < datagram.length) {
    const type = datagram.readUInt16BE(at);
    const end = at + 4 + padded(datagram.readUInt16BE(at + 2));
    if (end > datagram.length) return undefined;
    if (type === fingerprint) {
      // RFC 8489 section 14.7: the last attribute, over all that stands before it.
      const isRight =
        end === datagram.length &&
        end === at + fingerprintBytes &&
        datagram.readUInt32BE(at + 4) === fingerprintOf(datagram, at);
      return isRight ? { unknown: [...unknown], hasFingerprint: true } : undefined;
    }
    isSealed ||= integrity.has(type);
    if (type < comprehensionOptional && !isSealed && !knownAttributes.has(type)) unknown.add(type);
    at = end;
  }
  return { unknown: [...unknown], hasFingerprint: false };
}

/** Section 6.3.1: 420 with the list. The phrase stays empty, so that the answer stays small. */
function refusal(unknown: readonly number[]): Buffer {
  const body = Buffer.alloc(12 + padded(2 * unknown.length));
  body.writeUInt16BE(errorCode, 0);
  body.writeUInt16BE(4, 2);
  body.writeUInt16BE(0x0414, 6);
  body.writeUInt16BE(unknownAttributes, 8);
  body.writeUInt16BE(2 * unknown.length, 10);
  for (const [index, type] of unknown.entries()) body.writeUInt16BE(type, 12 + 2 * index);
  return body;
}

/** Section 14.2: the source, XORed with cookie and transaction so that no NAT rewrites it. */
function mappedAddress(request: Buffer, address: string, port: number): Buffer | undefined {
  const bytes = addressBytes(address);
  if (bytes === undefined) return undefined;
  const body = Buffer.alloc(8 + bytes.length);
  body.writeUInt16BE(xorMappedAddress, 0);
  body.writeUInt16BE(4 + bytes.length, 2);
  body.writeUInt16BE(bytes.length === 4 ? 1 : 2, 4);
  body.writeUInt16BE((port ^ (magicCookie >>> 16)) & 0xffff, 6);
  for (const [index, byte] of bytes.entries()) body[8 + index] = byte ^ request[4 + index]!;
  return body;
}

function answer(request: Buffer, type: number, body: Buffer, withFingerprint: boolean): Buffer {
  const end = headerBytes + body.length;
  const message = Buffer.alloc(end + (withFingerprint ? fingerprintBytes : 0));
  message.writeUInt16BE(type, 0);
  message.writeUInt16BE(message.length - headerBytes, 2);
  request.copy(message, 4, 4, headerBytes);
  body.copy(message, headerBytes);
  if (withFingerprint) {
    message.writeUInt16BE(fingerprint, end);
    message.writeUInt16BE(4, end + 2);
    message.writeUInt32BE(fingerprintOf(message, end), end + 4);
  }
  return message;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

/** CRC-32 of ITU V.42, a byte at a time. */
const crcTable: readonly number[] = Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0xedb8_8320 : 0);
  return value >>> 0;
});

function fingerprintOf(message: Buffer, end: number): number {
  let crc = 0xffff_ffff;
  for (let at = 0; at < end; at++) crc = (crc >>> 8) ^ crcTable[(crc ^ message[at]!) & 0xff]!;
  return (~crc ^ 0x5354_554e) >>> 0;
}

function addressBytes(address: string): readonly number[] | undefined {
  if (!address.includes(':')) return v4Bytes(address);
  // A zone names an interface of this machine and is no part of the address.
  const text = address.split('%', 1)[0]!;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groupBytes(halves[0]!);
  const tail = halves.length === 2 ? groupBytes(halves[1]!) : [];
  if (head === undefined || tail === undefined) return undefined;
  const zeros = 16 - head.length - tail.length;
  if (halves.length === 2 ? zeros < 2 : zeros !== 0) return undefined;
  return [...head, ...new Array<number>(zeros).fill(0), ...tail];
}

function groupBytes(text: string): number[] | undefined {
  const bytes: number[] = [];
  if (text === '') return bytes;
  for (const group of text.split(':')) {
    if (group.includes('.')) {
      const last = v4Bytes(group);
      if (last === undefined) return undefined;
      bytes.push(...last);
    } else if (/^[\da-f]{1,4}$/i.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    } else return undefined;
  }
  return bytes;
}

function v4Bytes(text: string): number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part))) return undefined;
  const bytes = parts.map(Number);
  return bytes.every((byte) => byte <= 255) ? bytes : undefined;
}
