#!/usr/bin/env bash
# Tries what scripts/deploy holds: each example is read by the program that it is
# for, and runs with an echoing tunnel through it where one machine can do that.
# Of the Dockerfile the syntax and what it copies are checked, and nothing is
# built. tests/deploy/check.py has the checks.
#
#   scripts/deploy.sh [CHECK...]
#
# ADIT    a binary to test instead of the one built here

set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -z ${ADIT:-} ]]; then
  cargo build --release --locked
  ADIT=${CARGO_TARGET_DIR:-$PWD/target}/release/adit
fi
ADIT=$(realpath "$ADIT")
export PATH=$PATH:/usr/sbin

# shellcheck source=scripts/install.sh
source scripts/install.sh
need_programs systemd-analyze=systemd haproxy=haproxy nginx=nginx-light rsyslogd=rsyslog \
  busybox=busybox strace=strace make=make ip=iproute2 python3=python3
# A module is no program, so it is always missing as one.
python3 -c 'import yaml' 2>/dev/null || need_programs python3-yaml=python3-yaml

cache=${ADIT_INTEROP_CACHE:-target/interop}
mkdir -p "$cache"
need_superservers "$(cd "$cache" && pwd)"

# A network of its own has the examples' ports free, and a /dev of its own /dev/log.
# shellcheck disable=SC2016  # the inner shell's
as_root env "PATH=$SUPERSERVERS/usr/sbin:$PATH" "SUPERSERVER_LIBRARIES=$SUPERSERVER_LIBRARIES" \
  unshare --net --mount --propagation private bash -euc '
  ip link set lo up
  lower=$(mktemp -d)
  mount --bind /dev "$lower"
  mount -t tmpfs none /dev
  for name in null zero full random urandom tty fd stdin stdout stderr pts shm; do
    if [[ -L $lower/$name ]]; then
      cp -P "$lower/$name" /dev/
    elif [[ -d $lower/$name ]]; then
      mkdir "/dev/$name" && mount --rbind "$lower/$name" "/dev/$name"
    elif [[ -e $lower/$name ]]; then
      touch "/dev/$name" && mount --bind "$lower/$name" "/dev/$name"
    fi
  done
  umount -l "$lower" && rmdir "$lower"
  exec python3 tests/deploy/check.py "$@"
' deploy "$ADIT" "$@"
