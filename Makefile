# Everything that is done with this repository, by name. `make` lists it.
GO            ?= go
BIN           := bin
LINT_VERSION  := v2.15.0
VULN_VERSION  := v1.9.0
LINT          := $(BIN)/golangci-lint-$(LINT_VERSION)
LDFLAGS       := -s -w -X main.version=$(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

# BENCH_ROWS=100000 BENCH_LONG_ROWS=500000 BENCH_ROUNDS=1 makes it a quick look, BENCH_ONLY=load,slow leaves items out,
# BENCH_STRICT=1 fails where a target is missed.
.PHONY: bench
bench: postgres build ## Measure whole loads, as ratios to floors taken in the same run (20 minutes)
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/bench ./internal/bench/cmd
	$(BIN)/bench -etl $(BIN)/etl $(if $(BENCH_ROWS),-rows $(BENCH_ROWS)) $(if $(BENCH_LONG_ROWS),-long-rows $(BENCH_LONG_ROWS)) \
		$(if $(BENCH_ROUNDS),-rounds $(BENCH_ROUNDS)) $(if $(BENCH_ONLY),-only $(BENCH_ONLY)) $(if $(BENCH_STRICT),-strict)

.PHONY: bench-micro
bench-micro: postgres ## Run the Go benchmarks of the hot parts
	$(GO) test -run '^$$' -bench . -benchmem ./...

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
