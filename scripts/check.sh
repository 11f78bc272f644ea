#!/usr/bin/env bash
# Every check that needs nothing but the Rust toolchain: format, lints, tests,
# documentation; lints and tests for the full and the smallest build, and for the
# program of scripts/bench.sh. With Python 3.11 it looks at the crates as well.
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

# It reads TOML, which Python can by itself since 3.11; Rust alone is enough to
# work on adit, so an older one is no mistake.
if python3 -c 'import tomllib' 2>/dev/null; then
    # Those of other systems too, whose licences count as well.
    run cargo fetch --locked
    run scripts/crates.py
else
    echo "check: scripts/crates.py is left out: there is no Python 3.11"
fi
