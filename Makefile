# Graft's tasks. `make` lists them.

# Quoted wherever they are used: the checkout and the cache may lie in folders with spaces in their names.
export LIBTORCH ?= $(CURDIR)/.libtorch

SWIFT ?= swift
# Further options for every `swift build` and `swift test`, such as --jobs 1.
SWIFTFLAGS ?=
PYTHON ?= python3
GRAFT := .build/release/graft
DEMO ?= $(GRAFT) benchmark --config Examples/demo.yaml
SWIFT_SOURCES := $(wildcard Sources Tests Benchmarks Examples Package.swift)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build demo test test-unit test-end-to-end example lint format bench clean

help: ## List the tasks
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F '|' '{ printf "%-24s%s\n", $$1, $$2 }'

setup: ## Check the system's packages, install libtorch outside the checkout and link it as .libtorch
	@scripts/setup-system
	@scripts/setup-libtorch

build: setup ## Build the tool, optimized: .build/release/graft
	$(SWIFT) build -c release --product graft $(SWIFTFLAGS)

demo: build ## Fetch real weights and data, compare adapters on styles never seen in training (minutes)
	@scripts/fetch vit-s14 emoji-styles
	$(DEMO)

test: test-unit test-end-to-end ## Run every test, the fast ones first

test-unit: setup ## Run the fast tests
	$(SWIFT) build --build-tests $(SWIFTFLAGS)
	# One at a time: some suites measure the memory of the whole process.
	$(SWIFT) test --skip-build --no-parallel --skip EndToEnd $(SWIFTFLAGS)

test-end-to-end: setup ## Run the slow tests, on real weights and data, and with Python's PEFT
	@scripts/fetch vit-s14 emoji-styles minilm text-domains wordnet
	@scripts/setup-peft
	$(SWIFT) test --skip-build --no-parallel --filter EndToEnd $(SWIFTFLAGS)

example: setup ## Build the package that depends on Graft
	$(SWIFT) build --package-path Examples/Labels $(SWIFTFLAGS)

lint: ## Check formatting and style of the Swift sources and the scripts
	$(SWIFT) format lint --strict --recursive --parallel $(SWIFT_SOURCES)
	@scripts/lint-scripts

format: ## Format the Swift sources in place
	$(SWIFT) format --in-place --recursive --parallel $(SWIFT_SOURCES)

bench: setup ## Measure against the Python peers, and meta-tuning against itself (PYTHON has the packages of Benchmarks/peers/requirements.txt)
	for benchmark in StepBenchmark MethodsBenchmark TextStepBenchmark RecombinationBenchmark MixingBenchmark; do \
	  $(SWIFT) run -c release --package-path Benchmarks $(SWIFTFLAGS) $$benchmark --python $(PYTHON) || exit 1; \
	done
	$(SWIFT) run -c release --package-path Benchmarks $(SWIFTFLAGS) MetaStepBenchmark

clean: ## Remove what was built in the checkout; the cache stays
	rm -rf .build Benchmarks/.build Examples/Labels/.build
