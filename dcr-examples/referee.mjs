/**
 * A plug-in: rules that XML cannot say. The two parties of a call give one key whoever calls whom,
 * so that a call back meets the first call. `null` leaves a request to the fallback key.
 *
 * @param {import('../src/dcr/index.ts').SipSubject} request
 * @param {import('../src/dcr/index.ts').RuleTools} tools
 */
export function sipKey(request, tools) {
  const parties = ['From', 'To'].map((name) => {
    const address = tools.uris.nameAddr(request.header(name) ?? '');
    const uri = address && tools.uris.uri(address.uri);
    if (uri?.scheme !== 'tel') return uri?.user;
    // Undefined while the look-up runs; the plug-in is asked again when the answer is there.
    return tools.numbers.resolve(uri.user.replace(/[-.()]/g, ''));
  });
  return parties.every(Boolean) ? parties.sort().join('|') : null;
}

/** @param {import('../src/dcr/index.ts').HttpSubject} request */
export function httpKey(request) {
  const parties = [request.parameter('me'), request.parameter('other')];
  return parties.every(Boolean) ? parties.sort().join('|') : null;
}
