# Everything that a fresh clone needs is done by these targets; each sets up what it uses.

GO       ?= go
VERSION  ?= $(shell git describe --always --dirty 2>/dev/null)
LDFLAGS   = -X main.version=$(VERSION)
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
# The race detector needs a C compiler.
RACE      = $(if $(shell command -v cc),-race)
# Tests against servers from npm need Node; without it they are left out, and make says so.
NODE      = $(shell command -v node)
TAGS      = $(if $(NODE),-tags peers$(if $(shell test -d $(RIC) && echo yes),$(comma)lambdaric))
RIC       = fixtures/peers/node_modules/aws-lambda-ric/dist
comma     = ,
# Node's own headers, if they came with it, so that none need to be downloaded.
NODEDIR   = $(patsubst %/include/node/node.h,%,$(wildcard $(dir $(NODE))../include/node/node.h))
PEERS     = $(if $(NODE),fixtures/peers/node_modules)

.PHONY: build demo test lint layer bench soak clean

## build: bin/tandem and the sample application
build:
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/tandem ./cmd/tandem
	$(GO) build -o bin/orders/lambda/ ./fixtures/orders/lambda/...
	$(GO) build -o bin/orders/driver ./fixtures/orders/driver
	mkdir -p bin/orders/functions
	cp -R fixtures/orders/functionsapp/. bin/orders/functions/
	$(GO) build -o bin/orders/functions/handler ./fixtures/orders/handler

## demo: record, replay and compare the sample application; its port has mistakes, so the verdict is "differs"
demo: build
	bin/tandem demo; test $$? -eq 1

## test: all tests, with the race detector where there is a C compiler, against servers from npm where there is Node
test: $(PEERS)
	$(if $(NODE),,@echo "no Node here: the tests against azurite, fauxqs and Event Hubs are left out")
	@test -d $(RIC) || echo "no Node runtime for Lambda: the tests with it are left out; they take cmake and libtool"
	$(GO) test $(RACE) $(TAGS) -timeout 20m ./...
	cd bench && $(GO) test $(RACE) ./...

fixtures/peers/node_modules: fixtures/peers/package-lock.json
	cd fixtures/peers && npm_config_nodedir=$(NODEDIR) npm ci --no-audit --no-fund
	touch $@

## lint: formatting, vet, staticcheck, tidy modules
lint:
	test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet -tags peers,lambdaric ./...
	$(GO) run $(STATICCHECK) -tags peers,lambdaric ./...
	$(GO) mod tidy -diff
	cd bench && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./... && $(GO) mod tidy -diff

## bench: benchmarks, with allocations; then tandem beside vegeta and the AWS SDK, at one server; then what compare
## finds and what it takes for noise, beside Diffy's method and plain equality
bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...
	cd bench && $(GO) build -o ../bin/bench . && ../bin/bench && ../bin/bench study

## soak: the long runs: a hundred kills, a million invocations, three thousand clean runs of the noise statistics
soak: build
	TANDEM_SOAK=1 $(GO) test -timeout 60m -count 1 ./capture/... ./compare ./replay/... ./cmd/...

## layer: bin/layer/tandem-recorder-{amd64,arm64}.zip, the Lambda layer; equal sources make equal zips
layer:
	mkdir -p bin/layer
	for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -trimpath -buildvcs=false \
			-ldflags '-s -w -buildid= $(LDFLAGS)' -o bin/layer/$$arch/tandem-recorder ./cmd/tandem-recorder && \
		$(GO) run ./cmd/tandem-recorder/internal/layerzip bin/layer/tandem-recorder-$$arch.zip \
			extensions/tandem-recorder=bin/layer/$$arch/tandem-recorder \
			tandem-wrapper=cmd/tandem-recorder/layer/tandem-wrapper \
			bootstrap=cmd/tandem-recorder/layer/bootstrap || exit 1; \
	done

clean:
	rm -rf bin fixtures/peers/node_modules
