import fc from 'fast-check';

/** Text that means something to some layer of SIP. */
const words = [
  ...['\r\n', '\n', '\r', '\0', '"', '<', '>', ',', ';', ':', ' ', '\t', '\\', '@', '?', '[', ']'],
  ...['\r\n ', '\r\n\r\n', '=', '%', 'é', '\xff', '0', '-1', '4294967296', ' SIP/2.0', 'SIP/7.0'],
  ...[';tag=x', ';tag=', ';lr', ';rport', ';rport=', ';received=192.0.2.9', ';branch=z9hG4bK'],
  ...['\r\nVia: SIP/2.0/UDP x', '\r\nContent-Length: 3', '\r\nl: 0', '\r\nMax-Forwards: 0'],
  ...['\r\nRoute: <sip:sip.example.net:5060;lr>', '\r\nRoute: <sip:other.example.net>'],
  ...['\r\nProxy-Require: a\r\n b', '\r\nTo: <sip:x@y>;tag=z', '\r\nEvil: 1', ', <sip:b@c>'],
  ...[';felb=a;connid=u0;besig=k1.x', ';bekey=k;beroute=a;besig=k1.AAAAAAAAAAAAAAAAAAAAAA'],
];

type Mutation = (bytes: Buffer) => Buffer;

function splice(bytes: Buffer, at: number, removed: number, inserted: Buffer): Buffer {
  const start = at % (bytes.length + 1);
  return Buffer.concat([
    bytes.subarray(0, start),
    inserted,
    bytes.subarray(Math.min(bytes.length, start + removed)),
  ]);
}

const place = fc.nat(0xffff);

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(place, fc.nat(255)).map(([at, value]): Mutation => {
    return (bytes) => splice(bytes, at, 1, Buffer.from([value]));
  }),
  fc.tuple(place, fc.constantFrom(...words)).map(([at, word]): Mutation => {
    return (bytes) => splice(bytes, at, 0, Buffer.from(word, 'latin1'));
  }),
  fc.tuple(place, fc.nat(24)).map(([at, length]): Mutation => {
    return (bytes) => splice(bytes, at, length, Buffer.alloc(0));
  }),
  fc.tuple(place, place, fc.nat(200)).map(([from, to, length]): Mutation => {
    return (bytes) => {
      const start = from % (bytes.length + 1);
      return splice(bytes, to, 0, bytes.subarray(start, start + length));
    };
  }),
  fc.tuple(place, place).map(([from, to]): Mutation => {
    return (bytes) => {
      const lines = bytes.toString('latin1').split('\r\n');
      const [line = ''] = lines.splice(from % lines.length, 1);
      lines.splice(to % (lines.length + 1), 0, line);
      return Buffer.from(lines.join('\r\n'), 'latin1');
    };
  }),
);

/** One of the messages, changed in up to `changesMax` places; sometimes not at all. */
export function mutated(messages: readonly Buffer[], changesMax: number): fc.Arbitrary<Buffer> {
  return fc
    .tuple(fc.constantFrom(...messages), fc.array(mutation, { maxLength: changesMax }))
    .map(([message, changes]) => changes.reduce((bytes, change) => change(bytes), message));
}
