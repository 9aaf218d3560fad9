# syntax=docker/dockerfile:1
# The gateway with every extra, as a user without rights, on a root file system that may be read-only.
# It listens for others, so it does not start without a key (docs/deployment.md):
#   docker run --read-only --tmpfs /tmp -v gateway:/data -p 8080:8080 -p 50051:50051 \
#       -e GATEWAY_AUTH__KEYS='[{"key": "at-least-16-characters", "subject": "me"}]' agent-gateway

FROM python:3.12-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.8
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PROJECT_ENVIRONMENT=/opt/gateway \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /src
# Dependencies first: this layer changes only with the lock file.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-default-groups --all-extras --no-install-project
COPY app ./app
COPY grpc_service ./grpc_service
COPY rest_api ./rest_api
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-default-groups --all-extras --no-editable

FROM python:3.12-slim-bookworm AS slim
LABEL org.opencontainers.image.title="agent-gateway" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin gateway \
    && install -d -o gateway -g gateway /data
COPY --from=build /opt/gateway /opt/gateway
# Everything that is written goes to /data (journal, artifacts, workspaces) or /tmp. Only loopback
# addresses can be reached without keys, and those of a container nobody else can reach.
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GATEWAY_REST__HOST=0.0.0.0 \
    GATEWAY_GRPC__HOST=0.0.0.0 \
    GATEWAY_STORAGE__DATA_DIR=/data
WORKDIR /data
USER 10001:10001
VOLUME /data
EXPOSE 8080 50051
# SIGTERM drains: health turns NOT_SERVING, streams are told, tasks park. Give it longer than
# GATEWAY_ENGINE__DRAIN_TIMEOUT (20 s): `docker stop` kills after 10 s unless told `--time 30`.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz/live', timeout=2)"]
ENTRYPOINT ["agent-gateway"]
CMD ["serve"]
