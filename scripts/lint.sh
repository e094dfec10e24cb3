#!/bin/sh
# Every check but the tests. Runs all of them, and fails if one does.
set -u
cd "$(dirname "$0")/.."
# Outside the checkout, so that fresh ones share it.
tools=${XDG_CACHE_HOME:-$HOME/.cache}/slipway/tools
PATH=$PWD/.venv/bin:$tools:$PATH
export PATH

failed=0
check() {
  name=$1
  shift
  if output=$("$@" 2>&1); then
    printf 'ok      %s\n' "$name"
  else
    printf 'FAILED  %s\n%s\n' "$name" "$output"
    failed=1
  fi
}

# actionlint is a Go program; the wheel that names it downloads it from elsewhere. The Go module proxy has it, by checksum.
actionlint=github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
if ! command -v actionlint >/dev/null 2>&1; then
  mkdir -p "$tools"
  GOBIN=$tools GOFLAGS=-mod=mod go install "$actionlint" || { echo "FAILED  actionlint could not be installed"; failed=1; }
fi

check "ruff format" ruff format --check .
check "ruff lint" ruff check .
check "pyright" pyright
check "import contracts" lint-imports
check "dependencies" deptry .
check "dependencies of the sandbox" deptry sandbox --config sandbox/pyproject.toml
check "actionlint" actionlint
check "zizmor" zizmor --offline --quiet .github/workflows action.yml
check "hadolint" hadolint pipeline/Dockerfile pipeline/model/Dockerfile deploy/worker/Dockerfile deploy/temporal/authorizer/Dockerfile examples/delivery/image/Dockerfile
check "compose files" check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml deploy/temporal/production.yml
check "action" check-jsonschema --builtin-schema vendor.github-actions action.yml
check "dependabot" check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
exit $failed
