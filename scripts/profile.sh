#!/usr/bin/env bash
# Where adit's CPU time goes under a load of the bench: a flame graph as SVG and
# the functions that take most.
#
#   scripts/profile.sh WORK [OUT.svg]
#
#   WORK   the name of one work of scripts/bench.sh, as "echo 32 B x 64", or any
#          part of one; the first that matches is done, for some seconds
#   OUT    where to put the graph (profile.svg)
#
# ADIT_INTEROP_CACHE    where what draws the graph is installed (target/interop)
#
# Needs perf to be allowed: root, or a low kernel.perf_event_paranoid.

set -euo pipefail
cd "$(dirname "$0")/.."

INFERNO=inferno@0.12.8

if (($# < 1 || $# > 2)) || [[ $1 == -* ]]; then
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
work=$1
out=${2:-profile.svg}

cache=${ADIT_INTEROP_CACHE:-target/interop}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# shellcheck source=scripts/install.sh
source scripts/install.sh
need_programs perf=linux-perf
need_directory "$INFERNO" "$cache/inferno" \
  cargo install --quiet --locked --root "$cache/inferno" "$INFERNO"

# As released, but with names and with frames that perf can follow.
target=${CARGO_TARGET_DIR:-$PWD/target}
CARGO_PROFILE_RELEASE_STRIP=false CARGO_PROFILE_RELEASE_DEBUG=1 \
  RUSTFLAGS=-Cforce-frame-pointers=yes \
  cargo build --release --locked --quiet --target-dir "$target/profile"

recorded=$(mktemp -d)
trap 'rm -rf "$recorded"' EXIT
export ADIT=$target/profile/release/adit
scripts/bench.sh --work "$work" --profile "$recorded/data"

# perf warns of kernel symbols that it may not read; there is nothing to do about it.
perf script --input "$recorded/data" >"$recorded/script" 2>/dev/null
"$cache/inferno/bin/inferno-collapse-perf" <"$recorded/script" >"$recorded/folded" 2>/dev/null
"$cache/inferno/bin/inferno-flamegraph" --title "adit: $work" <"$recorded/folded" >"$out"

perf report --input "$recorded/data" --no-children --call-graph none --fields overhead,symbol \
  --percent-limit 1 --stdio 2>/dev/null | grep -v -e '^#' -e '^$' | sed 's/ *- *- *$//'
echo "the flame graph is $out"
