#!/usr/bin/env bash
# What a start under inetd costs, as a table; fails when a promised limit is
# exceeded. Needs python3, openssl.
#
#   scripts/start.sh [BINARY [MS MB]]
#
#   BINARY   what to start; without it, a static one is built here for glibc
#   MS MB    the most CPU time and memory that it may take (1.2 2)

set -euo pipefail
cd "$(dirname "$0")/.."

binary=${1:-}
if [[ -z $binary ]]; then
  target=$(rustc -vV | sed -n 's/^host: //p')
  # A folder of its own: other flags would build everything anew each time.
  folder=${CARGO_TARGET_DIR:-target}/static
  RUSTFLAGS='-C target-feature=+crt-static' \
    cargo build --release --locked --quiet --target "$target" --target-dir "$folder"
  binary=$folder/$target/release/adit
fi
exec python3 tests/load/start.py "$binary" "${2:-1.2}" "${3:-2}"
