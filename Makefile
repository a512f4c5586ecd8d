# Two commands on a fresh machine: `make demo` and `make test`. Everything they need is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export YOLO_AUTOINSTALL = false
export YOLO_OFFLINE = true

.PHONY: demo setup check test test-all bench clean
.DEFAULT_GOAL := demo

demo: setup  ## run the main job on the sample site and score it against the known truth
	$(BIN)/python -m pipeline run configs/demo.yaml --output out/demo
	$(BIN)/python -m pipeline render out/demo
	$(BIN)/python -m pipeline evaluate --truth samples/demo --result out/demo/trajectories.json --json out/demo/scores.json
	@echo
	@echo "Trajectories  out/demo/trajectories.json"
	@echo "Videos        out/demo/overlay/"
	@echo "Scores        out/demo/scores.json"

setup: $(STAMP)  ## make the environment and install everything

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,openvino,sinks,train,tune]'
	@touch $@

check: setup  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/mypy

test: setup  ## the fast tests
	$(BIN)/python -m pytest -m "not slow and not benchmark"

test-all: setup  ## also the slow ones, as CI runs them
	$(BIN)/python -m pytest -m "not benchmark"

bench: setup  ## measure speed and accuracy side by side
	$(BIN)/python -m pytest -m benchmark -s tests/benchmarks/bench_*.py

clean:
	rm -rf $(VENV) out build *.egg-info
