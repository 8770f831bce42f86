import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  parseSipMessage,
  ServerTransactions,
  type ServerTransaction,
  type ServerTransactionsOptions,
  type SipMessage,
  type TransactionEffect,
} from '../../src/sip/index.ts';
import type { ResponseParts } from '../../src/sip/response.ts';

interface RequestParts {
  readonly method?: string;
  readonly branch?: string;
  readonly sentBy?: string;
  readonly viaRest?: string;
  readonly toTag?: string;
  readonly cseq?: number;
  readonly cseqMethod?: string;
  readonly callId?: string;
  readonly extra?: readonly string[];
}

function request(parts: RequestParts = {}): SipMessage {
  const { method = 'INVITE', branch = 'z9hG4bKa', sentBy = '192.0.2.1:5060' } = parts;
  const to = parts.toTag === undefined ? '' : `;tag=${parts.toTag}`;
  const text = [
    `${method} sip:42@example.com SIP/2.0`,
    `Via: SIP/2.0/UDP ${sentBy};branch=${branch}${parts.viaRest ?? ''}`,
    'Via: SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKclient;rport=5070',
    'From: "Ann" <sip:ann@example.com>;tag=from-tag',
    `To: <sip:42@example.com>${to}`,
    `Call-ID: ${parts.callId ?? 'call@example.com'}`,
    `CSeq: ${parts.cseq ?? 1} ${parts.cseqMethod ?? method}`,
    ...(parts.extra ?? []),
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
  const parsed = parseSipMessage(Buffer.from(text));
  assert.ok(parsed.ok);
  return parsed.message;
}

function response(bytes: Buffer): SipMessage {
  const parsed = parseSipMessage(bytes);
  assert.ok(parsed.ok);
  return parsed.message;
}

/** The table on virtual time: `advance` serves every wake that the table asked for on the way. */
class Bench {
  now = 1_000;
  readonly table: ServerTransactions;
  readonly sent: { at: number; status: number; message: SipMessage }[] = [];
  readonly delivered: { message: SipMessage; transaction: ServerTransaction | undefined }[] = [];
  readonly events: string[] = [];
  #wakeAt = Infinity;
  #tags = 0;

  constructor(options: Partial<ServerTransactionsOptions> = {}) {
    this.table = new ServerTransactions({ newTag: () => `tag${++this.#tags}`, ...options });
  }

  get last(): ServerTransaction {
    const transaction = this.delivered.findLast((one) => one.transaction)?.transaction;
    assert.ok(transaction);
    return transaction;
  }

  /** Statuses sent since the last call, with their time since the bench began. */
  take(): string[] {
    return this.sent.splice(0).map(({ at, status }) => `${at - 1_000}:${status}`);
  }

  takeEvents(): string[] {
    return this.events.splice(0);
  }

  receive(message: SipMessage, isReliable = false): void {
    this.#do(this.table.handle({ kind: 'request', message, isReliable }, this.now));
  }

  respond(status: number, parts: Partial<ResponseParts> = {}, transaction = this.last): void {
    const input = { kind: 'respond', transaction, response: { status, ...parts } } as const;
    this.#do(this.table.handle(input, this.now));
  }

  advance(ms: number): void {
    const end = this.now + ms;
    while (this.#wakeAt <= end) {
      this.now = Math.max(this.now, this.#wakeAt);
      this.#wakeAt = Infinity;
      this.#do(this.table.handle({ kind: 'wake' }, this.now));
    }
    this.now = end;
  }

  #do(effects: readonly TransactionEffect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'send': {
          const message = response(effect.bytes);
          this.sent.push({ at: this.now, status: message.status, message });
          break;
        }
        case 'deliver':
          this.delivered.push(effect);
          this.events.push(`deliver ${effect.message.method}`);
          break;
        case 'terminated':
          this.events.push(effect.isAcknowledged ? 'terminated' : 'terminated unacknowledged');
          break;
        case 'withheld':
          this.events.push(effect.reason);
          break;
        case 'wake':
          assert.ok(effect.at < this.#wakeAt, 'a wake is asked for only when it is earlier');
          this.#wakeAt = effect.at;
          break;
        case 'cancelled':
        case 'expired':
          this.events.push(effect.kind);
          break;
      }
    }
  }
}

function invited(status?: number, options: Partial<ServerTransactionsOptions> = {}): Bench {
  const bench = new Bench(options);
  bench.receive(request());
  if (status !== undefined) {
    bench.respond(status);
  }
  bench.takeEvents();
  return bench;
}

describe('an INVITE without answer', () => {
  it('gets 100 after 200 ms, with the Timestamp and without a To tag', () => {
    const bench = new Bench();
    bench.receive(request({ extra: ['Timestamp: 54.1'] }));
    bench.advance(199);
    assert.deepEqual(bench.take(), []);
    bench.advance(1);
    const { message, at } = bench.sent[0]!;
    assert.equal(at, 1_200);
    assert.equal(message.status, 100);
    assert.equal(message.toTag, undefined);
    assert.equal(message.header('Timestamp'), '54.1');
  });

  it('gets no 100 when the application was faster', () => {
    const bench = invited(180);
    bench.advance(60_000);
    assert.deepEqual(bench.take(), ['0:180']);
  });

  it('is answered 408 when its time is over, and the application is told', () => {
    const bench = invited(180);
    bench.take();
    bench.advance(600_000);
    assert.deepEqual(bench.take(), ['600000:408']);
    assert.deepEqual(bench.takeEvents(), ['expired']);
    bench.receive(request({ method: 'ACK', toTag: 'tag1' }));
    bench.advance(5_000);
    assert.deepEqual(bench.takeEvents(), ['ack-absorbed', 'terminated']);
    assert.equal(bench.table.size, 0);
  });
});

describe('a copy of an INVITE', () => {
  it('is not shown to the application and gets the last provisional answer again', () => {
    const bench = invited();
    bench.receive(request());
    assert.deepEqual(bench.take(), []);
    bench.respond(180);
    bench.respond(183);
    bench.advance(100);
    bench.receive(request());
    assert.deepEqual(bench.take(), ['0:180', '0:183', '100:183']);
    assert.deepEqual(bench.takeEvents(), ['retransmission', 'retransmission']);
  });

  it('gets the final answer again until its ACK came', () => {
    for (const status of [200, 486]) {
      const bench = invited(status);
      bench.advance(100);
      bench.receive(request());
      assert.deepEqual(bench.take(), [`0:${status}`, `100:${status}`]);
      bench.receive(request({ method: 'ACK', toTag: 'tag1' }));
      bench.receive(request());
      assert.deepEqual(bench.take(), []);
    }
  });

  it('moves the answer to its own Via, since it may have entered at another peer', () => {
    const bench = invited(486);
    bench.receive(request({ viaRest: ';peer=b' }));
    bench.advance(500);
    const vias = bench.sent.map(({ message }) => message.headers('Via')[0]);
    assert.equal(vias[0], 'SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa');
    assert.equal(vias[1], 'SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;peer=b');
    assert.equal(vias[2], vias[1], 'timer G follows the copy too');
    assert.equal(bench.sent[2]!.message.toTag, bench.sent[0]!.message.toTag);
  });

  it('moves the answer that is still to come', () => {
    const bench = invited();
    bench.receive(request({ viaRest: ';peer=b' }));
    bench.respond(486);
    assert.match(bench.sent[0]!.message.headers('Via')[0]!, /;peer=b$/);
  });

  it('differs from another request by branch, sent-by or method', () => {
    const bench = invited();
    bench.receive(request({ branch: 'z9hG4bKb', toTag: 'in-dialog' }));
    bench.receive(request({ sentBy: '192.0.2.2:5060', toTag: 'in-dialog' }));
    bench.receive(request({ method: 'OPTIONS' }));
    bench.receive(request({ sentBy: '192.0.2.1:5060', branch: 'z9hG4bKa' }));
    assert.deepEqual(bench.takeEvents(), [
      'deliver INVITE',
      'deliver INVITE',
      'deliver OPTIONS',
      'retransmission',
    ]);
  });
});

describe('a refused INVITE', () => {
  it('is answered again by timer G, doubling up to T2, until timer H', () => {
    const bench = invited(486);
    bench.advance(40_000);
    assert.deepEqual(bench.take(), [
      '0:486',
      '500:486',
      '1500:486',
      '3500:486',
      '7500:486',
      '11500:486',
      '15500:486',
      '19500:486',
      '23500:486',
      '27500:486',
      '31500:486',
    ]);
    assert.deepEqual(bench.takeEvents(), ['terminated unacknowledged']);
    assert.equal(bench.table.size, 0);
  });

  it('ends timer I after its ACK, and absorbs every ACK', () => {
    const bench = invited(486);
    bench.advance(600);
    bench.take();
    bench.receive(request({ method: 'ACK', toTag: 'tag1' }));
    bench.advance(4_990);
    assert.equal(bench.table.size, 1);
    bench.receive(request({ method: 'ACK', toTag: 'tag1' }));
    bench.advance(10);
    assert.deepEqual(bench.takeEvents(), ['ack-absorbed', 'ack-absorbed', 'terminated']);
    assert.deepEqual(bench.take(), []);
    assert.equal(bench.table.size, 0);
  });

  it('over a reliable transport is not answered again, and ends with its ACK', () => {
    const bench = new Bench();
    bench.receive(request(), true);
    bench.respond(404);
    bench.advance(10_000);
    bench.receive(request({ method: 'ACK', toTag: 'tag1' }), true);
    bench.advance(10);
    assert.deepEqual(bench.take(), ['0:404']);
    assert.equal(bench.table.size, 0);
  });
});

describe('an accepted INVITE', () => {
  it('repeats its 2xx until timer L when no ACK comes, over any transport', () => {
    for (const isReliable of [false, true]) {
      const bench = new Bench();
      bench.receive(request(), isReliable);
      bench.respond(200);
      bench.advance(32_000);
      const sent = bench.take();
      assert.equal(sent.length, 11);
      assert.deepEqual(sent.slice(0, 5), ['0:200', '500:200', '1500:200', '3500:200', '7500:200']);
      assert.deepEqual(bench.takeEvents().slice(1), ['terminated unacknowledged']);
    }
  });

  it('gives the ACK once to the application, by dialog, and stops repeating', () => {
    const bench = invited(200);
    bench.advance(700);
    assert.deepEqual(bench.take(), ['0:200', '500:200']);
    const ack = { method: 'ACK', branch: 'z9hG4bKack', toTag: 'tag1' };
    bench.receive(request(ack));
    bench.receive(request({ ...ack, branch: 'z9hG4bKack2' }));
    bench.advance(31_000);
    assert.deepEqual(bench.take(), []);
    assert.equal(bench.table.size, 1, 'Accepted lasts 64*T1 though the ACK came');
    bench.advance(300);
    assert.deepEqual(bench.takeEvents(), ['deliver ACK', 'ack-absorbed', 'terminated']);
    assert.equal(bench.table.size, 0);
  });

  it('is not acknowledged by an ACK of another dialog or CSeq', () => {
    const bench = invited(200);
    bench.take();
    for (const other of [{ toTag: 'other' }, { toTag: 'tag1', cseq: 2 }, { callId: 'other' }]) {
      bench.receive(request({ method: 'ACK', branch: 'z9hG4bKack', toTag: 'tag1', ...other }));
    }
    bench.advance(500);
    assert.deepEqual(bench.take(), ['500:200']);
    assert.deepEqual(bench.takeEvents(), ['deliver ACK', 'deliver ACK', 'deliver ACK']);
  });

  it('takes an ACK that repeats the branch of the INVITE', () => {
    const bench = invited(200);
    bench.receive(request({ method: 'ACK', toTag: 'tag1' }));
    bench.advance(10_000);
    assert.deepEqual(bench.take(), ['0:200']);
    assert.deepEqual(bench.takeEvents(), ['deliver ACK']);
  });

  it('refuses a second final answer', () => {
    const bench = invited(200);
    assert.throws(() => {
      bench.respond(486);
    }, /final response/);
    assert.deepEqual(bench.take(), ['0:200']);
  });
});

describe('a request that is no INVITE', () => {
  it('is shown once and answered alike for 64*T1 (timer J)', () => {
    const bench = new Bench();
    bench.receive(request({ method: 'BYE', toTag: 'x' }));
    bench.receive(request({ method: 'BYE', toTag: 'x' }));
    bench.respond(200);
    bench.advance(31_990);
    bench.receive(request({ method: 'BYE', toTag: 'x' }));
    bench.advance(10);
    assert.deepEqual(bench.take(), ['0:200', '31990:200']);
    assert.equal(bench.table.size, 0);
    assert.deepEqual(bench.takeEvents(), [
      'deliver BYE',
      'retransmission',
      'retransmission',
      'terminated',
    ]);
  });

  it('ends silently when the application never answers', () => {
    const bench = new Bench();
    bench.receive(request({ method: 'INFO' }));
    bench.advance(32_000);
    assert.deepEqual(bench.take(), []);
    assert.deepEqual(bench.takeEvents(), ['deliver INFO', 'expired', 'terminated']);
    assert.throws(() => {
      bench.respond(200);
    }, /final response/);
  });

  it('over a reliable transport ends with its answer', () => {
    const bench = new Bench();
    bench.receive(request({ method: 'OPTIONS' }), true);
    bench.respond(200);
    bench.advance(10);
    assert.equal(bench.table.size, 0);
  });
});

describe('a CANCEL', () => {
  const cancel = request({ method: 'CANCEL' });

  it('before any provisional answer is answered 200, and the INVITE is the application’s', () => {
    const bench = invited();
    bench.receive(cancel);
    assert.deepEqual(bench.take(), ['0:200']);
    assert.deepEqual(bench.takeEvents(), ['cancelled']);
    bench.respond(487);
    assert.deepEqual(bench.take(), ['0:487']);
  });

  it('has the To tag of the INVITE’s answers', () => {
    const bench = invited();
    bench.respond(180, { toTag: 'mine' });
    bench.receive(cancel);
    assert.deepEqual(
      bench.sent.map(({ message }) => message.toTag),
      ['mine', 'mine'],
    );
    assert.equal(bench.sent[1]!.message.cseqMethod, 'CANCEL');
  });

  it('after the final answer changes nothing', () => {
    const bench = invited(200);
    bench.receive(cancel);
    assert.deepEqual(bench.take(), ['0:200', '0:200']);
    assert.deepEqual(bench.takeEvents(), []);
    bench.receive(request({ method: 'ACK', branch: 'z9hG4bKack', toTag: 'tag1' }));
    assert.deepEqual(bench.takeEvents(), ['deliver ACK']);
  });

  it('sent again is answered again and cancels once', () => {
    const bench = invited(180);
    bench.receive(cancel);
    bench.receive(cancel);
    assert.deepEqual(bench.take(), ['0:180', '0:200', '0:200']);
    assert.deepEqual(bench.takeEvents(), ['cancelled', 'retransmission']);
  });

  it('without INVITE is answered 481', () => {
    const bench = new Bench();
    bench.receive(cancel);
    bench.receive(cancel);
    assert.deepEqual(bench.take(), ['0:481', '0:481']);
    assert.deepEqual(bench.takeEvents(), ['cancel-unknown', 'retransmission']);
    assert.ok(bench.table.size === 1);
  });
});

describe('a client of RFC 2543, whose branch has no magic cookie', () => {
  const old = { branch: '1' };

  it('is matched by Call-ID, From tag, CSeq and Request-URI', () => {
    const bench = new Bench();
    bench.receive(request(old));
    bench.receive(request(old));
    bench.receive(request({ ...old, cseq: 2 }));
    bench.receive(request({ ...old, callId: 'other' }));
    assert.deepEqual(bench.takeEvents(), [
      'deliver INVITE',
      'retransmission',
      'deliver INVITE',
      'deliver INVITE',
    ]);
  });

  it('acknowledges only with the tag that it was given', () => {
    const bench = new Bench();
    bench.receive(request(old));
    bench.respond(486);
    bench.takeEvents();
    bench.receive(request({ ...old, method: 'ACK', cseqMethod: 'ACK', toTag: 'other' }));
    bench.receive(request({ ...old, method: 'ACK', toTag: 'tag1' }));
    assert.deepEqual(bench.takeEvents(), ['deliver ACK', 'ack-absorbed']);
  });

  it('cancels its INVITE', () => {
    const bench = new Bench();
    bench.receive(request(old));
    bench.receive(request({ ...old, method: 'CANCEL' }));
    assert.deepEqual(bench.takeEvents(), ['deliver INVITE', 'cancelled']);
  });
});

describe('the table', () => {
  it('answers 503 above its limit and keeps serving what it has', () => {
    const bench = new Bench({ transactionsMax: 1, headers: [['X-Served-By', 'a']] });
    bench.receive(request());
    bench.receive(request({ branch: 'z9hG4bKb' }));
    bench.receive(request());
    assert.deepEqual(bench.take(), ['0:503']);
    assert.deepEqual(bench.takeEvents(), ['deliver INVITE', 'transaction-limit', 'retransmission']);
    bench.receive(request({ branch: 'z9hG4bKc' }));
    assert.equal(bench.sent[0]!.message.header('Retry-After'), '5');
    assert.equal(bench.sent[0]!.message.header('X-Served-By'), 'a');
  });

  it('withholds what cannot be matched or answered', () => {
    const bench = new Bench();
    const text = 'OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n';
    bench.receive(response(Buffer.from(text)));
    bench.receive(response(Buffer.from('OPTIONS sip:a@b SIP/2.0\r\nCall-ID: 1\r\n\r\n')));
    assert.deepEqual(bench.takeEvents(), ['unanswerable', 'unanswerable']);
    assert.equal(bench.table.size, 0);
  });

  it('leaves a transaction open when its answer cannot be written', () => {
    const bench = invited();
    assert.throws(() => {
      bench.respond(200, { headers: [['X-Bad', 'a\r\nb']] });
    }, TypeError);
    bench.respond(486);
    assert.deepEqual(bench.take(), ['0:486']);
  });

  it('refuses a handle that is not its own', () => {
    const bench = new Bench();
    assert.throws(() => {
      bench.respond(200, {}, { isUnanswered: true });
    }, /not of this table/);
  });

  it('stays bounded, never throws for what clients send, and forgets everything in time', () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('receive' as const),
        method: fc.constantFrom('INVITE', 'ACK', 'CANCEL', 'BYE', 'PRACK', 'FOO'),
        branch: fc.constantFrom('z9hG4bK1', 'z9hG4bK2', 'z9hG4bK3', 'old'),
        toTag: fc.constantFrom(undefined, 'tag1', 'tag2', 'x'),
        cseq: fc.constantFrom(1, 2),
        isReliable: fc.boolean(),
      }),
      fc.record({
        kind: fc.constant('respond' as const),
        status: fc.constantFrom(100, 180, 200, 302, 486, 603),
        which: fc.nat(20),
      }),
      fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(20_000) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const bench = new Bench({ transactionsMax: 6 });
        for (const one of steps) {
          if (one.kind === 'advance') {
            bench.advance(one.ms);
          } else if (one.kind === 'receive') {
            const { toTag, isReliable, ...parts } = one;
            bench.receive(request(toTag === undefined ? parts : { ...parts, toTag }), isReliable);
          } else {
            const open = bench.delivered.flatMap(({ transaction }) =>
              transaction?.isUnanswered ? [transaction] : [],
            );
            if (open.length > 0) {
              bench.respond(one.status, {}, open[one.which % open.length]);
            }
          }
          assert.ok(bench.table.size <= 6);
        }
        bench.advance(600_000 + 64_000);
        assert.equal(bench.table.size, 0);
      }),
      { numRuns: 200 },
    );
  });
});

describe('a merged request', () => {
  it('that came another way is answered 482 and shown once', () => {
    const bench = new Bench();
    bench.receive(request());
    bench.receive(request({ branch: 'z9hG4bKb' }));
    assert.deepEqual(bench.take(), ['0:482']);
    assert.deepEqual(bench.takeEvents(), ['deliver INVITE', 'merged-request']);
    bench.respond(180);
    assert.deepEqual(bench.take(), ['0:180']);
  });

  it('has a transaction of its own, which absorbs copies, CANCEL and ACK', () => {
    const bench = invited();
    bench.receive(request({ branch: 'z9hG4bKb' }));
    bench.receive(request({ branch: 'z9hG4bKb' }));
    assert.deepEqual(bench.take(), ['0:482', '0:482']);
    bench.receive(request({ method: 'CANCEL', branch: 'z9hG4bKb' }));
    bench.receive(request({ method: 'ACK', branch: 'z9hG4bKb', toTag: 'tag2' }));
    assert.deepEqual(bench.takeEvents(), ['merged-request', 'retransmission', 'ack-absorbed']);
    bench.respond(200);
  });

  it('is no retransmission, no other CSeq, dialog, method or Call-ID', () => {
    const bench = new Bench();
    bench.receive(request());
    bench.receive(request());
    bench.receive(request({ branch: 'z9hG4bKb', cseq: 2 }));
    bench.receive(request({ branch: 'z9hG4bKc', toTag: 'x' }));
    bench.receive(request({ branch: 'z9hG4bKd', callId: 'other' }));
    bench.receive(request({ branch: 'z9hG4bKe', method: 'OPTIONS' }));
    assert.deepEqual(bench.takeEvents(), [
      'deliver INVITE',
      'retransmission',
      'deliver INVITE',
      'deliver INVITE',
      'deliver INVITE',
      'deliver OPTIONS',
    ]);
    assert.deepEqual(bench.take(), []);
  });

  it('is one of any method but ACK and CANCEL', () => {
    const bench = new Bench();
    for (const branch of ['z9hG4bKa', 'z9hG4bKb']) {
      bench.receive(request({ method: 'SUBSCRIBE', branch }));
      bench.receive(request({ method: 'CANCEL', branch, cseq: 5 }));
      bench.receive(request({ method: 'ACK', branch, cseq: 6 }));
    }
    assert.deepEqual(bench.takeEvents(), [
      'deliver SUBSCRIBE',
      'cancel-unknown',
      'deliver ACK',
      'merged-request',
      'cancel-unknown',
      'deliver ACK',
    ]);
  });

  it('is a new one once the first is over', () => {
    const bench = new Bench();
    bench.receive(request({ method: 'OPTIONS' }), true);
    bench.respond(200);
    bench.advance(10);
    bench.receive(request({ method: 'OPTIONS', branch: 'z9hG4bKb' }));
    assert.deepEqual(bench.takeEvents(), ['deliver OPTIONS', 'terminated', 'deliver OPTIONS']);
  });

  it('of a client without tags is not looked for', () => {
    const bench = new Bench();
    for (const branch of ['z9hG4bKa', 'z9hG4bKb']) {
      const text = request({ branch }).bytes.toString().replace(';tag=from-tag', '');
      bench.receive(response(Buffer.from(text)));
    }
    assert.deepEqual(bench.takeEvents(), ['deliver INVITE', 'deliver INVITE']);
  });
});

describe('a branch that is the magic cookie alone', () => {
  it('tells no transactions apart (RFC 4475 section 3.2.1)', () => {
    const bench = new Bench();
    bench.receive(request({ branch: 'z9hG4bK' }));
    bench.receive(request({ branch: 'z9hG4bK', callId: 'other' }));
    bench.receive(request({ branch: 'z9hG4bK' }));
    assert.deepEqual(bench.takeEvents(), ['deliver INVITE', 'deliver INVITE', 'retransmission']);
  });
});
