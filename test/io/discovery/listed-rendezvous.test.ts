import { rendezvousContract } from './contract.ts';
import { ListedRendezvous } from './listed-rendezvous.ts';

rendezvousContract('a list of the test', () => {
  const rendezvous = new ListedRendezvous();
  return Promise.resolve({
    create: () => rendezvous,
    list: (seeds) => {
      rendezvous.list(seeds);
      return Promise.resolve();
    },
  });
});
