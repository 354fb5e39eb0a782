# `make` lists what there is. The pinned tools are fetched by `go run`.
GO        ?= go
GOLANGCI  := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOFUMPT   := mvdan.cc/gofumpt@v0.12.0
DEADCODE  := golang.org/x/tools/cmd/deadcode@v0.52.0
VERSION   := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0-dev)
FUZZTIME  ?= 10s
EXAMPLES  := breast-cancer cross-validation digits housing plugin scripts
# Whole commands that do much at once; all of them under the detector take minutes.
RACED     := TestScripts/(concurrent|failure|incremental|restore|plan_and_apply|a_saved_plan|secrets|progress|fan_out)
# One static binary, without cgo.
export CGO_ENABLED = 0

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: flow plugins ## build bin/flow and bin/flow-plugin-*

.PHONY: flow
flow: ## build bin/flow
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/flow ./cmd/flow

# DuckDB is C++: with a module and a binary of its own it is not in the way of
# who has no C compiler, or one without the library of C++.
CC      ?= cc
LINKS    = echo 'int main(void) { return 0; }' | $(CC) -x c - -o /dev/null 2>/dev/null
CAN_CGO  = { $(LINKS) -lstdc++ || $(LINKS) -lc++; }

.PHONY: plugins
plugins: ## build the plugins that come with flow (DuckDB needs a C compiler)
	@if $(CAN_CGO); then \
		CGO_ENABLED=1 $(GO) build -C plugins/duckdb -trimpath -ldflags '-s -w' -o ../../bin/flow-plugin-duckdb . ; \
	else echo "bin/flow-plugin-duckdb is not built: there is no C compiler ($(CC)) that links C++. All else works without it."; fi

.PHONY: install
install: ## install flow into GOBIN
	$(GO) install -trimpath -ldflags '-s -w -X main.version=$(VERSION)' ./cmd/flow

.PHONY: quickstart
quickstart: flow ## plan and apply a real pipeline, twice
	@sh examples/quickstart.sh bin/flow

.PHONY: test
test: ## run the tests
	$(GO) test ./...
	@if $(CAN_CGO); then CGO_ENABLED=1 $(GO) test -C plugins/duckdb ./... ; \
	else echo "plugins/duckdb was not tested: there is no C compiler ($(CC)) that links C++. On Debian: apt-get install g++"; fi
	@sh plugins/torch/setup.sh --there || echo "plugins/torch was not tested, or not wholly: PyTorch or Pillow is not installed. make torch installs them."
	@sh internal/oracle/setup.sh --there || echo "flow's numbers were not compared with those of scikit-learn and onnxruntime: they are not installed. make oracle installs them."

.PHONY: race
race: export CGO_ENABLED = 1
race: ## run the tests under the race detector (needs a C compiler)
	$(GO) test -race -short ./engine/... ./internal/... ./stages/... ./plugins/host ./plugins/sdk
	$(GO) test -race -short -run '$(RACED)' ./cmd/flow

.PHONY: lint
lint: ## check style, layers and formatting
	$(GO) vet ./...
	@$(GO) mod tidy -diff || { echo "run go mod tidy"; exit 1; }
	@$(GO) -C plugins/duckdb mod tidy -diff || { echo "run go -C plugins/duckdb mod tidy"; exit 1; }
	@if $(CAN_CGO); then CGO_ENABLED=1 $(GO) vet -C plugins/duckdb ./... ; fi
	$(GO) run $(GOLANGCI) run ./...
	@test -z "$$($(GO) run $(GOFUMPT) -l engine stages plugins internal cmd bench)" || { echo "run make fmt"; exit 1; }
	@dead=$$($(GO) run $(DEADCODE) -test ./...); test -z "$$dead" || { echo "dead code:"; echo "$$dead"; exit 1; }

.PHONY: fmt
fmt: ## format the code and the examples
	$(GO) run $(GOFUMPT) -w engine stages plugins internal cmd bench
	$(GO) run ./cmd/flow fmt $(foreach e,$(EXAMPLES),examples/$(e)/pipeline.hcl)

.PHONY: fuzz
fuzz: ## fuzz each fuzz test for FUZZTIME
	@sh .ci/fuzz.sh $(FUZZTIME)

.PHONY: examples
examples: build ## run the examples from nothing and compare with what is recorded
	@for e in $(EXAMPLES); do sh examples/check.sh bin/flow examples/$$e || exit 1; done

.PHONY: oracle
oracle: ## make the Python environment that tests compare with (outside of the tree)
	@sh internal/oracle/setup.sh

.PHONY: torch
torch: ## install PyTorch for the tests of plugins/torch (outside of the tree)
	@sh plugins/torch/setup.sh

.PHONY: bench
bench: flow ## measure, side by side with peers and floors
	@$(GO) run ./bench bin/flow

.PHONY: clean
clean: ## remove what was built and what the examples wrote
	rm -rf bin
	@for e in $(EXAMPLES); do (cd examples/$$e && rm -rf .flow out serving reports); done
