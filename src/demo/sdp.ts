/** The demo has no media: it takes the first audio stream as inactive and refuses the others. */
const discardPort = 9;

/**
 * Answers an SDP offer with one line for each of its streams (RFC 3264 section 6); without an offer
 * it makes one of its own.
 */
export function describeSession(offer: string, sessionId: number, version: number): string {
  const streams = offer.split(/\r?\n/).filter((line) => line.startsWith('m='));
  return [
    'v=0',
    `o=sailring ${sessionId} ${version} IN IP4 127.0.0.1`,
    's=Sailring conference',
    'c=IN IP4 127.0.0.1',
    't=0 0',
    ...answerStreams(streams.length === 0 ? ['m=audio 9 RTP/AVP 0'] : streams),
    '',
  ].join('\r\n');
}

function answerStreams(streams: readonly string[]): string[] {
  const accepted = streams.findIndex((line) => /^m=audio [1-9]\d*\S* RTP\/\S+ \S/.test(line));
  return streams.flatMap((line, index) => {
    const [media = 'm=audio', , protocol = 'RTP/AVP', format = '0', ...others] = line
      .trim()
      .split(/\s+/);
    return index === accepted
      ? [`${media} ${discardPort} ${protocol} ${format}`, 'a=inactive']
      : [[media, 0, protocol, format, ...others].join(' ')];
  });
}
