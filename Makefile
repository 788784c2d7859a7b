# cubby. `make run` starts a server to play with; `make test` runs all tests. Either sets up what it needs.

GO      ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
CACHE   := $(CURDIR)/.cache
LDFLAGS := -s -w -X main.version=$(VERSION)

LINTER_VERSION := v2.15.0
LINTER         := $(CACHE)/golangci-lint-$(LINTER_VERSION)/golangci-lint

# The directories of packages with tests that need a Docker engine.
ENGINE_TESTS = $(shell grep -rl --include='*_test.go' '^//go:build integration' api cmd deploy images orchestrator | \
	sed 's|^\(.*\)/[^/]*$$|./\1|' | sort -u)
SUPERVISORS := $(addprefix images/supervisor/supervisor-linux-,amd64 arm64)

# What set-up had to fetch comes first.
export PATH := $(CACHE)/bin:$(PATH)

.NOTPARALLEL:
.PHONY: help setup build run test unit integration test-engines soak chaos bench rows images lint fmt install clean FORCE

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## Make sure of a Docker engine, a C compiler, Python, Node and the Go modules
	@sh deploy/engine.sh
	@sh deploy/toolchain.sh
	@echo 'modules: downloading what is missing (30 MB and some seconds the first time)'
	@$(GO) mod download

build: $(SUPERVISORS) ## Build bin/cubby with the supervisors that it carries (a minute or two the first time)
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/cubby ./cmd/cubby

# An image's tag is a digest of what goes into it: the same sources have to give the same bytes, so no version here.
$(SUPERVISORS): images/supervisor/supervisor-linux-%: FORCE
	CGO_ENABLED=0 GOOS=linux GOARCH=$* $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o $@ ./cmd/supervisor

run: ## Start a server with Python and JavaScript on 127.0.0.1:49999; Ctrl-C ends it and removes its containers
	@sh deploy/engine.sh
	@$(MAKE) --no-print-directory build
	@bin/cubby images build python javascript
	@exec bin/cubby serve --state-dir '$(CACHE)/state' --remove-on-exit --hello

test: setup build ## Run all tests, with -race, real Docker and both official SDKs
	$(GO) vet -tags integration ./...
	@$(MAKE) --no-print-directory unit integration

unit: ## Run the tests that need no Docker
	$(GO) test -race ./...

integration: images ## Run the tests that need Docker, one package after the other, since some of them measure
	@bin/cubby images build python-slim
	$(GO) test -race -tags integration -count=1 -p 1 -timeout 60m $(ENGINE_TESTS)

test-engines: images ## Run them on the Docker engines of three Debian releases (250 MB to download each; root)
	sh deploy/test-engines.sh 'bookworm trixie forky' $(ENGINE_TESTS)

SOAK ?= 30m
soak: images ## Keep a server under load and faults for half an hour and look for growth (or SOAK=2m)
	$(GO) test -tags integration -count=1 -v -timeout 0 -run '^TestSoak' ./api/abusetest -soak '$(SOAK)'

chaos: images ## Kill the server in the middle of 200 creations, restarts and removals (make test: of 20)
	CUBBY_ABUSE_OPERATIONS=200 $(GO) test -race -tags integration -count=1 -v -timeout 2h -run '^TestChaos' ./api/abusetest

rows: ## List the attacks and faults of api/abusetest/rows.txt that no test names yet
	@sh api/abusetest/rows.sh

bench: images ## Measure against real Docker
	$(GO) test -tags integration -run '^$$' -bench . -p 1 -timeout 30m $(ENGINE_TESTS)

images: build ## Build the images of all languages (1.5 GB to download and ten minutes the first time)
	@bin/cubby images build

lint: $(LINTER) ## Check the sources
	$(LINTER) run --build-tags integration
	$(GO) vet -tags integration ./...
	$(GO) mod tidy -diff

fmt: $(LINTER) ## Format the sources
	$(LINTER) fmt

$(LINTER):
	@echo 'lint: compiling golangci-lint $(LINTER_VERSION), once (about 3 minutes)'
	@GOBIN='$(@D)' $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINTER_VERSION)

install: build ## Install cubby where go install puts programs
	CGO_ENABLED=0 $(GO) install -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' ./cmd/cubby

# The state says which containers and volumes are ours: it stays while they do.
clean: ## Remove what make made: containers and volumes of its server, unused images, binaries, caches
	@[ -x bin/cubby ] || $(MAKE) --no-print-directory build
	@bin/cubby clean --yes --state-dir '$(CACHE)/state' && rm -rf '$(CACHE)/state'; status=$$?; \
	rm -rf bin $(SUPERVISORS); find .cache -mindepth 1 -maxdepth 1 ! -name state -exec rm -rf {} + 2>/dev/null; \
	rmdir .cache 2>/dev/null; exit $$status
