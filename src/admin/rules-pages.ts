import type { ClusterRules } from '../cluster/index.ts';
import { json, type AdminRequest, type Answer, type Route } from './route.ts';
import type { AuditLog } from './server.ts';
import { changeAnswer, type ChangeOutcome, type StateVersion } from './state-change.ts';
import type { RulesStatus } from './status.ts';

/** The rules that all peers share. */
export interface SharedRulesSource {
  readonly status: StateVersion;
  /** Undefined: each peer runs those of its configuration. */
  readonly rules: ClusterRules | undefined;
  /** Undefined takes them away again. */
  setRules(rules: ClusterRules | undefined): Promise<ChangeOutcome>;
}

/** The rules that this peer runs. */
export interface RunningRulesSource {
  status(): RulesStatus;
  /**
   * What is wrong with a text, a line each; nothing when it can be run.
   *
   * @param name only for messages
   */
  check(text: string, name: string): readonly string[];
}

/**
 * `GET /rules`; `PUT /rules` with an XML file as body, which all peers then run; `DELETE /rules`, after
 * which each runs those of its configuration. Rules that cannot be loaded here go nowhere.
 */
export function rulesPages(
  shared: SharedRulesSource,
  running: RunningRulesSource,
  audit: AuditLog,
): readonly Route[] {
  const path = '/rules';
  return [
    {
      method: 'GET',
      path,
      serve: () => json(200, { ...running.status(), text: shared.rules?.text ?? null }),
    },
    { method: 'PUT', path, serve: (request) => put(shared, running, audit, request) },
    {
      method: 'DELETE',
      path,
      serve: async ({ by }) => {
        audit(`admin: rules of the cluster taken away by ${by}`);
        const outcome = await shared.setRules(undefined);
        return changeAnswer(outcome, shared.status, { rules: running.status().digest });
      },
    },
  ];
}

async function put(
  shared: SharedRulesSource,
  running: RunningRulesSource,
  audit: AuditLog,
  request: AdminRequest,
): Promise<Answer> {
  const text = await request.body();
  const faults = running.check(text, fileName(request.query.get('file')));
  if (faults.length > 0) {
    audit(`admin: rules of ${request.by} refused, ${faults.length} faults`);
    const error = 'these rules cannot be loaded and were given to nobody';
    return json(422, { error, faults });
  }
  audit(`admin: rules of the cluster set by ${request.by}`);
  const outcome = await shared.setRules({ format: 'xml', text });
  return changeAnswer(outcome, shared.status, { rules: running.status().digest });
}

/** What the client calls its file, where that can be shown. */
function fileName(given: string | undefined): string {
  return given !== undefined && /^[\x20-\x7e]{1,255}$/u.test(given) ? given : 'rules';
}
