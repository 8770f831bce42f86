import { readPolicy, type Policy } from '../cluster/index.ts';
import { json, type AdminRequest, type Answer, type Route } from './route.ts';
import type { AuditLog } from './server.ts';
import { changeAnswer, objectOf, type ChangeOutcome, type StateVersion } from './state-change.ts';

/** What operators decided for all peers in place of their configurations. */
export interface PolicySource {
  readonly status: StateVersion;
  readonly policy: Policy;
  setPolicy(policy: Policy | undefined): Promise<ChangeOutcome>;
}

/** `GET`, `PUT` and `DELETE /policy`; `DELETE` goes back to what each configuration says. */
export function policyPages(source: PolicySource, audit: AuditLog): readonly Route[] {
  const path = '/policy';
  return [
    { method: 'GET', path, serve: () => json(200, { policy: source.policy }) },
    { method: 'PUT', path, serve: (request) => put(source, audit, request) },
    {
      method: 'DELETE',
      path,
      serve: async ({ by }) => {
        audit(`admin: policy taken away by ${by}`);
        return changeAnswer(await source.setPolicy(undefined), source.status);
      },
    },
  ];
}

async function put(source: PolicySource, audit: AuditLog, request: AdminRequest): Promise<Answer> {
  const given = objectOf(await request.body());
  const policy = readPolicy(given);
  if (policy === undefined || Object.keys(given ?? {}).some((name) => name !== 'algorithm')) {
    const error = 'expected {"algorithm": "consistent-hash" or "round-robin"} and nothing else';
    return json(400, { error });
  }
  audit(`admin: policy ${JSON.stringify(policy)} set by ${request.by}`);
  return changeAnswer(await source.setPolicy(policy), source.status, { policy });
}
