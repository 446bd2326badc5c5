# Buildbell's image: the page, then the wheel and what it needs, then nothing but these.
# Everything that comes from outside is checked against the hashes in the lock files.

FROM node:24-slim AS page
WORKDIR /src/playground/page
COPY playground/page/package.json playground/page/package-lock.json playground/page/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY playground/page ./
RUN node node_modules/vite/bin/vite.js build --logLevel=warn

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
COPY deploy/build.lock deploy/runtime.lock deploy/
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r deploy/build.lock \
    && python -m venv --without-pip /opt/buildbell \
    && pip --python /opt/buildbell/bin/python install --require-hashes --only-binary :all: -r deploy/runtime.lock
COPY pyproject.toml README.md LICENSE hatch_build.py ./
COPY bot bot
COPY commands commands
COPY playground playground
COPY --from=page /src/playground/page/dist playground/page/dist
RUN /opt/build/bin/python playground/page/build.py --adopt \
    && /opt/build/bin/python -m hatchling build -t wheel -d /wheels \
    && pip --python /opt/buildbell/bin/python install --no-deps --no-index /wheels/*.whl

FROM python:3.11-slim
LABEL org.opencontainers.image.title="Buildbell" \
      org.opencontainers.image.description="One Slack bot for builds, whatever CI system runs them" \
      org.opencontainers.image.licenses="Apache-2.0"
# HOME: a host that runs images as a user of its own choice may know no home for it.
ENV PATH=/opt/buildbell/bin:$PATH \
    HOME=/var/lib/buildbell \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LOG_FORMAT=json
RUN groupadd --gid 10001 buildbell \
    && useradd --uid 10001 --gid buildbell --home-dir /var/lib/buildbell --no-create-home --shell /usr/sbin/nologin buildbell \
    && install -d -o buildbell -g buildbell -m 0700 /var/lib/buildbell /var/lib/buildbell/data
COPY --from=build /opt/buildbell /opt/buildbell
# The database and buildbell.toml are looked for here; only `data` is written to.
WORKDIR /var/lib/buildbell
USER 10001:10001
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', '3000')}/healthz\", timeout=4)"]
ENTRYPOINT ["buildbell"]
CMD ["serve"]
