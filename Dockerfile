# Concord in a container: a virtual environment from the lock, the program beside its migrations and its seed, nothing else.
# The minor version of Python and the release of Debian are fixed; what is patched in them comes with the next build.
ARG PYTHON=3.13-slim-trixie

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/concord
WORKDIR /srv/concord
# Only what the lock names by hash, and only wheels: no compiler is here, nor will be. First, because it seldom changes.
COPY requirements.lock ./
RUN pip --python /opt/concord/bin/python install --no-compile --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md ./
COPY app app
COPY migrations migrations
COPY seed seed
COPY containers/healthcheck.py ./
# Editable, as `make serve` installs it: the program finds its migrations and its seed beside itself. What builds it goes again.
# Tests that packages bring along go, too. Bytecode is made here, because nothing can be written where it runs; there the source
# is not looked at again.
RUN pip --python /opt/concord/bin/python install --no-compile --no-deps --no-build-isolation --editable . \
 && pip --python /opt/concord/bin/python uninstall --quiet --yes flit_core \
 && find /opt/concord/lib -type d \( -name tests -o -name testing \) -prune -exec rm -r {} + \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/concord/lib /srv/concord

FROM python:${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Concord" \
      org.opencontainers.image.description="The registry that says who works with whom, on what, since when, and how we know." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Nothing is installed where it runs: what could, goes.
RUN rm -rf /usr/local/lib/python3.*/ensurepip /usr/local/lib/python3.*/idlelib /usr/local/lib/python3.*/site-packages/pip* \
      /usr/local/bin/pip* /usr/local/bin/idle*
RUN groupadd --gid 10001 concord \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin concord \
 && install --directory --owner 10001 --group 10001 --mode 0750 /data
COPY --from=build /opt/concord /opt/concord
COPY --from=build /srv/concord /srv/concord
ENV PATH=/opt/concord/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# By number: an orchestrator that admits no root can see from it that this is none.
USER 10001:10001
# The default database, sqlite:///concord.db, lies in the working directory. It is not set here: that would be a second
# answer beside CONCORD_DATABASE_URL_FILE, and two are refused.
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM
# Alive, not ready: who restarts the unhealthy would restart every container when it is the database that is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-I", "-S", "/srv/concord/healthcheck.py"]
ENTRYPOINT ["concord"]
CMD ["serve", "--host", "0.0.0.0"]
