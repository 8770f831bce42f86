import { pipelineLimits } from '../config/defaults.ts';
import { readUri, type Refusal } from '../sip/index.ts';
import { isOwn, type SipNames } from './arrival.ts';
import type { RewriteInput } from './rewrite.ts';
import type { InstanceStatus } from './view.ts';

/**
 * What the peer itself says to an OPTIONS that asks for nobody behind it: whether a sprayer should
 * send it more (RFC 3261 section 11.2). An application beside it is served as long as the peer runs.
 *
 * @param status of this peer; undefined while the cluster does not know it, or it wants no more
 * @returns undefined when the request is for somebody else
 */
export function answerOptions(
  { message, recognised, sender }: RewriteInput,
  names: SipNames,
  status: InstanceStatus | undefined,
): Refusal | undefined {
  if (message.method !== 'OPTIONS' || message.toTag !== undefined) return undefined;
  const { nextRoute, appendedRoute, requestUri, stamp } = recognised;
  if (nextRoute !== undefined || appendedRoute !== undefined || stamp !== undefined) {
    return undefined;
  }
  const text = requestUri ?? message.text.slice(message.uriStart, message.uriEnd);
  const uri = text.includes('@') ? undefined : readUri(text);
  if (uri === undefined || !isOwn(names, uri.hostPort)) return undefined;
  if (status === 'ready' || sender !== undefined)
    return { status: 200, reason: 'OK', cause: 'options' };
  return {
    status: 503,
    reason: 'Service Unavailable',
    cause: 'options-not-ready',
    headers: [['Retry-After', String(pipelineLimits.retryAfterSeconds)]],
  };
}
