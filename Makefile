# Two commands matter: `make demo` and `make test`. Both set everything up first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: services services-down drills setup demo test test-fast lint bench bench-data bench-train bench-track results ui docs clean lock

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; name it with PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	$(BIN)/ssat demo

# Two processes: much of the time is waiting for servers that start. Tests of one file stay together, the longest first
# (tests/conftest.py), which xdist would undo by putting files with few tests last.
test: setup
	@infra/system-packages.sh
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 15

# The library's tests that need no service and take no second each.
test-fast: setup
	$(BIN)/python -m pytest tests/ssat tests/test_*.py -n 2 --dist loadfile -m "not integration and not slow"

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	@set -e; for file in $(sort $(wildcard benchmarks/*.py)); do echo "$$file"; $(BIN)/python "$$file"; done

PEERS := benchmarks/.peers
# video2dataset and the ffmpeg program in environments of their own; video2dataset wants an older NumPy, and with it an
# older pyarrow. WebDataset is compared in the same process and lies in a folder beside. A peer that cannot be installed
# is left out.
bench-data: setup
	@test -x $(PEERS)/video2dataset/bin/python || { $(BIN)/uv venv --quiet $(PEERS)/video2dataset && \
		$(BIN)/uv pip install --quiet --python $(PEERS)/video2dataset/bin/python video2dataset==1.3.0 "pyarrow<20"; } || \
		rm -rf $(PEERS)/video2dataset
	@test -x $(PEERS)/ffmpeg/bin/python || { $(BIN)/uv venv --quiet $(PEERS)/ffmpeg && \
		$(BIN)/uv pip install --quiet --python $(PEERS)/ffmpeg/bin/python imageio-ffmpeg==0.6.0; } || rm -rf $(PEERS)/ffmpeg
	@test -d $(PEERS)/webdataset || $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps \
		--target $(PEERS)/webdataset webdataset==1.0.2 braceexpand==0.1.7 || rm -rf $(PEERS)/webdataset
	@set -e; for name in control_plane sampler sampler_peers; do \
		echo "$$name"; PYTHONPATH=$(PEERS)/webdataset $(BIN)/python benchmarks/$$name.py; done
	$(BIN)/python benchmarks/collect.py $$(test ! -x $(PEERS)/video2dataset/bin/python || \
		echo --peer $(PEERS)/video2dataset/bin/python)
	$(BIN)/python benchmarks/decode_path.py $$(test ! -x $(PEERS)/ffmpeg/bin/python || \
		$(PEERS)/ffmpeg/bin/python -c "import imageio_ffmpeg; print('--ffmpeg', imageio_ffmpeg.get_ffmpeg_exe())")

# Other trackers, each in an environment of its own: their requirements do not go together.
bench-track: setup
	@for peer in trackers==2.6.1 norfair==2.3.0 boxmot==25.0.0; do \
		test -x $(PEERS)/$${peer%%=*}/bin/python || { \
			$(BIN)/uv venv --quiet $(PEERS)/$${peer%%=*} && \
			$(BIN)/uv pip install --quiet --python $(PEERS)/$${peer%%=*}/bin/python $$peer; } || exit 1; \
	done
	@$(BIN)/uv pip install --quiet --python $(PEERS)/boxmot/bin/python onnxruntime==1.24.3  # BoxMOT 25 asks for this one
	$(BIN)/python benchmarks/association.py $(foreach peer,trackers norfair boxmot,--peer $(peer)=$(PEERS)/$(peer)/bin/python)
	$(BIN)/python benchmarks/refinement.py
	$(BIN)/python benchmarks/track_speed.py

bench-train: setup
	@set -e; for name in train_throughput cosface_head embed_cpu; do \
		echo "$$name"; $(BIN)/python benchmarks/$$name.py; done

# Every study on the evaluation data that SSAT_REAL_DATA names; hours on two cores, then minutes.
results: setup
	$(BIN)/python -m flows.results

ui: setup
	$(BIN)/ssat ui

# Postgres, Prefect, MLflow and a Ray of three nodes as processes on loopback; docs/cluster.md.
services: setup
	@infra/system-packages.sh
	$(BIN)/python -m infra.services up

services-down: setup
	$(BIN)/python -m infra.services down

# Kills, stops and starves each part and compares what comes of it; writes docs/reliability.md.
drills: setup
	@infra/system-packages.sh faketime
	$(BIN)/python -m infra.drills

docs: setup
	$(BIN)/python -m flows.settings_page > docs/settings.md.new
	@mv docs/settings.md.new docs/settings.md

lock:
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra pipeline --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet --output-file requirements.lock

clean:
	rm -rf $(VENV) workspace .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis benchmarks/results
