# One image for everything: bridge, worker, beat and Flower differ in their command only (docs/install.md).
#
#   docker build -t swarm-ecr-deployer --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" .
#
# BASE is any Debian or Ubuntu with Python 3.11 or newer, its venv module and CA certificates.
# Where the package index is out of reach: `pip download --only-binary :all: --require-hashes -d wheels -r …`
# for both lock files, and the build takes what lies in wheels/, with the same hashes, and needs no network.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
# pip stays in /tools and out of the image.
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/deployer
COPY requirements.lock requirements-build.lock wheel[s] /lock/
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN set -e; \
    ! ls /lock/*.whl >/dev/null 2>&1 || export PIP_NO_INDEX=1 PIP_FIND_LINKS=/lock; \
    set -- install -q --no-compile --require-hashes --only-binary :all:; \
    /tools/bin/pip "$@" -r /lock/requirements-build.lock; \
    /tools/bin/pip --python /opt/deployer/bin/python "$@" -r /lock/requirements.lock
COPY pyproject.toml README.md LICENSE celeryconfig.py /src/
COPY deployer /src/deployer
ARG SOURCE_DATE_EPOCH=0
# The same sources give the same layer: no time of the build gets in. Bytecode is written here, because the
# root file system is read-only later, and is never checked against its source, because nothing changes.
RUN set -e; \
    /tools/bin/pip wheel -q --no-deps --no-build-isolation --no-index -w /wheel /src; \
    /tools/bin/pip --python /opt/deployer/bin/python install -q --no-compile --no-deps --no-index /wheel/*.whl; \
    rm -f /opt/deployer/bin/*ctivate* && find /opt/deployer -name direct_url.json -delete; \
    PYTHONHASHSEED=0 python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash /opt/deployer/lib; \
    install -d -o 10001 -g 10001 /image/data; \
    mkdir -p /image/opt /image/etc/deployer && mv /opt/deployer /image/opt/; \
    { cat /etc/passwd; echo 'deployer:x:10001:10001::/tmp:/usr/sbin/nologin'; } >/image/etc/passwd; \
    { cat /etc/group; echo 'deployer:x:10001:'; } >/image/etc/group; \
    find /image -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

FROM ${BASE}
COPY --from=build /image/ /
ENV PATH=/opt/deployer/bin:$PATH \
    HOME=/tmp \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DEPLOYER_HEALTH_FILE=/tmp/deployer.health
# A celeryconfig.py or flowerconfig.py that is mounted here replaces the one of the package.
# Volumes with something to keep are mounted at /data.
WORKDIR /etc/deployer
USER 10001:10001
# For bridge and worker; beat and Flower write no such file and have a check of their own in the stack file.
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=3 CMD ["deployer", "health"]
CMD ["deployer", "--help"]
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="swarm-ecr-deployer" \
      org.opencontainers.image.description="A push to AWS ECR becomes a roll-out on Docker Swarm, once, safely" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="$BASE" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
