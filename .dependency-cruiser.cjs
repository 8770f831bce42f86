/** Who may import whom. The pure rooms stay pure; only `peer.ts` knows every room. See CONTRIBUTING. */
const pure = ['sip', 'http', 'dcr', 'ring', 'gossip', 'cluster'];
const ioRooms = [
  'accept',
  'sip',
  'http',
  'link',
  'memory',
  'gossip',
  'application',
  'discovery',
  'dns',
  'rules',
  'state',
  'sprayer',
];

/** What an io room imports beside pipeline and config: the pure rooms it adapts, and what accepts for it. */
const adapts = {
  accept: [],
  sip: ['sip', 'io/accept'],
  http: ['http', 'io/accept'],
  link: ['sip', 'http'],
  memory: [],
  gossip: ['gossip', 'io/accept'],
  application: ['sip', 'http'],
  discovery: ['gossip'],
  dns: ['dcr'],
  rules: ['dcr'],
  state: [],
  sprayer: [],
};

module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    ...pure.map((room) => ({
      name: `${room}-is-pure`,
      comment: `src/${room} imports nothing of the project but itself and config/defaults.ts`,
      severity: 'error',
      from: { path: `^src/${room}/` },
      to: { path: '^src/', pathNot: [`^src/${room}/`, '^src/config/defaults\\.ts$'] },
    })),
    {
      name: 'pure-rooms-touch-no-world',
      comment:
        'Pure rooms and the pipeline use no Node built-in but Buffer and node:crypto hashing.',
      severity: 'error',
      from: { path: `^src/(${[...pure, 'pipeline'].join('|')})/` },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(buffer|crypto)$' },
    },
    {
      name: 'pipeline-joins-only-pure-rooms',
      severity: 'error',
      from: { path: '^src/pipeline/' },
      to: {
        path: '^src/',
        pathNot: [`^src/(pipeline|${pure.join('|')})/`, '^src/config/defaults\\.ts$'],
      },
    },
    ...ioRooms.map((room) => ({
      name: `io-${room}-adapts-its-own-rooms`,
      comment: `io/${room} imports itself, the pipeline, configuration types and ${adapts[room].join(', ') || 'none'}`,
      severity: 'error',
      from: { path: `^src/io/${room}/` },
      to: {
        path: '^src/',
        pathNot: [
          `^src/io/${room}/`,
          '^src/pipeline/',
          '^src/config/',
          // What all of them share: the end of a turn of the event loop.
          '^src/io/turn\\.ts$',
          ...adapts[room].map((name) => `^src/${name}/`),
        ],
      },
    })),
    {
      name: 'config-stands-alone',
      severity: 'error',
      from: { path: '^src/config/' },
      to: { path: '^src/', pathNot: '^src/config/' },
    },
    {
      name: 'only-peer-knows-every-room',
      comment:
        'admin and cli talk to interfaces that peer.ts hands them; the tools of the command line may use dcr, pipeline and the sprayer.',
      severity: 'error',
      from: { path: '^src/admin/' },
      to: { path: '^src/(io|gossip|sip|http|dcr)/' },
    },
    {
      name: 'cli-uses-tools-not-rooms',
      severity: 'error',
      from: { path: '^src/cli/' },
      to: { path: '^src/(io|gossip)/', pathNot: '^src/io/(sprayer|dns|rules)/' },
    },
    {
      name: 'demo-uses-the-public-application-interface',
      severity: 'error',
      from: { path: '^src/demo/' },
      to: { path: '^src/', pathNot: ['^src/demo/', '^src/io/application/module\\.ts$'] },
    },
    {
      name: 'nothing-imports-the-composition-root',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(main|peer)\\.ts$|^src/cli/' },
      to: { path: '^src/peer\\.ts$' },
    },
    {
      name: 'only-peer-puts-its-sides-together',
      comment: 'the other peer-*.ts are parts of the composition root, split off for their size.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/peer\\.ts$' },
      to: { path: '^src/peer-' },
    },
    {
      name: 'no-development-dependency-at-run-time',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.json'],
      conditionNames: ['import', 'types', 'default'],
    },
  },
};
