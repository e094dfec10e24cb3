# The commands a person needs. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format bench docs coverage histories pictures clean
BIN := .venv/bin
# Many images set it. Each process would then compile all that it imports, each time.
unexport PYTHONDONTWRITEBYTECODE
# Two processes a core: scenarios wait now and then. With more, tests run into their timeouts.
WORKERS ?= 4

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## Make .venv from the lock (only when it changed)
	@scripts/setup.sh

demo:  ## One promotion on a local AWS: KEEP=1 leaves it up; BAD=accuracy|task|rollout shows a bad one; LAUNCHER=pipecd; CLAIMED=1
	@scripts/setup.sh worker local pipeline model
	@KEEP="$(KEEP)" BAD="$(BAD)" LAUNCHER="$(LAUNCHER)" CLAIMED="$(CLAIMED)" exec $(BIN)/python -u -m demo

test: setup  ## The suite; ALL=1 adds what is slow, as CI does; ARGS=tests/cli runs some
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(if $(ALL)$(ARGS),,-m "not slow") $(ARGS)

lint: setup  ## Formatting, lint, types, imports, dependencies, workflow files
	@scripts/lint.sh

format: setup  ## Format, and fix what can be fixed
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: setup  ## Ratios, side by side in one run; writes build/bench.json
	@$(BIN)/python -m bench

docs: setup  ## Write the generated pages, and build the site into build/site
	@$(BIN)/python -m slipway.app.spec_docs
	@$(BIN)/python -m scripts.docs

coverage: setup  ## Write sandbox/COVERAGE.md from what the local AWS answers and its tests show
	@$(BIN)/python -m sandbox.testkit.coverage

histories: setup  ## Record the workflow histories that the replay tests read
	@$(BIN)/python -m tests.record_histories

pictures: setup  ## Make the README's pictures from real runs (needs Chromium)
	@$(BIN)/python -m demo.pictures

clean:  ## Remove what was built; .venv and ~/.cache/slipway stay
	@rm -rf build
