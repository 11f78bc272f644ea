#!/usr/bin/env bash
# How many system calls a message costs, as a table; fails unless a thousand
# messages in one segment reach the backend in one write. Needs python3, strace.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked --quiet
exec python3 tests/load/syscalls.py "${CARGO_TARGET_DIR:-target}/release/adit"
