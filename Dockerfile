# The image of one peer. Build: docker build -t sailring .
FROM node:24-slim AS build
WORKDIR /opt/sailring
COPY package.json package-lock.json ./
# The image brings Node 24 itself; install scripts would only fetch a second one.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN node node_modules/typescript/bin/tsc -p tsconfig.build.json

FROM node:24-slim AS dependencies
WORKDIR /opt/sailring
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && npm cache clean --force

FROM node:24-slim
LABEL org.opencontainers.image.title="Sailring" \
      org.opencontainers.image.description="Self load-balancing cluster peer for SIP and HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /opt/sailring
COPY --from=dependencies /opt/sailring/node_modules node_modules
COPY --from=build /opt/sailring/dist dist
COPY package.json LICENSE README.md ./
COPY proto proto
COPY dcr-examples dcr-examples
USER node
# SIP, HTTP, gossip, link. The admin server stays on the container's loopback.
EXPOSE 5060/udp 5060/tcp 8080/tcp 7946/udp 7946/tcp 7947/tcp
# Ready is more than alive: a peer that drains or has not joined yet gets no traffic.
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:7948/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# The peer is process 1 itself, so the signal reaches it and it drains.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "dist/main.js"]
CMD ["start", "-c", "/etc/sailring/peer.yaml"]
