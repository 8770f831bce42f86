import type { Buffer } from 'node:buffer';
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import type { ChannelOptions, MethodDefinition } from '@grpc/grpc-js';
import type { LinkLimits } from './options.ts';

// Its faults come back as errors and statuses, which we log and count in our own words.
setLogVerbosity(logVerbosity.NONE);

/** Batches are bytes on both sides of gRPC: our own codec reads and writes them. */
function asItIs(batch: Buffer): Buffer {
  return batch;
}

/** `sailring.v1.Link.Relay` of link.proto. */
export const relayMethod: MethodDefinition<Buffer, Buffer> = {
  path: '/sailring.v1.Link/Relay',
  requestStream: true,
  responseStream: true,
  requestSerialize: asItIs,
  requestDeserialize: asItIs,
  responseSerialize: asItIs,
  responseDeserialize: asItIs,
};

function commonOptions(limits: LinkLimits): ChannelOptions {
  return {
    'grpc.max_receive_message_length': limits.messageBytesMax,
    'grpc.max_send_message_length': limits.messageBytesMax,
    'grpc.keepalive_time_ms': limits.keepaliveIntervalMs,
    'grpc.keepalive_timeout_ms': limits.keepaliveTimeoutMs,
    'grpc.enable_channelz': 0,
  };
}

export function serverOptions(limits: LinkLimits): ChannelOptions {
  // Two lanes; a third and fourth while a peer replaces its lanes.
  return { ...commonOptions(limits), 'grpc.max_concurrent_streams': 4 };
}

export function clientOptions(limits: LinkLimits, peer: string): ChannelOptions {
  return {
    ...commonOptions(limits),
    // Each attempt is a connection of its own, and this side alone decides when to try again.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    // A write is done when the connection has it, not when a buffer for retries does.
    'grpc.per_rpc_retry_buffer_size': 0,
    'grpc.enable_http_proxy': 0,
    // The server name of TLS: peers are known by name, wherever they listen.
    'grpc.ssl_target_name_override': peer,
    'grpc.service_config_disable_resolution': 1,
    'grpc-node.flow_control_window': limits.connectionWindowBytes,
  };
}
