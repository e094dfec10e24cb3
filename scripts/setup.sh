#!/bin/sh
# Makes .venv with a pinned uv and what the lock names. Safe to interrupt and to repeat: the stamp is written last.
set -eu
cd "$(dirname "$0")/.."

uv_version=0.13.9
stamp=.venv/.slipway-setup
python=${PYTHON:-python3}

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# Twice at once (make demo and make test in two terminals) would write the same files.
if command -v flock >/dev/null 2>&1; then
  mkdir -p build
  exec 9>build/.setup.lock
  flock 9
fi

wanted=$(cat uv.lock pyproject.toml sandbox/pyproject.toml deploy/worker/pyproject.toml scripts/setup.sh | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then
  exit 0
fi

command -v git >/dev/null 2>&1 || fail "git is missing: install it with your system's package manager, and run this again"
command -v "$python" >/dev/null 2>&1 || fail "$python is missing: install Python 3.11 or newer, or name one: make setup PYTHON=/path/to/python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$("$python" --version) is too old: Python 3.11 or newer is needed; name one: make setup PYTHON=/path/to/python"
free=$(df -Pk . | awk 'NR==2 {print int($4 / 1024)}')
[ "$free" -ge 4000 ] || fail "only $free MB are free here: set-up and a demo need about 4000 MB"

say "making .venv with the locked dependencies (about 1.6 GB; only when the lock changes)"
if ! .venv/bin/python -c '' 2>/dev/null; then
  rm -rf .venv
  "$python" -m venv .venv || fail "$python has no venv module: install it (Debian: apt-get install python3-venv), and run this again"
fi
rm -f "$stamp"
if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$uv_version" ]; then
  say "installing uv $uv_version"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$uv_version" \
    || fail "uv could not be installed: see the lines above; is the network there? Run this again when it is"
fi
say "installing packages"
# With bytecode: where PYTHONDONTWRITEBYTECODE is set, as in many images, each process would compile all that it imports.
VIRTUAL_ENV=$PWD/.venv .venv/bin/uv sync --locked --inexact --compile-bytecode --python .venv/bin/python \
  || fail "the locked packages could not be installed: see the lines above, and run this again; what is there is kept"
.venv/bin/python -m compileall -q activities demo sandbox/slipway_sandbox slipway worker.py workflows
printf '%s\n' "$wanted" > "$stamp"
say "done"
