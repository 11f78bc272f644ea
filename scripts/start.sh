#!/usr/bin/env bash
# What a start under inetd costs, as a table; fails when a promised limit is
# exceeded. Needs python3, openssl.
#
#   scripts/start.sh [BINARY [MS MB]]
#
#   BINARY   what to start; without it, scripts/static.sh builds one for glibc
#   MS MB    the most CPU time and memory that it may take (1.2 2)

set -euo pipefail
cd "$(dirname "$0")/.."

binary=${1:-}
if [[ -z $binary ]]; then
  target=$(uname -m)-unknown-linux-gnu
  scripts/static.sh "$target" >&2
  binary=${CARGO_TARGET_DIR:-target}/static/$target/adit-whole
fi
exec python3 tests/load/start.py "$binary" "${2:-1.2}" "${3:-2}"
