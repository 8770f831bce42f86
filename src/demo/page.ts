import type { Participant } from './calls.ts';

/** What one visitor is shown of a conference; also the JSON answer. */
export interface ConferenceView {
  readonly conference: string;
  readonly instance: string;
  readonly participants: readonly Participant[];
  readonly visitors: number;
  /** The visitor's own session. */
  readonly you: string;
}

const style = `
:root { color-scheme: light dark; --line: #8884; --soft: #666; --accent: #0a7d6c; }
@media (prefers-color-scheme: dark) { :root { --soft: #a6a6a6; --accent: #4fd1bd; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
.instance { color: var(--accent); font-weight: 600; }
.soft { color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.25rem; margin: 1.5rem 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .45rem .75rem .45rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; vertical-align: top; }
th { color: var(--soft); font-weight: 500; }
time { white-space: nowrap; }
input, button { font: inherit; padding: .35rem .6rem; }
`;

/** The page of a conference; it loads itself again every five seconds. */
export function conferencePage(view: ConferenceView): string {
  const rows = view.participants.map(
    ({ from, callId, since }) =>
      `<tr><td>${escape(withoutTag(from))}</td><td>${escape(callId)}</td><td>${time(since)}</td></tr>`,
  );
  const participants =
    rows.length === 0
      ? '<p class="soft">No one has called yet.</p>'
      : `<table><thead><tr><th>From</th><th>Call-ID</th><th>Since</th></tr></thead>
<tbody>${rows.join('\n')}</tbody></table>`;
  return page(
    `Conference ${view.conference}`,
    '<meta http-equiv="refresh" content="5">',
    `<h1>Conference ${escape(view.conference)}</h1>
<p>Served by <span class="instance">${escape(view.instance)}</span></p>
<dl><dt>SIP participants here</dt><dd>${view.participants.length}</dd>
<dt>HTTP visitors here</dt><dd>${view.visitors}</dd>
<dt>You</dt><dd>${escape(view.you)}</dd></dl>
${participants}`,
  );
}

/** The start page. */
export function indexPage(instance: string): string {
  return page(
    'Sailring demo',
    '',
    `<h1>Sailring demo</h1>
<p>Served by <span class="instance">${escape(instance)}</span></p>
<form action="/conference"><label>Conference <input name="ConferenceName" value="42"></label>
<button>Enter</button></form>
<p class="soft">Call any user by SIP with header <code>ConferenceName: 42</code>, and you meet here.</p>`,
  );
}

/** A From as a reader wants it: who calls, not which dialog. */
function withoutTag(from: string): string {
  return from.replace(/;\s*tag=[^;>"]*$/i, '').trimEnd();
}

/** The time of day of an ISO 8601 time, which stays in the markup as a whole. */
function time(since: string): string {
  return `<time datetime="${escape(since)}">${escape(since.slice(11, 19))} UTC</time>`;
}

/** Makes text safe between tags and in quoted attributes. */
export function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function page(title: string, head: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">${head}
<style>${style}</style></head>
<body>${body}</body></html>
`;
}
