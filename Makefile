# Two commands for a newcomer: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
FUZZ_S ?= 60
CATALOGUE := clinicians/locales/zh_Hans/LC_MESSAGES/messages.po

.PHONY: help demo test check fuzz browser bluez soak faults nights timescale bench screenshots messages lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(VENV)/.demo: requirements/demo.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Hearthwatch needs Python 3.11 or newer; set PYTHON=/path/to/it" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/demo.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -c 'from alerts.engine import compile_ahead; compile_ahead()'
	touch $@

$(VENV)/.dev: $(VENV)/.demo requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	touch $@

$(VENV)/.bench: $(VENV)/.dev requirements/bench.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.lock
	touch $@

demo: $(VENV)/.demo ## the whole service on this machine, with a street of virtual homes
	$(BIN)/hearthwatch demo

test: $(VENV)/.dev ## the whole suite (by three processes on two cores: a good part of it waits)
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev ## lint, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: $(VENV)/.dev ## bytes nobody thought of for every Bluetooth decoder, for FUZZ_S seconds (Linux on x86-64)
	$(BIN)/python -m tests.fuzz.gatt -max_total_time=$(FUZZ_S)

browser: $(VENV)/.dev ## the portals in headless Chromium
	$(BIN)/python -m pytest -m browser tests/browser

bluez: $(VENV)/.dev ## the gateway with a real kernel and bluetoothd in a virtual machine, made in .bluez/ (amd64 Debian)
	PYTHON=$(abspath $(BIN))/python tests/bluez/make-guest.sh .bluez
	$(BIN)/python -m pytest -n0 -m bluez tests/bluez

soak: $(VENV)/.dev ## fifty devices misbehave for ten minutes, the gateway is killed every 20 s, the network mostly away
	HEARTHWATCH_SOAK_S=600 $(BIN)/python -m pytest -s tests/story/test_street.py

faults: $(VENV)/.dev ## a week of 5,000 residents while the watch and its database are killed 200 times (about ten minutes)
	$(BIN)/python -m bench.watch

nights: $(VENV)/.dev ## a thousand calls for help while everything between a button and a telephone breaks (about eight minutes)
	$(BIN)/python -m bench.nights

timescale: ## a real TimescaleDB in .timescale/, nothing installed (Debian and its kin)
	deploy/timescale-here.sh .timescale

bench: $(VENV)/.bench ## the figures of bench/RESULTS.md, one after the other (about forty minutes)
	for figure in ingest latency page engine backtest escalation falls protocols; do $(BIN)/python -m bench.$$figure || exit 1; done

screenshots: $(VENV)/.dev ## take the pictures of docs/screenshots anew (needs Chromium)
	PYTHONPATH=. $(BIN)/python docs/take_screenshots.py

messages: $(VENV)/.dev ## collect the sentences of the pages for translation (see docs/translating.md)
	sed '/^$$/q' $(CATALOGUE) > .messages.head
	$(BIN)/pybabel -q extract -F clinicians/locales/babel.cfg -k N_ --no-location --sort-output -o .messages.pot clinicians
	$(BIN)/pybabel -q update -i .messages.pot -d clinicians/locales -l zh_Hans --no-fuzzy-matching --ignore-obsolete --no-wrap --omit-header
	cat .messages.head $(CATALOGUE) > .messages.po && mv .messages.po $(CATALOGUE)
	rm .messages.pot .messages.head

lock: ## resolve the dependencies anew (needs uv)
	@for pair in gateway:"--extra gateway" server:"--extra server" demo:"--extra gateway --extra server --extra virtual" dev:"--extra dev" bench:"--extra server --extra bench --constraints requirements/dev.lock"; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	    pyproject.toml $${pair#*:} -o requirements/$${pair%%:*}.lock || exit 1; done
	echo "setuptools>=80" | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	    - -o requirements/build.lock

clean: ## remove what was installed and the demo's data
	rm -rf $(VENV) .hearthwatch .timescale .bluez build *.egg-info
