#!/usr/bin/env bash
# Runs the fuzz targets of tests/fuzz one after the other.
#
#   scripts/fuzz.sh SECONDS [TARGET...]
#
#   SECONDS   for all targets together; of all of them, half goes to the two
#             that are whole tunnels, far and tunnel
#   TARGET    as in tests/fuzz/targets; all of them if none is named
#
# What a target finds lies in tests/fuzz/artifacts, and the way to see it again
# is printed. What it learned is kept in tests/fuzz/corpus.
#
# ADIT_FUZZ_CACHE    where cargo-fuzz is installed, and the targets are built
#                    (target/fuzz)
# ADIT_FUZZ_SEED     a number from which all choices follow; without one, each
#                    run chooses anew
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO_FUZZ=0.13.2
# Of one input, and of one run of a target beside its time.
MOST_MEMORY=1024
MOST_SECONDS=10

usage() {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}

[[ ${1:-} =~ ^[1-9][0-9]*$ ]] || usage
seconds=$1
shift
all=()
for target in tests/fuzz/targets/*.rs; do
  all+=("$(basename "$target" .rs)")
done
for target in "$@"; do
  [[ " ${all[*]} " == *" $target "* ]] || usage
done
wanted=("$@")
((${#wanted[@]} > 0)) || wanted=("${all[@]}")

cache=${ADIT_FUZZ_CACHE:-target/fuzz}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# shellcheck source=scripts/install.sh
source scripts/install.sh

install_cargo_fuzz() {
  need_programs g++=g++ &&
    need_directory "$CARGO_FUZZ" "$cache/tools" \
      cargo install --quiet --locked --root "$cache/tools" --version "$CARGO_FUZZ" cargo-fuzz
}

install_cargo_fuzz || {
  echo "fuzz: cargo-fuzz $CARGO_FUZZ cannot be installed" >&2
  exit 1
}
# A sanitizer needs a nightly compiler, and there is no unsafe code to watch.
(cd tests/fuzz &&
  "$cache/tools/bin/cargo-fuzz" build --fuzz-dir . --sanitizer none --target-dir "$cache/build")
host=$(rustc -vV | sed -n 's/^host: //p')

# The parts of the time that a target gets: whole tunnels have the most to be
# found in.
parts() {
  case $1 in
    far | tunnel) echo 6 ;;
    *) echo 1 ;;
  esac
}
all_parts=0
for target in "${wanted[@]}"; do
  all_parts=$((all_parts + $(parts "$target")))
done

failed=0
rows=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# fuzz TARGET SECONDS: runs one target, and notes how it went.
fuzz() {
  local target=$1 time=$2 status=0 runs coverage
  local found=$PWD/tests/fuzz/artifacts/$target learned=$PWD/tests/fuzz/corpus/$target
  mkdir -p "$found" "$learned"
  echo "== $target, $time s"
  "$cache/build/$host/release/$target" "-max_total_time=$time" "-timeout=$MOST_SECONDS" \
    "-rss_limit_mb=$MOST_MEMORY" "-seed=${ADIT_FUZZ_SEED:-0}" "-artifact_prefix=$found/" -print_final_stats=1 \
    "$learned" "tests/fuzz/seeds/$target" >"$log" 2>&1 || status=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
  coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
  if ((status != 0)); then
    failed=1
    # Without its progress, and without the dump of an input that may be long.
    { grep -Ev '^(#[0-9]|0x)' "$log" || true; } | cut -c1-500 | tail -60
    sed -n "s|^.*Test unit written to \(.*\)|fuzz: $target found something; to see it again:\n  $cache/build/$host/release/$target \1|p" "$log"
  fi
  rows+=("$(printf '%-16s | %7d | %10s | %8s | %s' "$target" "$time" "${runs:--}" "${coverage:--}" \
    "$( ((status == 0)) && echo nothing || echo SOMETHING)")")
}

for target in "${wanted[@]}"; do
  time=$((seconds * $(parts "$target") / all_parts))
  # 0 would be for ever.
  fuzz "$target" $((time > 0 ? time : 1))
done
printf '\n%-16s | %7s | %10s | %8s | %s\n' target seconds runs coverage found
printf '%s\n' "${rows[@]}"
exit "$failed"
