# Everything that is done with this repository, by name. `make` lists it.
GO            ?= go
BIN           := bin
LINT_VERSION  := v2.15.0
VULN_VERSION  := v1.9.0
STAT_VERSION  := v0.0.0-20260908200009-22c9c6c9d4da
LINT          := $(BIN)/golangci-lint-$(LINT_VERSION)
BENCHSTAT     := $(BIN)/benchstat-$(STAT_VERSION)
LDFLAGS       := -s -w -X main.version=$(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/etl
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o $(BIN)/etl ./cmd/etl

.PHONY: test
test: postgres ## Vet and run every test, with the race detector, on a throwaway Postgres
	$(GO) vet ./...
	$(GO) test -race -timeout 20m ./...

.PHONY: lint
lint: $(LINT) ## Run golangci-lint, which also holds the layers of the packages
	$(LINT) run ./...

.PHONY: fmt
fmt: $(LINT) ## Format all code
	$(LINT) fmt ./...

.PHONY: demo
demo: postgres build ## The main job from nothing: a Postgres, an org, a load, its failures, a retry
	$(BIN)/etl demo

# A look at less writes its page into bin/: BENCH_ROWS=100000 BENCH_LONG_ROWS=500000 BENCH_ROUNDS=1 takes a minute or two,
# BENCH_ONLY=load,slow leaves the other items out. BENCH_STRICT=1 fails where a target is missed.
BENCH_FLAGS = $(if $(BENCH_ROWS),-rows $(BENCH_ROWS)) $(if $(BENCH_LONG_ROWS),-long-rows $(BENCH_LONG_ROWS)) \
	$(if $(BENCH_ROUNDS),-rounds $(BENCH_ROUNDS)) $(if $(BENCH_ONLY),-only $(BENCH_ONLY))
BENCH_PAGE  = $(if $(strip $(BENCH_FLAGS)),$(BIN),docs)/performance.md

.PHONY: bench
bench: postgres build ## Measure whole loads over floors taken in the same run (20 minutes); writes docs/performance.md
	$(GO) build -trimpath -o $(BIN)/bench ./internal/bench/cmd
	$(BIN)/bench -etl $(BIN)/etl -page $(BENCH_PAGE) $(BENCH_FLAGS) $(if $(BENCH_STRICT),-strict)

.PHONY: bench-micro
bench-micro: postgres ## Run the Go benchmarks of the hot parts
	$(GO) test -run '^$$' -bench . -benchmem ./...

# The other commit is measured in a worktree of its own, alternating with this one. BENCH_COUNT=10 rounds, BENCH=regexp.
.PHONY: bench-compare
bench-compare: postgres $(BENCHSTAT) ## Compare the Go benchmarks with those of commit REF=..., by benchstat
	@GO="$(GO)" BENCHSTAT="$(BENCHSTAT)" sh scripts/bench-compare.sh "$(REF)" "$(or $(BENCH),.)" "$(or $(BENCH_COUNT),6)"

.PHONY: fuzz
fuzz: ## Run each fuzz test for a short while (FUZZTIME=30s)
	GO="$(GO)" sh scripts/fuzz.sh $(or $(FUZZTIME),30s)

.PHONY: verify
verify: ## Check that the modules are what go.sum says, and that go.mod lists what is used
	@GO="$(GO)" sh scripts/verify.sh

# Its database is on the internet, so it is no part of test: a closed network is no reason to fail there.
.PHONY: vuln
vuln: ## Look for known vulnerabilities (needs https://vuln.go.dev)
	@GO="$(GO)" sh scripts/vuln.sh $(VULN_VERSION)

# Its binary runs by itself, so that what it prints is seen at once. SOAK_SEED=... repeats a soak, and
# SOAK_ROUND=... one round of it.
.PHONY: soak
soak: postgres ## Kill loads at random, under random faults, for SOAK_FOR=10m
	@mkdir -p $(BIN)
	$(GO) test -c -o $(BIN)/soak.test ./internal/run/crashtest
	SOAK_FOR=$(or $(SOAK_FOR),10m) $(BIN)/soak.test -test.run '^TestSoak$$' -test.timeout 0

# SOAK_SEED=... repeats one: the same faults, at the same requests as far as chance in the network allows.
.PHONY: soak-load
soak-load: postgres ## Insert SOAK_ROWS=1000000 records, killed every few seconds, 1% of all requests failing
	@mkdir -p $(BIN)
	$(GO) test -c -o $(BIN)/soak.test ./internal/run/crashtest
	SOAK_ROWS=$(or $(SOAK_ROWS),1000000) $(BIN)/soak.test -test.run '^TestSoakLoad$$' -test.timeout 0

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BIN)

# The server's programs are enough: tests and demo start their own on a free port.
.PHONY: postgres
postgres:
	@sh scripts/need-postgres.sh

$(LINT):
	@echo "installing golangci-lint $(LINT_VERSION) into $(BIN)/ (a few minutes, once)"
	GOBIN=$(abspath $(BIN)) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@mv $(BIN)/golangci-lint $@

$(BENCHSTAT):
	GOBIN=$(abspath $(BIN)) $(GO) install golang.org/x/perf/cmd/benchstat@$(STAT_VERSION)
	@mv $(BIN)/benchstat $@
