#!/usr/bin/env bash
# adit between clients and backends in networks of their own, while all goes wrong
# that can. The links lose, delay, double and reorder packets and are gone for
# seconds; sides write byte by byte, have hardly a window, stall, half-close and
# reset; a backend is killed and started again; descriptors run out; certificates
# and the configuration change each second, some with mistakes; adit is told to
# stop under load. Every byte is compared with what was sent.
#
# It fails if a stream that ended in order lost a byte, a stream does not end, a
# descriptor or memory is not given back, or the log has an error without a cause.
#
#   scripts/chaos.sh [SECONDS]
#
#   SECONDS   how long (60), and at least two storms; 1200 shows whether memory
#             grows slowly
#
# ADIT   a binary to test instead of the one built here
# SEED   a number that another round told, to do the same again (any)
#
# Needs root, python3, openssl and iproute2. The weather is made by netem where the
# kernel has it, else by a program between TUN devices.

set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
if (($# > 1)) || [[ ! $seconds =~ ^[0-9]+$ ]]; then
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
# shellcheck source=scripts/install.sh
source scripts/install.sh
need_programs ip=iproute2 tc=iproute2 openssl=openssl
if ! as_root unshare --net true; then
  echo "chaos: not possible here: a network of its own needs root and CAP_SYS_ADMIN" >&2
  exit 1
fi
if [[ -z ${ADIT:-} ]]; then
  cargo build --release --locked --quiet
  ADIT=${CARGO_TARGET_DIR:-target}/release/adit
fi
as_root unshare --net python3 tests/load/chaos.py "$ADIT" "$seconds" "${SEED:-$RANDOM}"
