#!/usr/bin/env bash
# Every check that needs nothing but the Rust toolchain: format, lints, tests,
# documentation; lints and tests for the full and the smallest build, and for the
# program of scripts/bench.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

run() {
    printf '== %s\n' "$*"
    "$@"
}

run cargo fmt --check
for crate in bench fuzz; do
    run cargo fmt --check --manifest-path "tests/$crate/Cargo.toml"
done
run cargo clippy --locked --all-targets -- -D warnings
run cargo test --locked
run cargo clippy --locked --all-targets --no-default-features -- -D warnings
run cargo test --locked --no-default-features
for feature in tls auth config-file demo sandbox connect admin activation; do
    run cargo check --locked --no-default-features --features "$feature"
done
RUSTDOCFLAGS='-D warnings' run cargo doc --locked --no-deps

bench=(--locked --manifest-path tests/bench/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-$PWD/target}/bench")
run cargo clippy "${bench[@]}" --all-targets -- -D warnings
run cargo test "${bench[@]}"
