#!/usr/bin/env bash
# adit beside its peers: what a byte, a message, a connection and an idle tunnel
# cost each of them, as a table, and a table of what adit promises.
#
#   scripts/bench.sh [--quick] [--update-readme] [--work TEXT]... [--peer NAME]... [--rounds N]
#
#   --quick          fewer works and shorter: under three minutes
#   --update-readme  write the tables into README.md; not with --work or --peer,
#                    for they have to be whole
#   --work           only works whose names contain this, as "echo" or "64 KiB"
#   --peer           only these peers beside adit: lighttpd websocat websockify
#                    websocketd nginx haproxy haproxy-tcp
#   --rounds         how often each is done (3)
#
# ADIT                  a binary to measure instead of the one built here
# ADIT_INTEROP_CACHE    where peers are installed (target/interop)
#
# It wants a quiet machine with two cores or more, and root for a network of its
# own, in which TCP is reno: BBR paces with timers, even on loopback.

set -euo pipefail
cd "$(dirname "$0")/.."

WEBSOCAT_VERSION=1.14.1

usage() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

command="scripts/bench.sh $*"
options=()
peers=()
readme=
partial=
profile=
while (($# > 0)); do
  case $1 in
    --quick) options+=("$1") ;;
    --update-readme) readme=$PWD/README.md ;;
    # Only for scripts/profile.sh, so it is not in the usage.
    --profile) profile=1 ;&
    --work | --peer | --rounds)
      (($# > 1)) || usage
      options+=("$1" "$2")
      if [[ $1 != --rounds ]]; then partial=1; fi
      if [[ $1 == --peer ]]; then peers+=("$2"); fi
      shift
      ;;
    *) usage ;;
  esac
  shift
done
[[ -z $readme || -z $partial ]] || usage

cache=${ADIT_INTEROP_CACHE:-target/interop}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# shellcheck source=scripts/install.sh
source scripts/install.sh

# Whether this peer is to be measured.
wanted() {
  ((${#peers[@]} == 0)) || [[ " ${peers[*]} " == *" $1 "* ]]
}

install_peers() {
  need_programs openssl=openssl ip=iproute2 lighttpd=lighttpd websockify=websockify \
    websocketd=websocketd socat=socat nginx=nginx haproxy=haproxy || return
  [[ -e /usr/lib/lighttpd/mod_openssl.so ]] ||
    need_programs "no mod_openssl=lighttpd-mod-openssl" || return
  # It takes minutes to build.
  wanted websocat || return 0
  need_directory "$WEBSOCAT_VERSION" "$cache/websocat" \
    cargo install --quiet --locked --root "$cache/websocat" "websocat@$WEBSOCAT_VERSION"
}

# The kind of machine, in a few words.
machine() {
  local model virtual=
  model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
  if grep -q '^flags.* hypervisor' /proc/cpuinfo; then virtual=' of a virtual machine'; fi
  echo "${model:-$(uname -m)}, $(nproc) CPUs$virtual, Linux $(uname -r | cut -d. -f1,2), $(uname -m)"
}

if [[ -z $profile ]]; then install_peers; fi
if [[ -z ${ADIT:-} ]]; then
  cargo build --release --locked --quiet
  ADIT=${CARGO_TARGET_DIR:-target}/release/adit
fi
bench=${CARGO_TARGET_DIR:-$PWD/target}/bench
cargo build --release --locked --quiet --manifest-path tests/bench/Cargo.toml --target-dir "$bench"

read -r load _ </proc/loadavg
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
scripts/certs.sh "$work" >/dev/null

if [[ -n $readme ]]; then
  options+=(--readme "$readme" --about "$(date -u +%F), $(machine), load $load at the start, \`$command\`;")
fi
run=(env "ADIT=$(realpath "$ADIT")" "WEBSOCAT=$cache/websocat/bin/websocat"
  "$bench/release/bench" "$work" "${options[@]}")
if as_root unshare --net true 2>/dev/null; then
  # shellcheck disable=SC2016  # the inner shell expands it
  as_root unshare --net bash -c '
    ip link set lo up
    echo reno >/proc/sys/net/ipv4/tcp_congestion_control
    ulimit -n 40000 2>/dev/null || ulimit -n "$(ulimit -Hn)"
    exec "$@"' bench "${run[@]}"
else
  echo "bench: no network of its own, TCP is $(</proc/sys/net/ipv4/tcp_congestion_control)" >&2
  ulimit -n "$(ulimit -Hn)"
  "${run[@]}"
fi
