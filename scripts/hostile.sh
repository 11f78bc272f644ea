#!/usr/bin/env bash
# What clients and backends that mean harm cost adit, and whether others get their
# echo meanwhile, as a table; fails when a promised limit is exceeded.
#
# ADIT   a binary to test instead of the one built here
#
# Needs python3, openssl and 6,000 open files.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -z ${ADIT:-} ]]; then
  cargo build --release --locked --quiet
  ADIT=${CARGO_TARGET_DIR:-target}/release/adit
fi
exec python3 tests/load/hostile.py "$ADIT"
