# One image for every role; the command chooses it (docs/howto/run-in-production.md).
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements.txt .
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --require-hashes --no-deps -r requirements.txt

FROM python:3.11-slim-bookworm
RUN apt-get update \
 && apt-get install -y --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 portal \
 && useradd --uid 10001 --gid portal --no-create-home --home-dir /srv/portal --shell /usr/sbin/nologin portal \
 && install -d -o portal -g portal /data
COPY --from=build /opt/venv /opt/venv
WORKDIR /srv/portal
COPY . .
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data \
    STATIC_ROOT=/srv/portal/staticfiles \
    PROMETHEUS_MULTIPROC_DIR=/data/metrics \
    HOST=0.0.0.0 \
    LOG_FORMAT=json
# The files of the pages belong to the release, so they are part of the image. The key is for this step alone.
RUN SECRET_KEY=only-for-collecting-static-files-not-in-the-image DATA_DIR=/tmp/build \
    python3 manage.py collectstatic --noinput --verbosity 0 \
 && rm -rf /tmp/build
USER portal
EXPOSE 8000
VOLUME /data
# For the web process; other roles end when they fail, which restarts them.
HEALTHCHECK --interval=30s --timeout=10s --start-period=40s --retries=3 \
  CMD ["python3", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '8000') + '/health/live', timeout=8)"]
# Not `tini -g`: that would stop the threads of a worker before it has said good-bye.
ENTRYPOINT ["tini", "--"]
CMD ["gunicorn", "-c", "opsportal/gunicorn.conf.py", "opsportal.wsgi"]
