#!/usr/bin/env bash
# Every check that needs nothing but the Rust toolchain: format, lints, tests,
# documentation; lints and tests for the full and the smallest build.
set -euo pipefail
cd "$(dirname "$0")/.."

run() {
    printf '== %s\n' "$*"
    "$@"
}

run cargo fmt --check
run cargo clippy --locked --all-targets -- -D warnings
run cargo test --locked
run cargo clippy --locked --all-targets --no-default-features -- -D warnings
run cargo test --locked --no-default-features
for feature in tls auth config-file demo sandbox connect admin activation; do
    run cargo check --locked --no-default-features --features "$feature"
done
RUSTDOCFLAGS='-D warnings' run cargo doc --locked --no-deps
