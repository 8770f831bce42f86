import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isOwn, sipNames, type ListenerNames } from '../../src/pipeline/arrival.ts';
import { listenerNames } from '../support/pipeline-parts.ts';

const listener = (address: string): ListenerNames =>
  listenerNames({ own: address, advertised: address });

describe('sipNames', () => {
  const names = sipNames(
    'a',
    'sip.example.net:5080',
    ['Alias.example.net', '2001:DB8::5', '192.0.2.1:5070'],
    [listener('[2001:db8::1]:5060'), listener('127.0.0.1:5062')],
  );

  it('mean every address of ours, 5060 where none is said', () => {
    for (const own of [
      'SIP.example.net:5080',
      'alias.example.net',
      'alias.example.net:5060',
      '[2001:db8::5]',
      '[2001:DB8::5]:5060',
      '192.0.2.1:5070',
      '[2001:db8::1]',
      '127.0.0.1:5062',
    ]) {
      assert.ok(isOwn(names, own), own);
    }
  });

  it('mean nobody else', () => {
    for (const other of [
      'sip.example.net',
      'alias.example.net:5070',
      '[2001:db8::5]:5061',
      '192.0.2.1',
      '',
    ]) {
      assert.ok(!isOwn(names, other), other);
    }
    assert.ok(!isOwn(sipNames('a', undefined, [], [listener('[::1]:5060')]), ''));
  });

  it('mean what clients see of a listener, but show clients no internal one', () => {
    const inside = listenerNames({
      type: 'internal',
      own: '10.0.0.1:5090',
      advertised: '10.0.0.1:5090',
    });
    const outside = listenerNames({ own: '10.0.0.1:5060', advertised: 'sip.example.com:5060' });
    const found = sipNames('a', undefined, [], [inside, outside]);
    assert.ok(
      ['10.0.0.1:5090', '10.0.0.1:5060', 'sip.example.com'].every((own) => isOwn(found, own)),
    );
    assert.deepEqual(found.listeners, [outside]);
    assert.equal(found.publicAddress, 'sip.example.com:5060');
  });

  it('put the public address into URIs, else the first listener', () => {
    assert.equal(names.publicAddress, 'sip.example.net:5080');
    assert.equal(
      sipNames('a', undefined, [], [listener('[::1]:5060')]).publicAddress,
      '[::1]:5060',
    );
  });
});
