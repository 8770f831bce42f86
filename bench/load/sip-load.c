// Plays whole SIP dialogs over UDP through the program under test, caller and callee in one thread:
// INVITE, 200, ACK, BYE, 200. Counts the packets that came through in either direction.
//
// Closed loop: a fixed number of dialogs is open at a time, a new one starts when one ends, so the
// program under test sets the pace.
//
// Prints "measure" when the warm-up is over and one line of JSON at the end, both on stdout.
//
// gcc -O2 -Wall -Wextra -o sip-load sip-load.c
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  BATCH = 64,
  PACKET_BYTES = 4096,
  SINKS_MAX = 8,
  WINDOW_MAX = 4096,
  IDS_MAX = 1 << 20,
  ID_TEXT_BYTES = 64,
  ROUTES_MAX = 8,
  LOST_AFTER_MS = 1000,
};

static const char sdp[] =
    "v=0\r\no=bench 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 6000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n";

// What the caller knows of one dialog identifier. `pass` makes a dialog new when the list of
// identifiers has been used up: it moves the CSeq number and the branch.
struct identity {
  char callId[ID_TEXT_BYTES];
  char fromTag[ID_TEXT_BYTES];
  uint32_t pass;
  int32_t slot;
};

enum phase { IDLE, INVITED, LEAVING };

struct dialog {
  enum phase phase;
  uint32_t id;
  double sentAt;
};

// One socket with what waits to be sent on it and room to receive a batch.
struct port {
  int fd;
  int number;
  int queued;
  struct mmsghdr out[BATCH], in[BATCH];
  struct iovec outBytes[BATCH], inBytes[BATCH];
  struct sockaddr_in to[BATCH], from[BATCH];
  char outText[BATCH][PACKET_BYTES], inText[BATCH][PACKET_BYTES];
};

static struct identity *identities;
static uint32_t identityCount, nextIdentity;
static struct dialog dialogs[WINDOW_MAX];
static int window = 48, targetPort = 5060;
static struct port client, sinks[SINKS_MAX];
static int sinkCount;
static struct sockaddr_in target;
static double clockNow;
static uint64_t packets, dialogsDone, dialogsLost, answersBad, packetsStale, sinkPackets[SINKS_MAX];

static double secondsNow(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fail(const char *what) {
  fprintf(stderr, "sip-load: %s\n", what);
  exit(2);
}

static void openPort(struct port *port, int number) {
  int bytes = 4 << 20;
  port->number = number;
  port->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  // The forced size needs a privilege; without it the system's maximum serves.
  if (setsockopt(port->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
    setsockopt(port->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(port->fd, (struct sockaddr *)&address, sizeof address) != 0) {
    fprintf(stderr, "sip-load: port %d: %s\n", number, strerror(errno));
    exit(2);
  }
  for (int at = 0; at < BATCH; at++) {
    port->outBytes[at].iov_base = port->outText[at];
    port->out[at].msg_hdr = (struct msghdr){.msg_iov = &port->outBytes[at],
                                            .msg_iovlen = 1,
                                            .msg_name = &port->to[at],
                                            .msg_namelen = sizeof port->to[at]};
    port->inBytes[at] = (struct iovec){.iov_base = port->inText[at], .iov_len = PACKET_BYTES - 1};
    port->in[at].msg_hdr = (struct msghdr){.msg_iov = &port->inBytes[at],
                                           .msg_iovlen = 1,
                                           .msg_name = &port->from[at],
                                           .msg_namelen = sizeof port->from[at]};
  }
}

static void flush(struct port *port) {
  int sent = 0;
  while (sent < port->queued) {
    int now = sendmmsg(port->fd, port->out + sent, (unsigned)(port->queued - sent), 0);
    if (now <= 0) break; // lost like any datagram; the dialog times out
    sent += now;
  }
  port->queued = 0;
}

static int receive(struct port *port) {
  for (int at = 0; at < BATCH; at++) port->in[at].msg_hdr.msg_namelen = sizeof port->from[at];
  int count = recvmmsg(port->fd, port->in, BATCH, MSG_DONTWAIT, NULL);
  for (int at = 0; at < count; at++) port->inText[at][port->in[at].msg_len] = '\0';
  return count < 0 ? 0 : count;
}

// Text under construction in the next free place of a port's queue.
struct writer {
  struct port *port;
  char *at, *end;
};

static struct writer startPacket(struct port *port, const struct sockaddr_in *to) {
  if (port->queued == BATCH) flush(port);
  port->to[port->queued] = *to;
  char *text = port->outText[port->queued];
  return (struct writer){.port = port, .at = text, .end = text + PACKET_BYTES};
}

static void put(struct writer *writer, const char *text, size_t length) {
  if (length > (size_t)(writer->end - writer->at)) fail("a packet does not fit its buffer");
  memcpy(writer->at, text, length);
  writer->at += length;
}

static void putText(struct writer *writer, const char *text) { put(writer, text, strlen(text)); }

static void putNumber(struct writer *writer, uint32_t number) {
  char digits[10];
  int at = sizeof digits;
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  put(writer, digits + at, sizeof digits - (size_t)at);
}

static void endPacket(struct writer *writer) {
  struct port *port = writer->port;
  port->outBytes[port->queued].iov_len = (size_t)(writer->at - port->outText[port->queued]);
  port->queued++;
}

static uint32_t inviteSequence(const struct identity *identity) { return identity->pass * 2 + 1; }

// Request line to CSeq; the caller adds what is left. `uri` has no angle brackets.
static void putRequestHead(struct writer *writer, const char *method, const char *uri,
                           size_t uriLength, const struct identity *identity, uint32_t sequence,
                           const char *toTag) {
  static char via[64], from[128], to[128];
  if (via[0] == '\0') {
    snprintf(via, sizeof via, " SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK-",
             client.number);
    snprintf(from, sizeof from,
             "\r\nMax-Forwards: 70\r\nFrom: caller <sip:caller@127.0.0.1:%d>;tag=", client.number);
    snprintf(to, sizeof to, "\r\nTo: service <sip:service@127.0.0.1:%d>", targetPort);
  }
  putText(writer, method);
  put(writer, " ", 1);
  put(writer, uri, uriLength);
  putText(writer, via);
  put(writer, identity->callId, 8);
  put(writer, "-", 1);
  putText(writer, method);
  putNumber(writer, sequence);
  putText(writer, from);
  putText(writer, identity->fromTag);
  putText(writer, to);
  putText(writer, toTag);
  putText(writer, "\r\nCall-ID: ");
  putText(writer, identity->callId);
  putText(writer, "\r\nCSeq: ");
  putNumber(writer, sequence);
  put(writer, " ", 1);
  putText(writer, method);
  put(writer, "\r\n", 2);
}

static void sendInvite(const struct identity *identity) {
  static char uri[64], rest[512];
  if (rest[0] == '\0') {
    snprintf(uri, sizeof uri, "sip:service@127.0.0.1:%d", targetPort);
    snprintf(rest, sizeof rest,
             "Contact: <sip:caller@127.0.0.1:%d>\r\nSubject: Measurement\r\n"
             "Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
             client.number, (int)sizeof sdp - 1, sdp);
  }
  struct writer writer = startPacket(&client, &target);
  putRequestHead(&writer, "INVITE", uri, strlen(uri), identity, inviteSequence(identity), "");
  putText(&writer, rest);
  endPacket(&writer);
}

// First occurrence of a header line's value. `name` starts with a line feed and ends with ": ".
static const char *findHeader(const char *text, const char *name, size_t *length) {
  const char *found = strstr(text, name);
  if (found == NULL) return NULL;
  found += strlen(name);
  const char *end = strstr(found, "\r\n");
  if (end == NULL) return NULL;
  *length = (size_t)(end - found);
  return found;
}

static void sendInDialog(const char *method, const struct identity *identity, uint32_t sequence,
                         const char *answer) {
  size_t contactLength = 0, lengths[ROUTES_MAX];
  const char *contact = findHeader(answer, "\nContact: ", &contactLength), *routes[ROUTES_MAX];
  if (contact == NULL || contactLength < 3) fail("an answer without Contact");
  int routeCount = 0;
  for (const char *rest = answer; routeCount < ROUTES_MAX; routeCount++) {
    routes[routeCount] = findHeader(rest, "\nRecord-Route: ", &lengths[routeCount]);
    if (routes[routeCount] == NULL) break;
    rest = routes[routeCount] + lengths[routeCount];
  }
  struct writer writer = startPacket(&client, &target);
  // The value is <uri>; RFC 3261 section 12.1.2 reverses the route set for the caller.
  putRequestHead(&writer, method, contact + 1, contactLength - 2, identity, sequence, ";tag=callee");
  while (routeCount-- > 0) {
    putText(&writer, "Route: ");
    put(&writer, routes[routeCount], lengths[routeCount]);
    put(&writer, "\r\n", 2);
  }
  putText(&writer, "Content-Length: 0\r\n\r\n");
  endPacket(&writer);
}

static void startDialog(int slot) {
  struct identity *identity = &identities[nextIdentity];
  if (identity->slot >= 0) fail("more dialogs are open than there are identifiers");
  dialogs[slot] = (struct dialog){.phase = INVITED, .id = nextIdentity, .sentAt = clockNow};
  identity->slot = slot;
  sendInvite(identity);
  nextIdentity = (nextIdentity + 1) % identityCount;
}

static void endDialog(int slot) {
  struct identity *identity = &identities[dialogs[slot].id];
  identity->slot = -1;
  identity->pass++;
  dialogs[slot].phase = IDLE;
}

// Returns the slot whose dialog ended, or -1.
static int onAnswer(const char *text) {
  static int shown;
  size_t length = 0;
  const char *callId = findHeader(text, "\nCall-ID: ", &length);
  const char *cseq = findHeader(text, "\nCSeq: ", &length);
  uint32_t id = callId == NULL ? identityCount : (uint32_t)strtoul(callId, NULL, 16);
  if (cseq == NULL || id >= identityCount || identities[id].slot < 0) {
    packetsStale++;
    return -1;
  }
  struct identity *identity = &identities[id];
  int slot = identity->slot;
  struct dialog *dialog = &dialogs[slot];
  uint32_t sequence = (uint32_t)strtoul(cseq, NULL, 10);
  bool isInvite = dialog->phase == INVITED;
  if (sequence != inviteSequence(identity) + (isInvite ? 0 : 1)) {
    packetsStale++;
    return -1;
  }
  packets++;
  if (text[8] == '1') return -1;
  if (text[8] != '2') {
    answersBad++;
    if (shown++ < 3) fprintf(stderr, "sip-load: unexpected answer\n%s\n", text);
    endDialog(slot);
    return slot;
  }
  if (isInvite) {
    dialog->phase = LEAVING;
    dialog->sentAt = clockNow;
    sendInDialog("ACK", identity, sequence, text);
    sendInDialog("BYE", identity, sequence + 1, text);
    return -1;
  }
  dialogsDone++;
  endDialog(slot);
  return slot;
}

// The callee answers 200 to where the request came from.
static void onRequest(struct port *sink, int index, const char *text, const struct sockaddr_in *from) {
  packets++;
  sinkPackets[index]++;
  bool isInvite = text[0] == 'I';
  if (!isInvite && text[0] != 'B') return;
  struct writer writer = startPacket(sink, from);
  putText(&writer, "SIP/2.0 200 OK\r\n");
  for (const char *line = strstr(text, "\r\n"); line != NULL && line[2] != '\r';) {
    line += 2;
    const char *end = strstr(line, "\r\n");
    if (end == NULL) break;
    bool isTo = strncmp(line, "To: ", 4) == 0;
    if (isTo || strncmp(line, "Via: ", 5) == 0 || strncmp(line, "From: ", 6) == 0 ||
        strncmp(line, "Call-ID: ", 9) == 0 || strncmp(line, "CSeq: ", 6) == 0 ||
        (isInvite && strncmp(line, "Record-Route: ", 14) == 0)) {
      put(&writer, line, (size_t)(end - line));
      if (isTo && isInvite) putText(&writer, ";tag=callee");
      put(&writer, "\r\n", 2);
    }
    line = end;
  }
  putText(&writer, "Contact: <sip:service@127.0.0.1:");
  putNumber(&writer, (uint32_t)sink->number);
  if (isInvite) {
    putText(&writer, ">\r\nContent-Type: application/sdp\r\nContent-Length: ");
    putNumber(&writer, sizeof sdp - 1);
    putText(&writer, "\r\n\r\n");
    putText(&writer, sdp);
  } else {
    putText(&writer, ">\r\nContent-Length: 0\r\n\r\n");
  }
  endPacket(&writer);
}

static void dropLostDialogs(void) {
  for (int slot = 0; slot < window; slot++) {
    if (dialogs[slot].phase == IDLE) continue;
    if ((clockNow - dialogs[slot].sentAt) * 1e3 < LOST_AFTER_MS) continue;
    dialogsLost++;
    endDialog(slot);
  }
}

static void readIdentities(const char *path) {
  FILE *file = fopen(path, "r");
  if (file == NULL) fail("cannot read the list of identifiers");
  identities = calloc(IDS_MAX, sizeof *identities);
  struct identity *next = identities;
  while (identityCount < IDS_MAX && fscanf(file, "%63s %63s", next->callId, next->fromTag) == 2) {
    if (strtoul(next->callId, NULL, 16) != identityCount) fail("a Call-ID must begin with its index");
    next->slot = -1;
    next++;
    identityCount++;
  }
  fclose(file);
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"target", required_argument, NULL, 't'},    {"client", required_argument, NULL, 'c'},
      {"sinks", required_argument, NULL, 's'},     {"ids", required_argument, NULL, 'i'},
      {"window", required_argument, NULL, 'w'},     {"warmup-ms", required_argument, NULL, 'u'},
      {"measure-ms", required_argument, NULL, 'm'}, {NULL, 0, NULL, 0}};
  double warmup = 1, measure = 3;
  int clientPort = 7000, option;
  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (option) {
    case 't': targetPort = atoi(optarg); break;
    case 'c': clientPort = atoi(optarg); break;
    case 's':
      for (char *port = strtok(optarg, ","); port != NULL; port = strtok(NULL, ",")) {
        if (sinkCount == SINKS_MAX) fail("too many sinks");
        openPort(&sinks[sinkCount++], atoi(port));
      }
      break;
    case 'i': readIdentities(optarg); break;
    case 'w': window = atoi(optarg); break;
    case 'u': warmup = atof(optarg) / 1e3; break;
    case 'm': measure = atof(optarg) / 1e3; break;
    default: return 2;
    }
  }
  if (window < 1 || window > WINDOW_MAX) fail("--window out of range");
  if (identityCount < (uint32_t)window || sinkCount == 0) fail("--ids and --sinks are needed");
  openPort(&client, clientPort);
  target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)targetPort)};
  target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

  double start = secondsNow(), measureFrom = start + warmup, end = measureFrom + measure;
  bool isMeasuring = false;
  uint64_t packetsBefore = 0, doneBefore = 0, lostBefore = 0, badBefore = 0;
  for (uint32_t turn = 0;; turn++) {
    clockNow = secondsNow();
    if (!isMeasuring && clockNow >= measureFrom) {
      isMeasuring = true;
      measureFrom = clockNow;
      end = measureFrom + measure;
      packetsBefore = packets;
      doneBefore = dialogsDone;
      lostBefore = dialogsLost;
      badBefore = answersBad;
      puts("measure");
      fflush(stdout);
    }
    if (clockNow >= end) break;
    // Slots are idle at the start and after a loss.
    for (int slot = 0; (turn & 63) == 0 && slot < window; slot++) {
      if (dialogs[slot].phase == IDLE) startDialog(slot);
    }
    flush(&client);
    for (int index = 0; index < sinkCount; index++) {
      struct port *sink = &sinks[index];
      int count = receive(sink);
      for (int at = 0; at < count; at++) onRequest(sink, index, sink->inText[at], &sink->from[at]);
      flush(sink);
    }
    int count = receive(&client);
    for (int at = 0; at < count; at++) {
      int ended = onAnswer(client.inText[at]);
      if (ended >= 0) startDialog(ended);
    }
    flush(&client);
    if ((turn & 4095) == 0) dropLostDialogs();
  }
  double elapsed = secondsNow() - measureFrom;
  printf("{\"seconds\":%.4f,\"packets\":%lu,\"dialogs\":%lu,\"lost\":%lu,\"bad\":%lu,\"stale\":%lu,"
         "\"sinks\":[",
         elapsed, packets - packetsBefore, dialogsDone - doneBefore, dialogsLost - lostBefore,
         answersBad - badBefore, packetsStale);
  for (int index = 0; index < sinkCount; index++)
    printf("%s%lu", index > 0 ? "," : "", sinkPackets[index]);
  puts("]}");
  return 0;
}
