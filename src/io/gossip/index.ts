export { GossipAgent, type GossipAgentOptions } from './agent.ts';
