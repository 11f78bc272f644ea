#!/usr/bin/env bash
# How many system calls a message costs, by mode, as a table; fails where that is
# more than what is promised. Needs python3, strace and openssl.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --locked --quiet
exec python3 tests/load/syscalls.py "${CARGO_TARGET_DIR:-target}/release/adit"
