/**
 * Measures a peer beside others. Usage: npm run bench -- sip|http|membership [ROUNDS] [options]
 * See docs/benchmarks.md.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { httpShape, httpSubjects, httpVersions } from './http.ts';
import { measureMembership, membershipReport } from './membership.ts';
import { machineLine, report } from './report.ts';
import { runRounds } from './rounds.ts';
import { sipShape, sipSubjects, sipVersions } from './sip.ts';

const usage = `Usage: npm run bench -- sip|http [ROUNDS] [--only TEXT] [--seconds N] [--window N] [--markdown]
       npm run bench -- membership [ROUNDS] [--seconds N] [--markdown]
  ROUNDS       rounds, each with every subject in turn; 5. Crashes, and leaves; 20
  --only TEXT  only subjects whose name contains TEXT (may be given again)
  --seconds N  length of one run after its warm-up; 3. Of processor time of idle peers; 30
  --window N   SIP dialogs, or HTTP connections, open at a time; 48
  --markdown   a line on machine and versions above the tables`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', multiple: true, default: [] },
    seconds: { type: 'string' },
    window: { type: 'string', default: '48' },
    markdown: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const [what, roundsText] = positionals;
const isMembership = what === 'membership';
const rounds = Number(roundsText ?? (isMembership ? 20 : 5));
const seconds = Number(values.seconds ?? (isMembership ? 30 : 3));
const window = Number(values.window);
const isUsable = rounds >= 1 && seconds > 0 && window >= 1 && Number.isInteger(rounds * window);
if (values.help || !isUsable || (what !== 'sip' && what !== 'http' && !isMembership)) {
  console.error(usage);
  process.exit(values.help ? 0 : 2);
}
const progress = (line: string): void => {
  console.error(line);
};
if (isMembership) {
  const figures = await measureMembership(rounds, seconds, progress);
  if (values.markdown) console.log(`${machineLine([])}\n`);
  console.log(membershipReport(figures));
  process.exit(0);
}

// HTTP peers have more code to warm, and two of them share a core.
const load = { warmupMs: what === 'http' ? 4_000 : 2_000, measureMs: seconds * 1_000, window };
const [all, shape, versions] =
  what === 'sip'
    ? [sipSubjects(load), sipShape, sipVersions()]
    : [httpSubjects(load), httpShape, httpVersions()];
const subjects = all.filter(
  (subject) => values.only.length === 0 || values.only.some((text) => subject.name.includes(text)),
);
const results = await runRounds(subjects, rounds, progress);
const folder = join(import.meta.dirname, 'results');
mkdirSync(folder, { recursive: true });
writeFileSync(
  join(folder, `${what}.json`),
  `${JSON.stringify({ versions, rounds: results.map((round) => Object.fromEntries(round)) }, null, 1)}\n`,
);
if (values.markdown) console.log(`${machineLine(versions)}\n`);
console.log(report(subjects, results, shape));
