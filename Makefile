# make demo: install into .venv, run the default study, say where the report is. make test: prove that it all works.
# make plan CONFIG=my_study.yaml: what the next run would do and take (GPUS="4 8", GPU_SPEED=0.4: docs/how-to/costs.md). make recommend TARGET=th-TH: what a finished run says about it.
PYTHON ?= python3
VENV ?= .venv
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
BIN := $(VENV)/bin

.PHONY: demo demo-takes plan recommend training-length test test-all test-large test-cluster test-nightly lint docs wheel install install-dev clean

demo: demo-takes install
	@$(BIN)/snakemake --cores $(CORES)

demo-takes:
	@test -e $(VENV)/.installed || echo "make demo: first Python packages are installed into $(VENV) (2.4 GB, more where pip brings CUDA's libraries; pip says what it downloads); then the default study runs, which begins with what it takes: jobs, minutes, downloads, disk."

plan: install
	@$(BIN)/xlmerge plan $(addprefix --gpus ,$(GPUS)) $(if $(GPU_SPEED),--gpu-speed $(GPU_SPEED)) $(if $(CONFIG),--configfile $(CONFIG))

recommend: install
	@$(BIN)/xlmerge recommend $(TARGET) $(if $(CONFIG),--configfile $(CONFIG))

# how the length of training moves own models, transfer and merges: a run per length, then all against each other
EPOCHS ?= 3 5 10
NAME ?= training-length
training-length: install
	@for n in $(EPOCHS); do $(BIN)/xlmerge run --configfile $(or $(CONFIG),config.yaml) presets/questions/training_length.yaml -c $(CORES) --config run=$(NAME)-epochs$$n "finetune={epochs: $$n}" || exit 1; done
	@$(BIN)/xlmerge compare $(foreach n,$(EPOCHS),results/$(NAME)-epochs$(n))

test: install-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not rehearsal and not real_encoder"

test-all: test-large test-cluster

# The bundled encoder, and the 49-locale study with a tiny encoder and a few sentences per locale.
test-large: install-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "rehearsal or real_encoder" tests/workflow tests/unit

# A real one-node Slurm; needs root and Debian's slurm-wlm and munge, and is skipped with a reason where they are not there.
test-cluster: install-dev
	$(BIN)/python -m pytest -m "not rehearsal" tests/cluster

# All experiments of the 49-locale study on that Slurm, with a dozen locales: a job of the nightly workflow.
test-nightly: install-dev
	$(BIN)/python -m pytest -m "rehearsal" tests/cluster

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint --configfile presets/tiny.yaml

# The reference pages that the code writes, then the site, in site/; a broken link or anchor is an error.
docs: install-dev
	$(BIN)/python -m docs.generate
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# An sdist, and a wheel built from it, in dist/; the wheel is installed and runs a study outside this folder.
wheel: install-dev
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m pytest tests/package

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "xlmerge needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements-dev.lock
	touch $@

clean:
	rm -rf $(VENV) .snakemake dist site
