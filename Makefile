# Catchment: what people and CI run. Two cores are assumed; set JOBS for more.

JOBS ?= 2
CARGO ?= cargo
RUN_FLAGS ?=
BENCH_FLAGS ?=
ONLY ?=
ROUNDS ?= 5
LOADTEST_FLAGS ?=
SCALE_FLAGS ?=
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= protobuf openmetrics text compressed negotiation pushgateway_file selector templates observations datagrams

.PHONY: run test check bench bench-compare instructions e2e build fuzz loadtest loadtest-build loadtest-scale loadtest-test client-python

## Build in release mode and serve on port 9091 (RUN_FLAGS="--gauges sum" adds flags).
run:
	$(CARGO) run --release --jobs $(JOBS) -- $(RUN_FLAGS)

build:
	$(CARGO) build --release --jobs $(JOBS)

## Unit, property and integration tests.
test:
	$(CARGO) test --jobs $(JOBS)

## Formatting, lints and documentation; warnings are errors.
check:
	$(CARGO) fmt --check
	$(CARGO) clippy --jobs $(JOBS) --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --jobs $(JOBS) --no-deps --document-private-items

## The performance budgets, each with what was measured; also in target/bench/budgets.json. BENCH_FLAGS="--only encode" chooses
## lines, BENCH_FLAGS=--full adds what needs minutes and gigabytes.
bench:
	$(CARGO) bench --jobs $(JOBS) --bench budgets -- $(BENCH_FLAGS)

## The same beside another commit's: make bench-compare REV=abc123; ONLY=encode chooses lines, ROUNDS=9 makes it steadier.
bench-compare:
	CARGO="$(CARGO)" JOBS=$(JOBS) ONLY="$(ONLY)" ROUNDS=$(ROUNDS) benches/compare.sh $(REV)

## Instructions a sample on the main paths, counted by callgrind.
instructions:
	$(CARGO) bench --jobs $(JOBS) --bench budgets -- --instructions

## Real clients and a real Prometheus against the release binary.
e2e: build
	tests/e2e/run.sh

## Arbitrary bytes for every decoder, FUZZ_SECONDS each; needs nightly and cargo-fuzz. What is found stays in fuzz/found/.
fuzz:
	for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/found/$$target && \
		$(CARGO) +nightly fuzz run --sanitizer none $$target fuzz/found/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=10 || exit 1; \
	done

loadtest-build:
	$(CARGO) build --release --jobs $(JOBS) --manifest-path loadtest/Cargo.toml --target-dir target/loadtest

## The plain body reader, Catchment and the peers that are installed, under the same load (LOADTEST_FLAGS="--rounds 5" adds flags).
loadtest: build loadtest-build
	target/loadtest/release/catchment-load compare --peers-dir .peers $(LOADTEST_FLAGS)

## How cost grows with series, pushes, shards, scrapers and connections: docs/performance (SCALE_FLAGS="--quick" takes 4 minutes, not 15).
loadtest-scale: build loadtest-build
	target/loadtest/release/catchment-load scale $(SCALE_FLAGS)

## Formatting, lints and tests of the load generator.
loadtest-test:
	cd loadtest && $(CARGO) fmt --check
	cd loadtest && $(CARGO) clippy --jobs $(JOBS) --target-dir ../target/loadtest --all-targets -- -D warnings
	cd loadtest && $(CARGO) test --jobs $(JOBS) --target-dir ../target/loadtest

## Formatting, lints, types and tests of the Python client against the release binary; see clients/python/check.sh.
client-python: build
	clients/python/check.sh
