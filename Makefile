# stackctl: build, check, test. `make help` lists what there is.

GO ?= go
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

# The engines that `make test` runs on, one after the other: default (the one
# that DOCKER_HOST names), 20.10, 26.1, newest; see test/engine/start.sh.
ENGINES ?= default

# What `make check` builds for.
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

# The packages that have tests for a real engine. They share it, so they run one
# after the other.
E2E = $(shell grep -rlE '^//go:build .*e2e' --include='*_test.go' . | xargs -n1 dirname | sort -u)

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)

.PHONY: help
help: ## list the targets
	@echo 'usage: make TARGET'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

##### run

.PHONY: up
up: build ## everything: an engine if there is none, images, the stack, until the app answers
	@tools/up.sh

.PHONY: down
down: build ## take the stack down; its data stays (bin/stackctl --builtin down -v removes that too)
	@bin/stackctl --builtin down

.PHONY: build
build: ## build bin/stackctl
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/stackctl

##### check

.PHONY: check
check: vet lint fmt-check tidy-check cross shellcheck race ## everything that needs no engine

.PHONY: vet
vet:
	$(GO) vet ./...
	$(GO) vet -tags e2e ./...

.PHONY: lint
lint: bin/golangci-lint ## golangci-lint, as .golangci.yml says
	bin/golangci-lint run

.PHONY: fmt-check
fmt-check: bin/gofumpt
	@unformatted=$$(bin/gofumpt -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted, make fmt mends it:"; echo "$$unformatted"; exit 1; fi

.PHONY: tidy-check
tidy-check:
	$(GO) mod tidy -diff

# One platform after the other: the compiler uses all cores by itself. -trimpath,
# so that make build finds its packages compiled. The app
# runs in containers, so it is built for Linux alone.
.PHONY: cross
cross: ## build for every platform
	@export CGO_ENABLED=0; \
	for platform in $(PLATFORMS); do \
		export GOOS=$${platform%/*} GOARCH=$${platform#*/}; \
		echo "go build for $$platform"; \
		packages=$$($(GO) list -f '{{if .GoFiles}}{{.ImportPath}}{{end}}' ./...); \
		[ $$GOOS = linux ] || packages=$$(grep -v /webapp <<<"$$packages"); \
		$(GO) build -trimpath $$packages; \
	done

.PHONY: shellcheck
shellcheck:
	@if ! command -v shellcheck >/dev/null && [ "$$(id -u)" = 0 ]; then test/engine/packages.sh; fi
	@if command -v shellcheck >/dev/null; then \
		shellcheck --external-sources --source-path=. .ci/run $$(find test tools -name '*.sh'); \
	else \
		echo 'shellcheck is not installed: the scripts are not checked'; \
	fi

# Not part of check, which needs no network: the database is on vuln.go.dev. GOVULNDB
# names a copy of it. What is not called is told and does no harm.
.PHONY: vuln
vuln: bin/govulncheck ## look for known vulnerabilities in what is called (needs vuln.go.dev, or GOVULNDB)
	bin/govulncheck $(if $(GOVULNDB),-db $(GOVULNDB)) ./...

##### test

.PHONY: test
test: ## unit, CLI and real-engine tests; ENGINES="20.10 26.1" names engines
	test/engine/packages.sh
	$(MAKE) race
	test/engine/each.sh "$(ENGINES)" $(GO) test -race -tags e2e -count=1 -p 1 -timeout 40m $(E2E)

.PHONY: race
race: ## the tests that need no engine, with the race detector
	@test/engine/packages.sh
	$(GO) test -race -shuffle=on ./...

# FAULTS_FLAGS: -stack ten -op up -fault stall -calls 7-12 narrow it, -every 20 -seed 3
# take a sample; bin/faults -h tells more. It takes the better part of an hour for an
# engine; make test has a sample of it. The seed of a round of signals that went wrong is
# in the output: STACKCTL_TEST_SEED repeats it.
.PHONY: faults
faults: export STACKCTL_TEST_ROUNDS ?= 200
faults: ## do harm to each call to the engine, then end commands by signals, and lose nothing; ENGINES, FAULTS_FLAGS
	test/engine/packages.sh
	$(GO) build -o bin/faults ./test/faults
	test/engine/each.sh "$(ENGINES)" bin/faults $(FAULTS_FLAGS)
	test/engine/each.sh "$(ENGINES)" $(GO) test -tags e2e -count=1 -timeout 2h -run TestSignalsAtRandomMoments ./test/e2e

# Each target gets FUZZTIME. What fails is written to testdata/fuzz of its package,
# where it is a test from then on.
FUZZTIME ?= 10m

.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME (10m); FUZZ=Converge picks by name
	@test/engine/packages.sh
	tools/fuzz.sh "$(FUZZTIME)" "$(FUZZ)"

.PHONY: test-images
test-images: ## check that the images keep the contract of the official ones
	test/engine/each.sh "$(ENGINES)" test/images/verify.sh

##### measure

# BENCH_FLAGS: -only seed,pull names scenarios, -rounds 3 says how often; bench -h
# tells more. What is measured is bin/stackctl as it is built here.
.PHONY: bench
bench: build ## measure stackctl, Docker Compose and the engine itself; ENGINES, BENCH_FLAGS="-only seed -rounds 3"
	$(GO) build -o bin/bench ./bench
	test/engine/each.sh "$(ENGINES)" bin/bench $(BENCH_FLAGS)

# BENCH_FLAGS: -soak 10m watches the memory, -for 5s is the length of a turn, -only
# "GET /users, hit;start" names cases; bin/bench-webapp -h tells more. The app is built
# as its image has it.
.PHONY: bench-webapp
bench-webapp: ## measure the app under load, a bare handler, Redis and PostgreSQL; BENCH_FLAGS="-soak 10m"
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags='-s -w' -o bin/webapp ./webapp
	$(GO) build -o bin/bench-webapp ./bench/webapp
	tools/bench-webapp.sh $(BENCH_FLAGS)

.PHONY: bench-check
bench-check: ## say where the results in bench/ fall short of what is to be reached
	@status=0; \
	$(GO) run ./bench -check || status=1; \
	$(GO) run ./bench/webapp -check || status=1; \
	exit $$status

##### care

.PHONY: fmt
fmt: bin/gofumpt ## format the Go code
	bin/gofumpt -w .

# The versions are those of tools/go.mod.
.PHONY: tools
tools: bin/golangci-lint bin/gofumpt bin/govulncheck ## build the tools of check and fmt into bin/

bin/golangci-lint: tools/go.mod tools/go.sum
	$(GO) -C tools build -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

bin/gofumpt: tools/go.mod tools/go.sum
	$(GO) -C tools build -o ../bin/gofumpt mvdan.cc/gofumpt
	@touch $@

bin/govulncheck: tools/go.mod tools/go.sum
	$(GO) -C tools build -o ../bin/govulncheck golang.org/x/vuln/cmd/govulncheck
	@touch $@

.PHONY: clean
clean: ## remove what make built
	rm -rf bin coverage.txt
