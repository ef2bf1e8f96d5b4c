# Two commands do everything: `make demo` and `make test`. Neither asks anything; neither needs root.
SHELL := /bin/bash
ARCH := $(shell uname -m)
GUEST_TARGET := $(ARCH)-unknown-linux-gnu
GUEST_NAME := appliance-guest-$(if $(filter x86_64,$(ARCH)),amd64,arm64)
GUEST_DIR := target/guest

.PHONY: all demo test bench fuzz lint guest other-guest release debug setup clean

all: release

## The command and the guest, optimised: target/release/appliance
release: guest
	cargo build --release --locked
	cp $(GUEST_DIR)/appliance-guest-* target/release/

debug: guest
	cargo build --locked
	cp $(GUEST_DIR)/appliance-guest-* target/debug/

## PID 1 of every appliance: one static binary for each architecture; `make guest ARCH=aarch64` makes the one for arm64
guest:
	@tools/build-guest $(GUEST_TARGET) $(GUEST_DIR) $(GUEST_NAME)

## The guest of the other architecture for the tests, where a compiler for it is here; tests that need it are skipped without
other-guest:
	@$(MAKE) --no-print-directory guest ARCH=$(if $(filter x86_64,$(ARCH)),aarch64,x86_64) || \
		echo "there is no guest of the other architecture; tests that need it are skipped"

## Build and run specs/hello, fetch its page, and show how long each stage took
demo: release
	@tools/demo

## What the tests use beyond Rust and a C compiler; what cannot be installed is skipped by the tests, with the reason
setup:
	@tools/setup-tests

## All tests; skipped ones are counted and named
test: setup other-guest debug
	@tools/run-tests

## The speed table of docs/speed.md, as ratios measured in one run; ROWS names only some of its groups
bench: release
	@tools/bench $(ROWS)

## Every fuzz target for SECONDS; TARGETS names only some. Needs a nightly toolchain and cargo-fuzz
fuzz: SECONDS = 30
fuzz:
	@tools/fuzz $(SECONDS) $(TARGETS)

lint:
	cargo fmt --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
