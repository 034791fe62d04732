# Two commands: `make run` and `make test`. Everything else is in `make help`.
# Plain GNU make and /bin/sh; works from any folder (make -C DIR, make -f DIR/Makefile), with spaces in the path.

# Where this file is, whatever the folder make was called from. GNU make splits lists at spaces, so the shell works
# it out: from the end of MAKEFILE_LIST, taken as one string.
override SELF := $(MAKEFILE_LIST)
override ROOT := $(shell dirname "$$(printf '%s' '$(SELF)' | sed 's/^ *//')")
IN_ROOT = cd "$(ROOT)"
PYTHON ?= python3
ARGS ?=
# How often `make faults` kills a process at a random point; `make test` does it six times.
KILLS ?= 20

.DEFAULT_GOAL := help
.PHONY: help run demo test lint docs bench evaluate faults archive research roads contracts anvil lock clean clean-data

help: ## show this
	@echo 'usage: make TARGET [ARGS="..."]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' "$(ROOT)/Makefile" | awk -F'|' '{ printf "%-14s%s\n", $$1, $$2 }'

# exec: Ctrl-C then reaches the platform and nothing between, and make waits until it has stopped cleanly.
run: ## set up, start the platform with a simulated city and fleet, print the address of the map
	@$(IN_ROOT) && "$(PYTHON)" bootstrap.py runtime && exec .venv/bin/roadcode up --simulate $(ARGS)

demo: ## set up, do the whole of it once without a person, write demo.json and demo.png
	@$(IN_ROOT) && "$(PYTHON)" bootstrap.py runtime && exec .venv/bin/roadcode demo $(ARGS)

test: ## set up, run all tests (ARGS go to pytest)
	@$(IN_ROOT) && "$(PYTHON)" bootstrap.py test && exec .venv/bin/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: ## set up, check style, types and doors
	@$(IN_ROOT) && "$(PYTHON)" bootstrap.py dev \
		&& .venv/bin/python -m ruff check . \
		&& .venv/bin/python -m mypy \
		&& .venv/bin/lint-imports

docs: ## write the generated tables of docs/ again, from the code
	@$(IN_ROOT) && "$(PYTHON)" bootstrap.py runtime && exec .venv/bin/python -m api.documents $(ARGS)

bench: ## measure what this machine can do (ARGS="ingest": from publisher to committed)
	@$(IN_ROOT) && "$(PYTHON)" bootstrap.py runtime && exec .venv/bin/roadcode bench $(if $(ARGS),$(ARGS),parts)

faults: ## kill, freeze, cut, fill and fuzz everything, and count what was lost (KILLS=100 for a long run)
	@$(IN_ROOT) && "$(PYTHON)" bootstrap.py test && KILLS="$(KILLS)" MACHINE="$(KILLS)" exec .venv/bin/python -m pytest -s tests/faults \
		tests/ledger/test_outbox.py tests/ledger/test_windows.py tests/ledger/test_contract.py tests/api/test_points_machine.py $(ARGS)

archive: ## set up what `roadcode archive` needs besides (Parquet)
	@$(IN_ROOT) && exec "$(PYTHON)" bootstrap.py archive

research: ## set up what training and the benchmark need besides (scikit-learn, matplotlib)
	@$(IN_ROOT) && exec "$(PYTHON)" bootstrap.py research

roads: ## set up what `roadcode import-roads` needs besides (geopandas)
	@$(IN_ROOT) && exec "$(PYTHON)" bootstrap.py roads

evaluate: ## judge the shipped models on simulated and real roads (ARGS="--quick" for minutes)
	@$(IN_ROOT) && "$(PYTHON)" bootstrap.py research && exec .venv/bin/roadcode evaluate $(ARGS)

contracts: ## recompile the contract with the compiler it is pinned to
	@$(IN_ROOT) && "$(PYTHON)" bootstrap.py runtime && "$(PYTHON)" bootstrap.py contracts \
		&& .venv/bin/python -m ledger.contracts.build "$$PWD/.venv-contracts/bin/vyper"

anvil: ## set up a second chain for the tests (anvil, from npm); without it they skip and say so
	@$(IN_ROOT) && exec "$(PYTHON)" bootstrap.py anvil

# No annotations, no index addresses: a lock says what, never where from. Order matters: archive, research, roads and test are held to runtime, dev to all.
lock: ## write the locks again, from requirements/*.in and package.json (ARGS="--upgrade" for newer versions)
	@$(IN_ROOT) && "$(PYTHON)" bootstrap.py dev && cd requirements && for name in runtime archive research roads test dev contracts node; do \
		echo "locking $$name"; \
		../.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
			--no-annotate --custom-compile-command 'make lock' $(ARGS) --output-file "$$name.lock" "$$name.in" || exit 1; \
	done
	@$(IN_ROOT) && if command -v npm >/dev/null; then for folder in . tests/anvil; do \
			npm --prefix "$$folder" install --package-lock-only --ignore-scripts --no-audit --no-fund || exit 1; done; \
		else echo 'npm is not here: package-lock.json stays as it is'; fi

clean: ## remove what set-up and tests made; the data folder (var) stays
	@$(IN_ROOT) && rm -rf .venv .venv-node .venv-contracts .cache node_modules tests/anvil/node_modules api/web/vendor api/web/vendor.new \
		.pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks ./*.egg-info build \
		&& find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +

clean-data: ## remove the data folder (ROADCODE_HOME, default var), after asking
	@$(IN_ROOT) && home="$${ROADCODE_HOME:-var}" && if [ ! -f "$$home/ports.json" ]; then \
		echo "no data folder at $$home"; exit 0; fi \
		&& printf 'Remove all chunks, evidence, codes and keys in %s? Type yes: ' "$$home" && read -r answer \
		&& if [ "$$answer" = yes ]; then rm -rf "$$home" && echo removed; else echo 'nothing was removed'; fi
