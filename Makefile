# Everything a person does with this project starts here: `make` lists it.
# Needs only make, Python 3.11 or newer with venv, and the package registries: no root, no Node, no other tools.

VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
JOBS   ?= 4  # more than cores: many tests wait for time to pass
CODE   := dispatchd devices protocols simulators $(wildcard benchmarks) tests
LOCKS  := requirements/runtime.txt requirements/build.txt requirements/dev.txt

# The wheels of the lock only: nothing is compiled here and nothing unlocked builds anything.
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet install --require-virtualenv
LOCKED := $(PIP) --require-hashes --only-binary :all:

# The first of these that runs, is new enough and can make a virtual environment; `make PYTHON=…` says otherwise.
PYTHONS := $(if $(PYTHON),"$(PYTHON)",python3 python3.14 python3.13 python3.12 python3.11 python)
USABLE  := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: docs help setup setup-run audio demo test test-all lint format types contracts wheel lock soak bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo '  ARGS="…" is handed to demo, bench, soak and the tests; PYTHON=… names the interpreter.'

# ---------------------------------------------------------------------------------------------------- set-up
$(VENV)/.made:
	@for python in $(PYTHONS); do \
	  if "$$python" -c '$(USABLE)' >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo 'make: no Python 3.11 or newer with venv among: $(subst ",,$(PYTHONS)).' >&2; \
	  echo 'make: install one (Debian: python3 and python3-venv), or name it: make PYTHON=/path/to/python3.12 …' >&2; \
	  exit 1; \
	fi; \
	echo "set-up: $$($$found --version) makes $(VENV)"; "$$found" -m venv $(VENV)
	@touch $@

$(VENV)/.run: requirements/runtime.txt requirements/build.txt pyproject.toml | $(VENV)/.made
	@echo 'set-up: locked packages that dispatchd runs on'
	@$(LOCKED) -r requirements/runtime.txt -r requirements/build.txt
	@$(PIP) --no-build-isolation --no-deps --no-index -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo 'set-up: locked packages for tests and checks'
	@$(LOCKED) -r requirements/runtime.txt -r requirements/build.txt -r requirements/dev.txt
	@touch $@

$(VENV)/.audio: requirements/audio.txt $(VENV)/.run
	@test -e /usr/include/portaudio.h || { echo 'make: PortAudio is missing: apt-get install portaudio19-dev gcc' >&2; exit 1; }
	@echo 'set-up: PyAudio, compiled here'
	@$(PIP) --require-hashes -r requirements/audio.txt
	@touch $@

audio: $(VENV)/.audio  ## microphone and loudspeaker of this machine; needs portaudio19-dev and a compiler

setup: $(VENV)/.dev  ## make .venv from the lock (run and development); instant when nothing changed
setup-run: $(VENV)/.run

# ------------------------------------------------------------------------------------------------------- run
demo: $(VENV)/.run  ## start daemon, broker and a simulated city, and say what to try
	@$(BIN)/dispatch-sim demo $(ARGS)

bench: $(VENV)/.dev  ## measure: make bench ARGS="NAME --json"
	@$(BIN)/python -m benchmarks $(ARGS)

# ---------------------------------------------------------------------------------------------------- checks
PYTEST := $(BIN)/python -m pytest
# Tests that want the machine for themselves come first, one by one, if there are any (exit 5: none was selected).
ALONE   = if grep -rqs 'mark[.]alone' tests --include='*.py'; then \
            $(PYTEST) -m 'alone and not full' $(ARGS) || [ $$? -eq 5 ]; fi

test: lint types contracts  ## checks, then every test but the long ones (under 4 minutes)
	@$(ALONE)
	$(PYTEST) -m 'not full and not alone' -n $(JOBS) --dist worksteal $(ARGS)

test-all: $(VENV)/.dev  ## the long tests; some need Debian packages or root
	$(PYTEST) -m full --timeout 1200 $(ARGS)

soak: $(VENV)/.dev  ## hundreds of kills; hours if asked: make soak ARGS="…"
	$(BIN)/python -m tests.soak $(ARGS)

lint: $(VENV)/.dev  ## ruff: rules and layout
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .

docs: $(VENV)/.dev  ## write the generated pages anew
	$(BIN)/python -m protocols.asyncapi > docs/asyncapi.yaml
	$(BIN)/python -m dispatchd.event_docs > docs/events.md
	$(BIN)/python -m dispatchd.config --docs settings > docs/settings.md
	$(BIN)/python -m dispatchd.config --docs rules > docs/rules.md

format: $(VENV)/.dev  ## let ruff lay out and mend what it can
	$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format .

types: $(VENV)/.dev  ## mypy --strict
	$(BIN)/mypy $(CODE)

contracts: $(VENV)/.dev  ## which room may import which
	$(BIN)/lint-imports --no-logo

# ----------------------------------------------------------------------------------------------- build, lock
wheel: $(VENV)/.dev  ## build dist/dispatchd-*.whl
	@rm -rf dist/*.whl
	$(BIN)/hatchling build --target wheel

COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
           --custom-compile-command 'make lock' $(ARGS)

lock: $(VENV)/.run  ## choose versions anew: make lock ARGS=--upgrade, or ARGS="--upgrade-package NAME"
	@$(LOCKED) -r requirements/uv.txt
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) pyproject.toml --extra audio -c requirements/runtime.txt -o requirements/audio.txt
	$(COMPILE) --group build -c requirements/runtime.txt -o requirements/build.txt
	$(COMPILE) --group dev -c requirements/runtime.txt -c requirements/build.txt -o requirements/dev.txt
	$(COMPILE) requirements/uv.in -o requirements/uv.txt

clean:  ## remove everything that make made
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(CODE) -type d -name __pycache__ -prune -exec rm -rf {} +
