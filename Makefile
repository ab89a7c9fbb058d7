# On a machine with Go, a C and C++ compiler and cargo, every target sets itself up. `make help` lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help

BIN       := build/llorch-cpu
MODEL     := deploy/demo/model
FOLDERS   := agent inference residency callback config deploy scripts
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT    ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS   := -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# How long `make fuzz-short` spends on each target, and what `make bench` measures.
FUZZTIME  ?= 60s
BENCHARGS ?= --shape tinyllama --dtype bf16
# The number formats that `make bench-check` measures.
FORMATS   ?= bf16 q8_0 q4_0 q4_k_m

# Which drills `make drills` runs: names, sections or promise numbers, comma-separated; all by default.
ONLY      ?=
# Minutes of `make soak`.
MIN       ?= 30

# A wire-contract check kept outside this repository; `make test` runs it where it is found.
CONTRACT_CHECK ?= $(wildcard ../shared/checks/contract.py)

# Flags from a developer's environment must not decide what is built or tested here.
export GOFLAGS :=

.PHONY: build build-cuda check-cuda gpu-check-build gpu-check drills soak demo run test test-asan race lint bench bench-check fuzz-short test-arm64 test-model clean help libtokenizers contract

build: libtokenizers ## build the worker as build/llorch-cpu
	@mkdir -p build
	go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN) ./agent/cmd/llorch

build-cuda: libtokenizers ## build the worker for NVIDIA GPUs as build/llorch-cuda; needs neither GPU nor driver nor toolkit
	@mkdir -p build
	scripts/cuda/go.sh build -tags cuda -buildvcs=false -ldflags '$(LDFLAGS)' -o build/llorch-cuda ./agent/cmd/llorch

demo: build ## spawn the worker under a stand-in orchestrator and stream two answers from it
	go build -buildvcs=false -o build/demo ./deploy/demo
	build/demo -bin $(BIN) -model $(MODEL)

drills: build ## break a worker on purpose, one line a drill: make drills ONLY=health
	go build -trimpath -buildvcs=false -tags llorch_faults -ldflags '$(LDFLAGS)' -o build/llorch-faults ./agent/cmd/llorch
	go build -buildvcs=false -o build/drills ./deploy/drills
	build/drills -bin $(BIN) -faulty build/llorch-faults -model $(MODEL) -only '$(ONLY)'

soak: build ## a thousand streams with faults at random, one table at the end: make soak MIN=30
	go build -buildvcs=false -o build/drills ./deploy/drills
	build/drills -bin $(BIN) -model $(MODEL) -soak $(MIN)

run: build ## leave the worker serving and print a line to try it with
	go build -buildvcs=false -o build/demo ./deploy/demo
	build/demo -run -bin $(BIN) -model $(MODEL)

# What of the CUDA backend needs no GPU. Kernels for sm_90a alone are quick to compile.
check-cuda: export CUDA_ARCHS := 90a
check-cuda: libtokenizers ## compile and vet the CUDA worker and its kernels, for sm_90a alone, and run what needs no GPU
	scripts/cuda/go.sh vet -tags cuda ./inference/backend/cuda/... ./inference ./agent/e2e
	scripts/cuda/go.sh tool staticcheck -tags cuda ./inference/backend/cuda/...
	scripts/cuda/go.sh test -tags cuda ./inference/backend/cuda/...
	scripts/cuda/go.sh test -tags cuda -run 'CUDA|HelpAndVersion' ./agent/e2e

gpu-check-build: libtokenizers ## build into build/gpu/ what gpu-check runs, for a machine with a GPU and without Go
	LDFLAGS='$(LDFLAGS)' scripts/cuda/gpu.sh

gpu-check: ## goldens, batches, evidence, faults and sanitizers on this machine's GPU, one line a part
	scripts/gpu_check.sh $(if $(CONTRACT_CHECK),--contract $(CONTRACT_CHECK))

test: lint build contract ## everything that must pass: lint, tests under the race detector, wire contract, all tests
	go test -race -short -timeout 15m $$(scripts/packages.sh race)
	go test -timeout 15m ./...
	cd deploy/check && go test -timeout 5m ./...
	[ "$$(go env GOOS)" != linux ] || $(MAKE) check-cuda

race: libtokenizers ## all tests under the race detector
	go test -race -timeout 30m ./...

# The C code is checked, and what it does with memory of Go's; checks inside the Go code would find nothing and cost most
# of the time. Warnings of the compiler are the other builds' business.
test-asan: ## the CPU backend's C code, every instruction set of this host, under AddressSanitizer and UndefinedBehaviorSanitizer
	CGO_CFLAGS='-O1 -g -w -fsanitize=undefined -fno-sanitize-recover=undefined' CGO_LDFLAGS=-fsanitize=undefined \
	    go test -asan -gcflags='all=-asan=0 -d=checkptr=0' -count=1 -timeout 30m ./inference/backend/cpu

lint: libtokenizers ## gofmt, go vet, staticcheck, import directions, cross-vet for darwin/arm64
	scripts/lint.sh $(FOLDERS)

contract: build
	$(if $(CONTRACT_CHECK),python3 $(CONTRACT_CHECK) --bin $(BIN) --model $(MODEL),@echo 'contract: no check outside the repository, the tests in agent cover it')

bench: build ## measure this machine: make bench BENCHARGS='--shape tinyllama --dtype bf16'
	$(BIN) bench $(BENCHARGS)

bench-check: build ## shares of this machine's limits against agent/bench/thresholds.txt: make bench-check FORMATS='bf16 q8_0'
	@failed=0; for format in $(FORMATS); do \
	    $(BIN) bench --check --batches 0 --prompts 512 --dtype $$format || failed=1; done; exit $$failed

fuzz-short: libtokenizers ## every fuzz target for FUZZTIME (60s) each
	scripts/fuzz.sh $(FUZZTIME)

test-arm64: ## the CPU backend's tests as a 64-bit ARM program, emulated: make test-arm64 ONLY=TestSuite/dotprod
	scripts/test_arm64.sh $(ONLY)

test-model: libtokenizers ## check a model of your own: LLORCH_TEST_MODEL_PATH=<folder> make test-model
	@test -n "$$LLORCH_TEST_MODEL_PATH" || { echo 'test-model: set LLORCH_TEST_MODEL_PATH to a model folder' >&2; exit 1; }
	go test ./inference -run TestModel -count=1 -v -timeout 60m

# The archive that inference/tokenize links; its script says in one sentence what is missing.
libtokenizers:
	@scripts/libtokenizers/build.sh

clean: ## remove what was built here; the user's cache of libtokenizers, of CUDA's compiler and of kernels stays
	rm -rf build inference/tokenize/lib inference/backend/cuda/kernels/build.txt
	find inference/backend/cuda -name '*.fatbin' -delete

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile
