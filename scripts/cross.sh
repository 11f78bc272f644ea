#!/usr/bin/env bash
# Builds adit for machines that are not this one, static, and runs it under
# qemu-user: the unit tests, or those whose names begin with TESTS, and a tunnel
# that echoes. Fails if one of the machines does.
#
#     scripts/cross.sh [TESTS]
#
# MACHINES  which of them: aarch64 armv7 s390x
# RUST_SRC  where the source of this rustc's std is, if not installed as rust-src
#
# Needs python3 and, from Debian, qemu-user-static and the cross compilers
# gcc-aarch64-linux-gnu gcc-arm-linux-gnueabihf gcc-s390x-linux-gnu.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    printf '%s\n' "cross.sh: $*" >&2
    exit 1
}

tests=${1-}
case $tests in -*) fail "$tests: write [TESTS]" ;; esac

# shellcheck source=scripts/own-std.sh
source scripts/own-std.sh

# on MACHINE TARGET COMPILER QEMU KIND
on() {
    local machine=$1 target=$2 compiler=$3 qemu=$4 kind=$5
    case " ${MACHINES:-aarch64 armv7 s390x} " in *" $machine "*) ;; *) return 0 ;; esac
    command -v "$compiler" >/dev/null || fail "no $compiler: install Debian's cross compilers"
    command -v "$qemu" >/dev/null || fail "no $qemu: install Debian's qemu-user-static"
    local name=${target//-/_} cargo=("$toolchain/bin/cargo")
    printf '== %s\n' "$target, $kind"
    export "CC_$name=$compiler" "CARGO_TARGET_${name^^}_LINKER=$compiler"
    export "CARGO_TARGET_${name^^}_RUNNER=$qemu"
    export CARGO_TARGET_DIR=$PWD/target/cross RUSTFLAGS="-C target-feature=+crt-static"
    local common=(--locked --quiet --target "$target" -Zbuild-std)
    "${cargo[@]}" build "${common[@]}"
    # A tunnel of that machine, to clients and a backend of this one.
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$qemu" "$CARGO_TARGET_DIR/$target/debug/adit" \
        >"$CARGO_TARGET_DIR/adit-$machine"
    chmod +x "$CARGO_TARGET_DIR/adit-$machine"
    python3 tests/load/echo.py "$CARGO_TARGET_DIR/adit-$machine"
    "${cargo[@]}" test "${common[@]}" --lib -- "$tests"
}

own_std "$PWD/target/cross-std"
toolchain=$PWD/target/cross-std/toolchain
on aarch64 aarch64-unknown-linux-gnu aarch64-linux-gnu-gcc qemu-aarch64-static "64 bits"
on armv7 armv7-unknown-linux-gnueabihf arm-linux-gnueabihf-gcc qemu-arm-static "32 bits"
on s390x s390x-unknown-linux-gnu s390x-linux-gnu-gcc qemu-s390x-static "64 bits, big-endian"
