# make demo    build ResNet-50 from its spec, run it in onnxruntime and in PyTorch, print the difference
# make test    run every test
# make check   what continuous integration runs: format, lint, types, import contracts, tests
# make conformance  every operator against PyTorch and ONNX Runtime, at random: CASES=300000 SEED=1 JOBS=2; then
#              modules of random specs against what the specs say: MODULES=2000; random networks of all operators in PyTorch
#              and ONNX Runtime, optimised, and imported again: NETWORKS=3000; every case in every opset; runs killed a
#              hundred times; every spec without each of its lines
# make fuzz    hostile files and random networks, guided by coverage, until something is found: MINUTES=60, ARGS="onnx-import"
# make bench   every benchmark against its goal, half an hour in all; RESULTS.md there says what they found
# make modules every module of specs/: lines, and what mypy, pyright and ruff find; ARGS="--against REV" compares lines
# make pythons every network of specs/ and examples/ compiled under each Python from 3.11 to 3.14 that is on this machine
# make hooks   git runs format, lint, types and import contracts before each commit
# make mutants faults put one at a time into the files that pyproject.toml names under [tool.mutmut], and which of them no test
#              notices: in build/mutants, several minutes
# make site    documentation and the playground as static files, in build/site/public; needs npm
# make vscode  the extension for VS Code, editors/vscode/netc.vsix; needs npm
# make gallery measure, compare and draw every network of specs/ at full size

# make import-corpus  networks imported again, into docs/import_corpus.md: hours; ARGS="--set timm --only 'vit_*'" for some

PYTHON ?= python3
SPEC   ?= specs/resnet.yaml:resnet50
OUT    ?= build/resnet50
bin    := .venv/bin
pip    := $(bin)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

CASES  ?= 20000
MODULES ?= 2000
NETWORKS ?= 300
SEED   ?= 0
JOBS   ?= 1
MINUTES ?= 10
ARGS   ?=

VSCODE = editors/vscode

.PHONY: site vscode demo test conformance fuzz check format docs bench gallery modules import-corpus pythons hooks mutants clean

demo: .venv/netc
	$(bin)/netc build $(SPEC) -o $(OUT)
	$(bin)/netc run $(OUT)/model.onnx
	$(bin)/netc verify $(SPEC) --weights $(OUT)/model.safetensors

test: .venv/dev
	$(bin)/python -m pytest

conformance: .venv/dev
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(bin)/python -m sweep --cases $(CASES) --seed $(SEED) --jobs $(JOBS) $(ARGS)
	OMP_NUM_THREADS=1 PYTHONPATH=.:tests $(bin)/python -m random_modules --cases $(MODULES) --seed $(SEED) --jobs $(JOBS)
	OMP_NUM_THREADS=1 PYTHONPATH=.:tests $(bin)/python -m fuzz networks --count $(NETWORKS) --seed $(SEED) --jobs $(JOBS)
	NETC_ALL_OPSETS=1 $(bin)/python -m pytest tests/test_onnx_opsets.py
	NETC_VERIFIED=1000 $(bin)/python -m pytest tests/test_sweep.py -k regression
	NETC_KILLS=100 NETC_LINES_EVERY=1 $(bin)/python -m pytest tests/test_outputs.py tests/test_language_fuzz.py -k "random_times or lines"

fuzz: .venv/dev
	OMP_NUM_THREADS=1 PYTHONPATH=.:tests $(bin)/python -m fuzz --minutes $(MINUTES) $(ARGS)

check: .venv/dev
	$(bin)/ruff format --check .
	$(bin)/ruff check .
	$(bin)/mypy --strict netc
	$(bin)/lint-imports
	$(bin)/python -m pytest -n auto --dist worksteal

format: .venv/dev
	$(bin)/ruff format .
	$(bin)/ruff check --fix .

site: .venv/dev
	PYTHONPATH=. $(bin)/python -m tools.site

vscode:
	cd $(VSCODE) && npm run package

docs: .venv/dev
	$(bin)/python -m tools.docs

bench: .venv/dev
	@failed=0; for script in check_startup check_scaling check_limits module_text revisions onnx_export "onnx_export --fresh" fresh_weights memory layers sweep latency \
	"latency --free" eager diagram lsp; do set -- $$script; echo "== $$script"; \
	PYTHONPATH=. $(bin)/python benchmarks/$$1.py $$2 || failed=1; done; exit $$failed

gallery: .venv/dev
	$(bin)/python -m tools.gallery

import-corpus: .venv/dev
	OMP_NUM_THREADS=1 $(bin)/python -m tools.import_corpus $(ARGS)

modules: .venv/dev
	$(bin)/python -m tools.modules $(ARGS)

pythons: .venv/dev
	$(bin)/python -m tools.pythons

mutants: .venv/dev
	$(pip) mutmut
	rm -rf build/mutants && mkdir -p build/mutants
	cp -r netc tests tools specs examples docs pyproject.toml *.md build/mutants
	cd build/mutants && OMP_NUM_THREADS=1 PYTHONPATH= ../../$(bin)/python -m mutmut run $(ARGS)
	cd build/mutants && PYTHONPATH= ../../$(bin)/python -m mutmut results

hooks: .venv/dev
	$(pip) pre-commit
	$(bin)/pre-commit install

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "netc needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/netc: .venv/python pyproject.toml constraints.txt
	$(pip) -e .
	@touch $@

.venv/dev: .venv/netc
	$(pip) -e '.[dev]'
	$(pip) --no-deps torchvision timm
	@touch $@
