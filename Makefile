# make demo   set up, export the shipped checkpoints, answer with them and quantize them in environments without torch
# make test   set up, lint, check types, run the tests
# Both make their own virtual environments beside this file and need Python 3.11 or newer with venv.

PYTHON ?= python3
JOBS ?= 2
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
BUNDLES = build/bundles

.PHONY: demo test lint types unit slow gpu fixtures train bench-generation bench-recognition bench-latency \
	bench-operators bench-concurrency bench-scale bench-footprint clean

demo: .venv/ready .venv-run/ready .venv-quantize/ready
	.venv/bin/python -m examples.export_samples $(BUNDLES)
	.venv-run/bin/python -m examples.demo $(BUNDLES)
	.venv-quantize/bin/python -m examples.quality $(BUNDLES)

test: lint types unit

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: .venv/ready
	.venv/bin/python scripts/types_tree.py
	.venv/bin/mypy

unit: .venv/ready
	.venv/bin/python -m pytest -n $(JOBS) -m "not slow and not gpu"

# Base-size models: minutes of exporting, and several GB of memory.
slow: .venv/ready
	.venv/bin/python -m pytest -m slow

# Record again what the pipelines of transformers 4.57.6 answer (tests/fidelity/recorded/).
fixtures: .venv-reference/ready
	.venv-reference/bin/python -m tests.fidelity.record

# Train the shipped checkpoints again, and make the demo's recordings and pictures; needs espeak-ng.
train: .venv/ready
	.venv/bin/python $(PIP_INSTALL) -r examples/training/requirements.txt
	.venv/bin/python -m examples.training
	.venv/bin/python -m examples.training.inputs

# Benchmarks: on a machine that does nothing else, after as long for preparing (--prepare), once. Each command has --quick,
# which tries everything on small models in minutes and writes nothing, and benchmarks/README.md says how long it takes.
# Generation against its peers.
bench-generation: .venv/ready .venv-peers/ready .venv-genai/ready
	.venv/bin/python -m benchmarks.generation

# Text, speech and vision against their peers.
bench-recognition: .venv/ready .venv-peers/ready
	.venv/bin/python -m benchmarks.recognition

# Of those the encoders of texts and pictures: milliseconds a call.
bench-latency: .venv/ready .venv-peers/ready
	.venv/bin/python -m benchmarks.recognition --cases bert vit

# Where their time goes, operator by operator, beside OpenVINO.
bench-operators: .venv/ready .venv-peers/ready
	.venv/bin/python -m benchmarks.operators

# Several callers at once, as threads and as processes, against their peers.
bench-concurrency: .venv/ready .venv-peers/ready
	.venv/bin/python -m benchmarks.concurrency

# How this project's cost grows, and what that says of more cores.
bench-scale: .venv/ready
	.venv/bin/python -m benchmarks.scale

# Installed size, imports, first answers, memory of processes side by side: an hour, after half of one for preparing.
bench-footprint: .venv/ready .venv-run/ready .venv-peers/ready
	.venv/bin/python -m benchmarks.footprint

# On a machine with an NVIDIA GPU that does nothing else: the tests that need one, then benchmarks/results/gpu.json. Needs
# a build of torch for CUDA, which is what pip installs on Linux unless it is told otherwise.
gpu: .venv-gpu/ready
	.venv-gpu/bin/python -m pytest tests/gpu -m gpu
	.venv-gpu/bin/python -m benchmarks.gpu

# The build side: export, tests, lint.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP_INSTALL) torch setuptools
	.venv/bin/python $(PIP_INSTALL) --editable '.[dev]'
	touch $@

# The user's side: nothing but the runtime.
.venv-run/ready: pyproject.toml constraints.txt $(shell find runtime export quantize -name '*.py')
	$(PYTHON) -m venv .venv-run
	rm -rf build/lib
	.venv-run/bin/python $(PIP_INSTALL) --force-reinstall --no-deps .
	.venv-run/bin/python $(PIP_INSTALL) '.[cpu,audio,vision]'
	touch $@

# Quantizing and measuring, without torch as well.
.venv-quantize/ready: pyproject.toml constraints.txt $(shell find runtime export quantize -name '*.py')
	$(PYTHON) -m venv .venv-quantize
	rm -rf build/lib
	.venv-quantize/bin/python $(PIP_INSTALL) --force-reinstall --no-deps .
	.venv-quantize/bin/python $(PIP_INSTALL) '.[cpu,audio,vision,quantize,report]'
	touch $@

# The reference for the pipelines that transformers 5 no longer has.
.venv-reference/ready: tests/fidelity/requirements.txt
	$(PYTHON) -m venv .venv-reference
	.venv-reference/bin/python -m pip install --quiet --disable-pip-version-check -r tests/fidelity/requirements.txt
	touch $@

# The peers of benchmarks/.
.venv-peers/ready: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt
	touch $@

# The same with ONNX Runtime for GPUs, and the libraries of CUDA and cuDNN that it needs.
.venv-gpu/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/python $(PIP_INSTALL) torch setuptools
	.venv-gpu/bin/python $(PIP_INSTALL) 'onnxruntime-gpu[cuda,cudnn]' pytest pytest-xdist filelock
	.venv-gpu/bin/python $(PIP_INSTALL) --editable '.[gpu,audio,vision,export,report,chat]'
	touch $@

# One of them has transformers 5.
.venv-genai/ready: benchmarks/peers/requirements-genai.txt
	$(PYTHON) -m venv .venv-genai
	.venv-genai/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements-genai.txt
	touch $@

clean:
	rm -rf build dist *.egg-info .venv .venv-run .venv-quantize .venv-reference .venv-gpu .venv-peers .pytest_cache .mypy_cache .ruff_cache
