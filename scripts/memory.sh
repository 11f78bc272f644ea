#!/usr/bin/env bash
# What tunnels cost in memory and CPU, as a table; fails when a promised limit is
# exceeded. Needs python3.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked --quiet
exec python3 tests/load/memory.py "${CARGO_TARGET_DIR:-target}/release/adit"
