/** Loaded before a peer's own code (`node --import`): SIGUSR2 keeps its main thread busy. */
const busyMs = 2_000;

process.on('SIGUSR2', () => {
  const endMs = performance.now() + busyMs;
  while (performance.now() < endMs);
});
