# freeonce. `make` alone prints this help.
#
#   make run     everything from nothing to the report (ARGS='fault/*' for some scenarios)
#   make shell   a guest and a prompt on it (ARGS: a scenario to run in it first)
#   make test    unit tests, tests in real guests and in a browser (ARGS for pytest)
#   make setup   only the set-up: system packages, virtual environment, images
#   make test-kvm  the KVM path, also without SVM in this machine (ARGS: names of scenarios)
#   make test-qemu  tests in real guests under a newer QEMU, of Debian's backports (ARGS for pytest)
#   make test-lowest  unit tests with the lowest versions that pyproject.toml allows
#   make matrix  the scenarios at every optimization level, with LTO and without
#   make bench   what it costs, beside vng if that is installed (ARGS: how many rounds, parts)
#   make deception  every lie about one record of each planted fault (ARGS: --share 0.1, names)
#   make fuzz    what reads from the guest, by coverage, for an hour (ARGS: --seconds N, targets)
#   make mutation  audit and evidence changed in each way that tests should notice (ARGS: --share 0.02)
#   make death   whoever dies at 200 random moments each, into docs/death.md (ARGS: how many, --at-once N)
#   make soak    10,000 guests by one harness, and what it keeps of them, into docs/soak.md (ARGS: how many)
#   make unsaid  an instrument without each type of record, into docs/unsaid.md (ARGS: records)
#   make kills   1,000 tasks of a campaign, 100 kills of its parts, into docs/kills.md (ARGS: --tasks N)
#   make transcript  from a wheel to findings, word by word and timed, into docs/installed.md
#   make scale   what a campaign costs beside its guests (ARGS: --tasks N, --guests N)
#   make lint    ruff, mypy, rustfmt, shellcheck, the schemas of the pipelines in ci/
#   make clean   remove what was built (images, templates, virtual environment)
#
# KERNEL chooses the guest's kernel: cloud (default), host, a linux-image package, or the
# path of a built tree. OUTER likewise: the kernel with kvm_amd that `make test-kvm` emulates a
# host with, where this one has no SVM. KERNEL_PIN refuses another kernel than the one of which
# images/kernel-pin.sh told this digest. CONSTRAINTS is a file of versions for pip; ci/constraints.txt has
# those that we test with. RUSTC chooses a Rust compiler, PYTHON a Python of 3.11 or later.

PYTHON ?= python3
KERNEL ?= cloud
OUTER ?= linux-image-amd64
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
# The recipes of images use the harness, so its own Python runs them.
RECIPES = PYTHON='$(CURDIR)/$(BIN)/python'
RUST_FILES = $(shell find guest/rust/src -name '*.rs')
SHELL_FILES = $(shell git ls-files -co --exclude-standard '*.sh') ci/install-deps ci/lane ci/newer-qemu .ci/run guest/init/etc/rc guest/outer/init guest/outer/look

.PHONY: help setup packages images outer run shell test test-kvm test-qemu test-lowest matrix deception fuzz mutation bench death soak unsaid kills transcript scale lint format clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup: packages $(VENV)/installed images

packages:
	@PYTHON='$(PYTHON)' KERNEL='$(KERNEL)' ci/install-deps run

$(VENV)/installed: pyproject.toml | packages
	@mkdir -p build
	@flock build/lock $(MAKE) --no-print-directory $(VENV)/made

# Under the lock: another make may have made it while we waited.
$(VENV)/made: pyproject.toml
	@echo "setup: virtual environment"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(addprefix --constraint ,$(CONSTRAINTS)) --editable '.[dev]'
	@touch $(VENV)/made $(VENV)/installed

# Bytecode also where PYTHONDONTWRITEBYTECODE is set: to compile everything is half of a short run.
images: packages $(VENV)/installed
	@$(BIN)/python -m compileall -q -x project/new harness
	@$(BIN)/freeonce setup --no-packages --kernel '$(KERNEL)'

# make itself ends with 2 whatever fails in it; so the status is said in words.
run: setup
	@$(BIN)/freeonce run $(ARGS) || { status=$$?; echo "freeonce: status $$status" >&2; exit $$status; }

shell: setup
	@$(BIN)/freeonce shell $(ARGS)

test: setup
	@PYTHON='$(PYTHON)' KERNEL='$(KERNEL)' ci/install-deps test
	@$(BIN)/pytest -n auto --maxprocesses 8 --dist loadgroup $(ARGS)

test-kvm: setup
	@case "$$($(BIN)/freeonce lane --where)" in outer:*) $(MAKE) --no-print-directory outer ;; esac
	@$(BIN)/freeonce lane $(ARGS)

test-qemu: setup
	@ci/newer-qemu build/newer-qemu
	@FREEONCE_QEMU=$(CURDIR)/build/newer-qemu/qemu $(BIN)/pytest -n auto --maxprocesses 8 --dist loadgroup $(or $(ARGS),tests/guest)

LOWEST := build/lowest

test-lowest: packages
	@mkdir -p build
	@ci/lowest >$(LOWEST).txt
	@$(PYTHON) -m venv --clear $(LOWEST)
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(LOWEST).txt --editable '.[dev]'
	@$(LOWEST)/bin/python -m pytest -q -n auto --maxprocesses 8 tests/unit $(ARGS)

outer: $(VENV)/installed
	@PYTHON='$(PYTHON)' KERNEL='$(OUTER)' ci/install-deps run
	@$(BIN)/freeonce setup --no-packages --outer --kernel '$(OUTER)'

matrix: setup
	@$(MAKE) --no-print-directory -j2 -C images KERNEL='$(KERNEL)' $(RECIPES) variants
	@$(BIN)/freeonce compare build/current/variants/*/manifest.json

deception: $(VENV)/installed
	@$(BIN)/python -m tests.deception $(ARGS)

$(VENV)/with-%: $(VENV)/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,$*]'
	@touch $@

fuzz: $(VENV)/with-fuzz
	@$(BIN)/python -m tests.fuzz $(ARGS)

mutation: $(VENV)/with-mutation
	@$(BIN)/python -m tests.mutation $(ARGS)

bench: setup
	@$(BIN)/python -m freeonce.bench build/bench.json $(ARGS)

death: setup
	@nice $(BIN)/python -m tests.death docs/death.md $(ARGS)

unsaid: setup
	@nice $(BIN)/python -m tests.unsaid docs/unsaid.md $(ARGS)

soak: setup
	@nice $(BIN)/python -m tests.soak docs/soak.md $(ARGS)

kills: setup
	@nice $(BIN)/python -m tests.kills docs/kills.md $(ARGS)

# Of a clean HOME: minutes, most of them for the image.
transcript: setup
	@$(BIN)/python -m tests.transcript docs/installed.md

scale: setup
	@$(BIN)/python -m tests.scale $(ARGS)

lint: $(VENV)/installed
	@PYTHON='$(PYTHON)' ci/install-deps lint
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@rustfmt --edition 2024 --config-path guest/rust/rustfmt.toml --check $(RUST_FILES)
	@shellcheck -x -P SCRIPTDIR $(SHELL_FILES)
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows ci/github.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.gitlab-ci ci/gitlab-ci.yml

format: $(VENV)/installed
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format --quiet .
	@rustfmt --edition 2024 --config-path guest/rust/rustfmt.toml $(RUST_FILES)

clean:
	rm -rf build $(VENV) /dev/shm/freeonce-$$(id -u) /var/tmp/freeonce-$$(id -u)
