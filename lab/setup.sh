#!/usr/bin/env bash
# Installs what the demo and the tests need on this machine, once: Debian packages and a virtual environment
# in .venv. Says what and why, and asks first when a person is at the terminal (YES=1 answers for them).
# Usage: lab/setup.sh demo|test; lab/setup.sh missing only prints "package|why" for each that is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
goal=${1:-test}

fail() { printf 'Cannot go on: %s\n' "$*" >&2; exit 1; }

[ "$(uname -s)" = Linux ] || fail "this needs Linux (a real Docker engine runs in namespaces), this is $(uname -s)"

# package, a file that it brings, why it is needed
needs=(
  "python3-venv|/usr/lib/python3*/ensurepip/__init__.py|the virtual environment in .venv"
  "docker.io|/usr/sbin/dockerd|a private Docker engine, beside any that runs already"
  "docker-registry|/usr/bin/docker-registry|a registry that stands in for ECR"
  "redis-server|/usr/bin/redis-server|results of deployments"
  "iptables|/usr/sbin/iptables|the engine's networks"
  "iproute2|/usr/sbin/ip /sbin/ip|network namespaces for the engine"
  "busybox-static|/bin/busybox /usr/bin/busybox|the small web service that is deployed"
  "curl|/usr/bin/curl|the examples of the documentation"
  "openssl|/usr/bin/openssl|the registry's certificate"
  "ca-certificates|/etc/ssl/certs/ca-certificates.crt|downloads from PyPI"
)
[ "$goal" != test ] || needs+=(
  "debootstrap|/usr/sbin/debootstrap|the base of the image that is tested"
  "haproxy|/usr/sbin/haproxy|the socket proxy of the Swarm stack"
)

here() { for file in $1; do [ -e "$file" ] && return 0; done; return 1; }

missing=()
for need in "${needs[@]}"; do
  IFS='|' read -r package files why <<<"$need"
  # A Python that brings its own venv needs no package for it.
  [ "$package" = python3-venv ] && python3 -c 'import ensurepip' 2>/dev/null && continue
  here "$files" && continue
  missing+=("$package")
  if [ "$goal" = missing ]; then printf '%s|%s\n' "$package" "$why"; else printf '  %-16s %s\n' "$package" "$why"; fi
done
[ "$goal" != missing ] || exit 0

if [ ${#missing[@]} -gt 0 ]; then
  printf 'The Debian packages above are missing and will be installed.\n'
  [ "$(id -u)" = 0 ] || fail "this needs root to install them; run: sudo apt-get install ${missing[*]}"
  command -v apt-get >/dev/null || fail "there is no apt-get here; install by hand what stands for: ${missing[*]}"
  if [ -t 0 ] && [ -z "${YES:-}" ]; then
    read -r -p 'Install them? [Y/n] ' answer
    case $answer in [nN]*) fail "they are needed";; esac
  fi
  # Debian would start Docker, Redis and the registry at once: ours are started by the lab alone.
  policy=/usr/sbin/policy-rc.d
  made_policy=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && made_policy=1
  fi
  trap '[ -z "$made_policy" ] || rm -f $policy' EXIT
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >.lab-setup.log 2>&1 \
    || { cat .lab-setup.log >&2; fail "apt-get could not install ${missing[*]}"; }
  rm -f .lab-setup.log
fi

[ "$(id -u)" = 0 ] || fail "this needs root: it starts a Docker engine of its own (sudo make $goal)"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed"

stamp=.venv/.installed
if [ ! -e $stamp ] || [ pyproject.toml -nt $stamp ]; then
  printf 'Installing the Python packages into .venv …\n'
  [ -x .venv/bin/python ] || python3 -m venv .venv
  .venv/bin/python -m pip install -q --disable-pip-version-check -e '.[dev]'
  touch $stamp
fi
