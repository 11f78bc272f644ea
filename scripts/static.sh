#!/usr/bin/env bash
# Builds adit as one static file that needs nothing beside it, whole and with no
# feature, checks that it is what README.md says, and prints what it takes; fails
# over budget. Needs python3 and binutils.
#
#     scripts/static.sh [--build-std] [TARGET]
#
# TARGET is musl where its std is installed, else GNU with a static C library.
# --build-std builds the std of musl too, for this machine: that needs musl-tools
# and the source of the very std of this rustc, which Debian has as rust-src.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*"; }
fail() {
    say "static.sh: $*" >&2
    exit 1
}

arch=$(uname -m)
build_std=
target=
for argument; do
    case $argument in
    --build-std) build_std=yes ;;
    -* | '') fail "$argument: write [--build-std] [TARGET]" ;;
    *) target=$argument ;;
    esac
done

built=${CARGO_TARGET_DIR:-$PWD/target}

has_std() { compgen -G "$(rustc --print target-libdir --target "$1")/libstd-*.rlib" >/dev/null; }

if [ -z "$target" ]; then
    target=$arch-unknown-linux-musl
    [ -n "$build_std" ] || has_std "$target" || target=$arch-unknown-linux-gnu
fi
case $build_std$target in
yes"$arch"-unknown-linux-musl) ;;
yes*) fail "--build-std is for $arch-unknown-linux-musl, not for $target" ;;
*) has_std "$target" || fail "the std of $target is not installed for $(rustc --version)" ;;
esac

cargo=(cargo build --locked --quiet --profile min --target "$target")
# Nothing unwinds: no tables for it. What code has in common is there once.
flags="-C force-unwind-tables=no -C llvm-args=-enable-machine-outliner=always"
# The layout goes by the names of functions.
flags+=" -C symbol-mangling-version=v0 -C link-arg=-Wl,-T,$PWD/scripts/static.ld"

# Heads are short: to ask the processor what it has takes longer than it saves.
export CARGO_CFG_HTTPARSE_DISABLE_SIMD=1

# shellcheck source=scripts/own-std.sh
source scripts/own-std.sh

# A std of one's own for musl.
prepare_std() {
    local own=$built/build-std
    command -v musl-gcc >/dev/null || fail "no musl-gcc: install Debian's musl-tools"
    own_std "$own"
    mkdir "$own/unwind"
    # std asks for libunwind; gcc's does, but for one function of glibc's.
    printf '%s\n' 'int _dl_find_object(void *at, void *found) { (void)at; (void)found; return -1; }' \
        >"$own/unwind/stub.c"
    musl-gcc -O -c "$own/unwind/stub.c" -o "$own/unwind/stub.o"
    cp "$(gcc -print-file-name=libgcc_eh.a)" "$own/unwind/libunwind.a"
    ar q "$own/unwind/libunwind.a" "$own/unwind/stub.o"
    export "CC_${target//-/_}=musl-gcc"
    cargo[0]=$own/toolchain/bin/cargo
    cargo+=(-Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size)
    # musl-gcc links no position independent program that is static.
    flags+=" -C link-self-contained=no -C linker=musl-gcc -C relocation-model=static"
    flags+=" -L native=$own/unwind"
    # A panic says what went wrong, and not in which line.
    flags+=" -Z location-detail=none"
}

# std asks the C library where a stack ends, for a last word when it overflows.
# glibc finds that out with all of scanf: 90 kB, and /proc/self/maps read at each
# start. Without an answer the overflow is a plain SIGSEGV.
forget_the_stack() {
    local linker object=$built/static/$target-stack.o
    linker=${target//-/_}
    linker=CARGO_TARGET_${linker^^}_LINKER
    mkdir -p "$built/static"
    printf '%s\n' '#include <errno.h>' \
        'int pthread_getattr_np(unsigned long thread, void *attributes)' \
        '{ (void)thread; (void)attributes; return ENOSYS; }' |
        "${!linker:-gcc}" -O -c -x c - -o "$object"
    flags+=" -C link-arg=$object"
}

# Budgets in bytes: everything, nothing.
case $target in
*-musl*)
    whole=$((1792 * 1024)) smallest=$((512 * 1024))
    [ -z "$build_std" ] || prepare_std
    ;;
*)
    whole=$((2816 * 1024)) smallest=$((1536 * 1024))
    flags+=" -C target-feature=+crt-static"
    # What relocates the program itself is packed.
    flags+=" -C link-arg=-Wl,-z,pack-relative-relocs"
    forget_the_stack
    say "GNU, static: names are resolved through /etc/hosts and DNS, and through whatever else
nsswitch.conf names and this machine has. A module of another version of glibc can
crash the program there: name backends by address, or use musl."
    ;;
esac

over=
# The row of a figure and its budget.
row() {
    local verdict=ok
    [ "$2" -le "$3" ] || verdict=OVER over=yes
    printf '%-34s %11s  at most %9s  %s\n' "$1" "$2" "$3" "$verdict"
}

in_an_empty_root() {
    local root
    root=$(mktemp -d)
    cp "$1" "$root/adit"
    if [ "$(id -u)" = 0 ]; then
        chroot "$root" /adit --version
    elif unshare --user --map-root-user true 2>/dev/null; then
        unshare --user --map-root-user chroot "$root" /adit --version
    else
        say "not tried in an empty root: that needs root, or user namespaces"
    fi
    rm -r "$root"
}

check() {
    local binary=$1 headers
    if readelf -d "$binary" | grep NEEDED; then
        fail "$binary needs shared libraries"
    fi
    headers=$(readelf -lW "$binary")
    case $headers in
    *INTERP*) fail "$binary needs a loader" ;;
    *"type is DYN"* | *"type DYN"*) say "static, position independent" ;;
    *)
        case $build_std$target in x86_64-* | aarch64-*) fail "$binary is not position independent" ;; esac
        say "static, not position independent"
        ;;
    esac
    if [ "${target%%-*}" != "$arch" ]; then
        say "not run: this machine is $arch"
        return
    fi
    in_an_empty_root "$binary"
    python3 tests/load/small.py "$binary" >"$binary.figures"
    while read -r figure bytes budget; do
        row "${figure//_/ }" "$bytes" "$budget"
    done <"$binary.figures"
    rm "$binary.figures"
}

out=$built/static/$target
mkdir -p "$out"
for set in smallest whole; do
    case $set in
    smallest) features=--no-default-features ;;
    whole) features=--all-features ;;
    esac
    say "== $target, $set"
    RUSTFLAGS=$flags "${cargo[@]}" "$features"
    cp "$built/$target/min/adit" "$out/adit-$set"
    check "$out/adit-$set"
    row "bytes of $out/adit-$set" "$(stat -c %s "$out/adit-$set")" "${!set}"
done
[ -z "$over" ] || fail "over budget"
