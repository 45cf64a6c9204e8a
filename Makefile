# What a developer does, one word each.  Everything made lies in .venv and
# .cache; `make clean` removes both.
#
#   make demo          play the life of one VM, each command before its output
#   make test          every check there is; the same as .ci/run
#   make test-qemu10   the functional tests against QEMU 10 of Debian 13
#   make bench         the figures of doc/explanation/performance.md
#   make docs          the documentation, into doc/_build/html
#
# The parts of `make test`: lint types docs unit functional plugins.
# ARGS is passed to pytest: make unit ARGS='-k proc -x'

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.NOTPARALLEL:

# Start-up time is a promise of ours: let Python keep its byte code.
unexport PYTHONDONTWRITEBYTECODE

CACHE := $(CURDIR)/.cache
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
PLUGINS_VENV := $(CACHE)/plugins-venv
PLUGINS_BIN := $(PLUGINS_VENV)/bin
PLUGINS := $(patsubst plugins/%/setup.cfg,%,$(wildcard plugins/*/setup.cfg))
ALONE := $(CACHE)/plugins-alone
GUEST_SOURCES := $(sort $(shell find tests/guest -type f))
GUEST := $(CACHE)/guest/$(shell cat $(GUEST_SOURCES) | sha256sum | head -c12)
QEMU10 := $(CACHE)/qemu10
# What a build needs: see pyproject.toml.
BUILD := 'setuptools >= 75' 'cliff >= 4.13.2' 'msgspec >= 0.19'
SCRIPTS := $(shell grep -rlI --exclude "*.py" "^\#!.*sh$$" .ci doc tests tools)

export QEMU_CLI_TEST_GUEST := $(GUEST)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Files and directories: a file that is gone makes its directory newer.
sources = $(shell find $(1) -mindepth 1 -name __pycache__ -prune -o \
    -name '*.egg-info' -prune -o -name build -prune -o -name tests -prune \
    -o -print)

DEMO_PACKAGES := qemu-system-x86 qemu-utils cpio xz-utils
TEST_PACKAGES := ovmf qemu-system-arm qemu-efi-aarch64 swtpm libnbd-bin \
    nbdkit systemd iproute2 gnutls-bin libvirt-daemon \
    libvirt-daemon-driver-qemu libvirt-clients zsh fish man-db mandoc \
    shellcheck less tcpdump virtiofsd?
LINT_PACKAGES := shellcheck
BENCH_PACKAGES := valgrind libnbd-bin libvirt-daemon \
    libvirt-daemon-driver-qemu libvirt-clients
QEMU10_PACKAGES := debootstrap debian-archive-keyring patchelf

run_tests = PATH=$(1):$$PATH $(1)/python tests/none_left.py $(1)/pytest -q \
    --durations 12 --durations-min 8
QEMU10_ENVIRONMENT = QEMU_CLI_CONFIG_QEMU_PATH=$(QEMU10)/bin \
    QEMU_MODULE_DIR=$(QEMU10)/modules \
    QEMU_CLI_TEST_QEMU=$(QEMU10)/bin/qemu-system-x86_64
# Tests of a file share a guest.
SPREAD := -n 2 --dist loadfile

.PHONY: demo test lint types docs unit functional plugins test-qemu10 bench \
    guest clean demo-packages test-packages

demo: demo-packages $(VENV)/installed $(GUEST)/initrd.gz
	@PATH=$(BIN):$$PATH bash doc/tutorial/demo.sh $(GUEST)

test: lint types docs unit functional plugins

lint: $(VENV)/installed $(VENV)/tools
	@tools/packages.sh $(LINT_PACKAGES)
	shellcheck $(SCRIPTS)
	@said=$$($(BIN)/towncrier build --draft --version next 2>&1) || \
	    { echo "$$said"; exit 1; }
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed $(VENV)/tools $(PLUGINS_VENV)/installed
	$(BIN)/mypy
	for plugin in plugins/*/; do \
	    $(PLUGINS_BIN)/mypy --exclude /tests/ "$$plugin"; done

docs: $(VENV)/installed $(VENV)/tools
	$(BIN)/sphinx-build -q -W --keep-going -b html doc doc/_build/html

unit: test-packages $(VENV)/installed $(VENV)/tools
	$(call run_tests,$(BIN)) -n 2 tests/unit $(ARGS)

# One more than there are CPUs: most tests wait more than they compute.
functional: test-packages $(VENV)/installed $(VENV)/tools $(GUEST)/initrd.gz
	$(call run_tests,$(BIN)) -n 3 tests/functional $(ARGS)

# Each without the others, with all of its tests; then all together, with
# those that need no guest: what one plug-in does to another is seen there.
plugins: test-packages $(PLUGINS_VENV)/installed \
    $(PLUGINS:%=$(ALONE)/%/installed) $(GUEST)/initrd.gz
	for plugin in $(PLUGINS); do bin=$(ALONE)/$$plugin/bin; \
	    QEMU_CLI_HOME=$(ALONE) $$bin/qemu plugin doctor; \
	    PATH=$$bin:$$PATH $$bin/python tests/none_left.py \
	        $$bin/python -P -m pytest -q $(SPREAD) plugins/$$plugin $(ARGS); done
	QEMU_CLI_HOME=$(ALONE) $(PLUGINS_BIN)/qemu plugin doctor
	$(call run_tests,$(PLUGINS_BIN)) $(SPREAD) -m 'not boots' \
	    plugins tests/together $(ARGS)

test-qemu10: test-packages $(VENV)/installed $(VENV)/tools \
    $(PLUGINS_VENV)/installed $(GUEST)/initrd.gz
	@tools/packages.sh $(QEMU10_PACKAGES)
	$(if $(filter 0,$(shell id -u)),,sudo) tools/qemu10.sh $(QEMU10)
	$(QEMU10_ENVIRONMENT) $(call run_tests,$(BIN)) -n 3 tests/functional $(ARGS)
	$(QEMU10_ENVIRONMENT) $(call run_tests,$(PLUGINS_BIN)) $(SPREAD) plugins $(ARGS)

bench: demo-packages $(VENV)/installed $(PLUGINS_VENV)/installed \
    $(GUEST)/initrd.gz
	@tools/packages.sh $(BENCH_PACKAGES)
	QEMU_CLI_BENCH_PLUGINS=$(PLUGINS_BIN)/qemu \
	    $(BIN)/python benchmarks/run.py $(ARGS)

guest: demo-packages $(GUEST)/initrd.gz

clean:
	rm -rf $(VENV) $(CACHE) build doc/_build

demo-packages:
	@tools/packages.sh $(DEMO_PACKAGES)

test-packages: demo-packages
	@tools/packages.sh $(TEST_PACKAGES)

$(GUEST)/initrd.gz: | demo-packages
	tests/guest/build.sh $(GUEST) $(CACHE)/debs

$(VENV)/made:
	@python=$$(tools/python.sh $(PYTHON)); \
	"$$python" -c 'import ensurepip' 2>/dev/null || \
	    tools/packages.sh python3-venv; \
	echo "making .venv with $$python"; \
	"$$python" -m venv --clear $(VENV)
	@$(BIN)/pip install -qq $(BUILD)
	@touch $@

# Not editable: what is tested is what a user installs.
$(VENV)/installed: $(VENV)/made setup.cfg setup.py pyproject.toml \
    $(call sources,qemu_cli)
	@rm -rf build
	$(BIN)/pip install -qq --no-build-isolation .
	@rm -rf build
	@touch $@

$(VENV)/tools: setup.cfg | $(VENV)/installed
	$(BIN)/pip install -qq --no-build-isolation '.[test,lint,docs]'
	@touch $@

# The plug-ins have environments of their own: the core's tests want none.
# One of them alone has what the core has, and nothing of the others.
$(PLUGINS_VENV)/made: $(VENV)/made
	@$(BIN)/python -m venv --clear $(PLUGINS_VENV)
	@$(PLUGINS_BIN)/pip install -qq $(BUILD)
	@touch $@

$(ALONE)/%/installed: $(VENV)/tools tests/sharing_venv.py \
    $(call sources,plugins)
	$(BIN)/python tests/sharing_venv.py $(@D) plugins/$*
	@touch $@

$(PLUGINS_VENV)/installed: $(PLUGINS_VENV)/made $(VENV)/installed \
    $(call sources,plugins)
	@rm -rf build plugins/*/build
	$(PLUGINS_BIN)/pip install -qq --no-build-isolation '.[test,lint]' \
	    plugins/*/
	@rm -rf build plugins/*/build
	@touch $@
