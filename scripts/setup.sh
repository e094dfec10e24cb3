#!/bin/sh
# Makes .venv with a pinned uv and what the lock names. Safe to interrupt and to repeat: the stamp is written last.
#
#   scripts/setup.sh                        everything: the tests and checks need it
#   scripts/setup.sh worker local pipeline model   only these dependency groups of pyproject.toml, beside Slipway itself
#
# What is there already is never removed.
set -eu
cd "$(dirname "$0")/.."

uv_version=0.13.9
python=${PYTHON:-python3}
modules="activities demo sandbox/slipway_sandbox slipway worker.py workflows"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

ticker=
# Repeats a line with its seconds while a command is silent: on one line of a terminal, or one line every 15 seconds.
start_ticker() {
  (
    seconds=0
    while sleep 1 && kill -0 $$ 2>/dev/null; do
      seconds=$((seconds + 1))
      if [ -t 2 ]; then printf '\rsetup: %s: %s s%s ' "$1" "$seconds" "$(${2:-:})" >&2
      elif [ $((seconds % 15)) = 0 ]; then say "$1: $seconds s$(${2:-:})"; fi
    done
  ) 9>&- &
  ticker=$!
}
stop_ticker() {
  [ -n "$ticker" ] || return 0
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  ticker=
  if [ -t 2 ]; then printf '\r\033[K' >&2; fi
}
compiled() { printf ', %s files' "$(find .venv/lib -name '*.pyc' | wc -l)"; }
trap stop_ticker EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Two at once (make demo and make test in two terminals) would write the same files.
if command -v flock >/dev/null 2>&1; then
  mkdir -p build
  exec 9>build/.setup.lock
  flock --nonblock 9 || { say "waiting for another set-up in this checkout"; flock 9; }
fi

wanted=$(cat uv.lock pyproject.toml sandbox/pyproject.toml deploy/worker/pyproject.toml scripts/setup.sh | cksum)
everything=.venv/.set-up
stamp=$everything
for group in "$@"; do stamp="$stamp-$group"; done
for each in "$everything" "$stamp"; do
  if [ -f "$each" ] && [ "$(cat "$each")" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then exit 0; fi
done

command -v git >/dev/null 2>&1 || fail "git is missing: install it with your system's package manager, and run this again"
command -v "$python" >/dev/null 2>&1 || fail "$python is missing: install Python 3.11 or newer, or name one: make setup PYTHON=/path/to/python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$("$python" --version) is too old: Python 3.11 or newer is needed; name one: make setup PYTHON=/path/to/python"
free=$(df -Pk . | awk 'NR==2 {print int($4 / 1024)}')
[ "$free" -ge 4000 ] || fail "only $free MB are free here: set-up and a demo need about 4000 MB"

if ! .venv/bin/python -c '' 2>/dev/null; then
  say "making .venv"
  rm -rf .venv
  "$python" -m venv .venv || fail "$python has no venv module: install it (Debian: apt-get install python3-venv), and run this again"
fi
rm -f "$stamp"
if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$uv_version" ]; then
  say "installing uv $uv_version"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$uv_version" \
    || fail "uv could not be installed: see the lines above; is the network there? Run this again when it is"
fi

groups=
if [ $# -gt 0 ]; then
  groups=--no-default-groups
  for group in "$@"; do groups="$groups --group $group"; done
fi
sync() {
  # shellcheck disable=SC2086  (the options are words)
  VIRTUAL_ENV=$PWD/.venv .venv/bin/uv sync --quiet --locked --inexact $groups --python .venv/bin/python "$@" \
    || fail "the locked packages could not be installed: see the lines above, and run this again; what is there is kept"
}
start_ticker "installing the locked packages of ${*:-all groups} (a few minutes where they have to be downloaded)"
sync
stop_ticker
if [ $# = 0 ]; then
  # Many processes at once would each compile what they import. The demo's few compile it when they need it.
  start_ticker "compiling bytecode (about a minute)" compiled
  sync --compile-bytecode
  # shellcheck disable=SC2086  (the modules are words)
  .venv/bin/python -m compileall -q $modules
  stop_ticker
fi
printf '%s\n' "$wanted" > "$stamp"
say "done"
