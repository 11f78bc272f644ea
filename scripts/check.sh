#!/usr/bin/env bash
# Every check that needs nothing but the Rust toolchain: format, lints, tests,
# documentation.
set -euo pipefail
cd "$(dirname "$0")/.."

run() {
    printf '== %s\n' "$*"
    "$@"
}

run cargo fmt --check
run cargo clippy --locked --all-targets -- -D warnings
run cargo test --locked
RUSTDOCFLAGS='-D warnings' run cargo doc --locked --no-deps
