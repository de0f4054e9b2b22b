#!/usr/bin/env bash
# Installs what the demo and the tests need on this machine, once: Debian packages and a virtual environment
# in .venv. Says what and why, and asks first when a person is at the terminal (YES=1 answers for them).
# What is there already is used, wherever it is in the PATH, and nothing is ever removed.
# Usage: lab/setup.sh demo|test; lab/setup.sh missing only prints "package|why" for each that is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
goal=${1:-test}
# Where programs are looked for. Those of packages come first: engine and client then fit each other.
programs=${LAB_PATH:-/usr/bin:/usr/sbin:/bin:/sbin:$PATH}

fail() { printf 'Cannot go on: %s\n' "$*" >&2; exit 1; }

[ "$(uname -s)" = Linux ] || fail "this needs Linux (a real Docker engine runs in namespaces), this is $(uname -s)"

# package, what shows that it is there (a program, a file, or a question below), why it is needed
needs=(
  "python3-venv|has_venv|the virtual environment in .venv"
  "docker.io|dockerd|a private Docker engine, beside any that runs already"
  "docker-cli|docker|the engine's client (Debian 12 has it in docker.io)"
  "docker-registry|docker-registry|a registry that stands in for ECR"
  "redis-server|redis-server|results of deployments"
  "iptables|iptables|the engine's networks"
  "iproute2|ip|network namespaces for the engine"
  "busybox-static|busybox|the small web service that is deployed"
  "curl|curl|the examples of the documentation"
  "openssl|openssl|the registry's certificate"
  "ca-certificates|/etc/ssl/certs/ca-certificates.crt|downloads from PyPI"
)
[ "$goal" != test ] || needs+=(
  "docker-buildx|can_build|the build of the image that is tested"
  "debootstrap|debootstrap|the base of the image that is tested"
  "haproxy|haproxy|the socket proxy of the Swarm stack"
  "prometheus|prometheus|the queries that a roll-out is proved by"
)

find_program() { (PATH=$programs; type -P "$1"); }

has_venv() { python3 -c 'import ensurepip'; }

# Up to version 20.10 the client has BuildKit in it, later ones need a plugin. One in a person's own ~/.docker
# does not count, since the lab's client has a directory of its own.
can_build() {
  local docker
  docker=$(find_program docker) || return 1
  [[ $("$docker" --version) =~ ([0-9]+)\. && ${BASH_REMATCH[1]} -lt 23 ]] \
    || DOCKER_CONFIG=/nonexistent "$docker" buildx version
}

here() {
  case $1 in
    has_venv | can_build) "$1" ;;
    /*) [ -e "$1" ] ;;
    *) find_program "$1" ;;
  esac >/dev/null 2>&1
}

look() {
  missing=() reasons=()
  local need package shows why
  for need in "${needs[@]}"; do
    IFS='|' read -r package shows why <<<"$need"
    here "$shows" || { missing+=("$package"); reasons+=("$why"); }
  done
}

# Debian 12 has Docker's client in docker.io itself, and Docker's own packages have names of their own.
wanted() {
  local package
  for package in "${missing[@]}"; do
    # dpkg knows packages by name that are not installed, where others conflict with them.
    [ "$package" != docker-buildx ] || [ "$(dpkg-query -Wf '${db:Status-Status}' docker-ce-cli)" != installed ] \
      || package="docker-buildx-plugin"
    [ -z "$(apt-cache show "$package")" ] || printf '%s\n' "$package" >&3
  done 3>&1 >/dev/null 2>&1
}

list() {
  local i
  for i in "${!missing[@]}"; do printf '  %-16s %s\n' "${missing[i]}" "${reasons[i]}"; done
}

look
if [ "$goal" = missing ]; then
  for i in "${!missing[@]}"; do printf '%s|%s\n' "${missing[i]}" "${reasons[i]}"; done
  exit 0
fi

if [ ${#missing[@]} -gt 0 ]; then
  list
  printf 'The Debian packages above are missing and will be installed.\n'
  command -v apt-get >/dev/null || fail "there is no apt-get here; install by hand what stands for: ${missing[*]}"
  # shellcheck disable=SC2046 # one word for each package
  [ "$(id -u)" = 0 ] || fail "this needs root to install them; run: sudo apt-get install --no-remove" $(wanted)
  if [ -t 0 ] && [ -z "${YES:-}" ]; then
    read -r -p 'Install them? [Y/n] ' answer
    case $answer in [nN]*) fail "they are needed";; esac
  fi
  # Debian would start Docker, Redis and the registry at once: ours are started by the lab alone.
  policy=${LAB_POLICY:-/usr/sbin/policy-rc.d}
  made_policy=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made_policy=1
  fi
  trap '[ -z "$made_policy" ] || rm -f "$policy"' EXIT
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  mapfile -t packages < <(wanted)
  # Without --no-remove docker.io would take the place of docker-ce.
  apt-get install -y -qq --no-install-recommends --no-remove "${packages[@]}" >.lab-setup.log 2>&1 \
    || { cat .lab-setup.log >&2; fail "apt-get could not install ${packages[*]}, and has removed nothing"; }
  rm -f .lab-setup.log
  look
  [ ${#missing[@]} = 0 ] || { list >&2; fail "apt-get has not brought what is listed above"; }
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
