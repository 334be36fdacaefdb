# syntax=docker/dockerfile:1

# The tag moves with Debian's and Node's corrections. To build the same image again, pin it by digest:
#   docker build --build-arg NODE_IMAGE=node:22-bookworm-slim@sha256:... .
ARG NODE_IMAGE=node:22-bookworm-slim

# Builds and packs the package from a clean tree.
FROM ${NODE_IMAGE} AS build
WORKDIR /source
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN npm run build
RUN mkdir /app && npm pack --ignore-scripts --pack-destination /app
RUN node container/runtime-package.mjs /app

# Installs what was packed, with the packages that a server needs in the versions of package-lock.json, and no others.
FROM ${NODE_IMAGE} AS install
WORKDIR /app
COPY --from=build /app ./
RUN npm install --omit=dev --ignore-scripts --no-audit --no-fund

FROM ${NODE_IMAGE}
# tini is PID 1: it passes signals on and reaps. Debian's mirrors keep one version only, so none can be named.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends tini \
  && rm -rf /var/lib/apt/lists/* \
  && groupadd --system --gid 10001 scannery \
  && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin scannery \
  && install -d -o 10001 -g 10001 /data
WORKDIR /app
COPY --from=install /app ./
COPY container/healthcheck.mjs ./

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="scannery" \
  org.opencontainers.image.description="ScaNN-style vector retrieval, served over HTTP" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"

# Inside a container the loopback address would be out of reach. Any other needs a token file: see docs/container.md.
ENV NODE_ENV=production \
  SCANNERY_HOST=0.0.0.0 \
  SCANNERY_PORT=8080 \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/app/node_modules/.bin

USER 10001:10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["node", "/app/healthcheck.mjs"]
ENTRYPOINT ["tini", "--", "scannery"]
CMD ["serve", "/data"]
