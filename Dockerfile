# syntax=docker/dockerfile:1
# stintd in a container: jobs run in it as the user stint.
#
#   docker build -t stint . && docker run --name stint -v stint-state:/var/lib/stint stint
#   docker exec stint stint run -- echo hello
#
# The state (and the home of the jobs) is the volume /var/lib/stint; the socket is /run/stint/stint.sock.

FROM debian:bookworm-slim AS build
WORKDIR /src
COPY tools/setup tools/setup
RUN tools/setup build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release -DSTINT_TESTS=OFF && cmake --build --preset release \
 && cmake --install build/release --prefix /usr/local --strip

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libboost-filesystem1.81.0 libjemalloc2 libsimdjson14 libspdlog1.10 libsqlite3-0 libssl3 libtomlplusplus3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 990 --user-group --create-home --home-dir /var/lib/stint stint \
 && install -d -o stint -g stint -m 0700 /run/stint
COPY --from=build /usr/local/bin/stintd /usr/local/bin/stint-worker /usr/local/bin/stint /usr/local/bin/
USER stint
WORKDIR /var/lib/stint
ENV STINT_SOCKET=/run/stint/stint.sock
VOLUME /var/lib/stint
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["stint", "status", "--quiet"]
ENTRYPOINT ["stintd", "--state-dir", "/var/lib/stint/state", "--socket", "/run/stint/stint.sock", "--set", "daemon.on_stop=drain"]
