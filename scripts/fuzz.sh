#!/usr/bin/env bash
# Runs the fuzz targets of tests/fuzz one after the other.
#
#   scripts/fuzz.sh SECONDS [TARGET...]
#   scripts/fuzz.sh --same [TARGET...]
#
#   SECONDS   for all targets together; of all of them, half goes to the two
#             that are whole tunnels, far and tunnel
#   --same    as many inputs as take about a minute, and the same each time: they
#             follow from the program and tests/fuzz/seeds alone
#   TARGET    as in tests/fuzz/targets; all of them if none is named
#
# What a target finds lies in tests/fuzz/artifacts, and the way to see it again
# is printed. What it learned in SECONDS is kept in tests/fuzz/corpus.
#
# ADIT_FUZZ_CACHE    where cargo-fuzz is installed, and the targets are built
#                    (target/fuzz)
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

CARGO_FUZZ=0.13.2
# Of one input, and of one run of a target beside its time.
MOST_MEMORY=1024
MOST_SECONDS=10

usage() {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}

[[ ${1:-} =~ ^[1-9][0-9]*$ || ${1:-} == --same ]] || usage
bound=$1
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

# How many inputs a target gets where they are the same each time. Two get their
# seeds only: the way that an input takes, and so what it is changed to, hangs on
# chance there, on keys of TLS and on hashes of tables.
runs() {
  case $1 in
    tls | tokens) echo 0 ;;
    far | tunnel) echo 7000 ;;
    config | request) echo 100000 ;;
    *) echo 200000 ;;
  esac
}

failed=0
rows=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# begin_and_end TARGET: sets what the target starts from, and when it is over.
begin_and_end() {
  local seeds=tests/fuzz/seeds/$1 learned=tests/fuzz/corpus/$1 time files IFS=,
  if [[ $bound == --same ]]; then
    # Their names, for the files of a folder come in any order. And nothing is
    # learned from numbers that are compared, for addresses are among them.
    files=("$seeds"/*)
    begin_and_end=(-seed=1 -use_cmp=0 "-seed_inputs=${files[*]}" "-runs=$(runs "$1")")
  else
    mkdir -p "$learned"
    time=$((bound * $(parts "$1") / all_parts))
    # 0 would be for ever.
    begin_and_end=("$learned" "$seeds" "-max_total_time=$((time > 0 ? time : 1))")
  fi
}

# fuzz TARGET: runs one target, and notes how it went.
fuzz() {
  local target=$1 status=0 found=$PWD/tests/fuzz/artifacts/$1 begin_and_end took runs coverage
  mkdir -p "$found"
  begin_and_end "$target"
  echo "== $target"
  "$cache/build/$host/release/$target" "${begin_and_end[@]}" "-timeout=$MOST_SECONDS" \
    "-rss_limit_mb=$MOST_MEMORY" "-artifact_prefix=$found/" -print_final_stats=1 >"$log" 2>&1 || status=$?
  took=$(sed -n 's/^Done [0-9]* runs in \([0-9]*\) second.*/\1/p' "$log")
  runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
  coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
  if ((status != 0)); then
    failed=1
    # Without its progress, and without the dump of an input that may be long.
    { grep -Ev '^(#[0-9]|0x)' "$log" || true; } | cut -c1-500 | tail -60
    sed -n "s|^.*Test unit written to \(.*\)|fuzz: $target found something; to see it again:\n  $cache/build/$host/release/$target \1|p" "$log"
  fi
  rows+=("$(printf '%-16s | %7s | %10s | %8s | %s' "$target" "${took:--}" "${runs:--}" "${coverage:--}" \
    "$( ((status == 0)) && echo nothing || echo SOMETHING)")")
}

for target in "${wanted[@]}"; do
  fuzz "$target"
done
printf '\n%-16s | %7s | %10s | %8s | %s\n' target seconds runs coverage found
printf '%s\n' "${rows[@]}"
exit "$failed"
