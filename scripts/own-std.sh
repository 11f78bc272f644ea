# shellcheck shell=bash
# For scripts that build Rust's own library too: sourced, not run. They have
# `fail`. What rustc calls unstable is in use after own_std.

# The source of this rustc's std, where Debian's rust-src or RUST_SRC has it.
std_source() {
    local version folder
    version=$(rustc --version | cut -d ' ' -f 2)
    for folder in "${RUST_SRC-}" "/usr/src/rustc-$version"; do
        if [ -f "$folder/src/version" ] && grep -qx "$version" "$folder/src/version"; then
            printf '%s' "$folder"
            return
        fi
    done
    fail "no source of the std of rustc $version: install Debian's rust-src of that version, or
unpack it and set RUST_SRC to its folder usr/src/rustc-$version"
}

# own_std FOLDER: a copy of the toolchain, by links, with the source in it; its
# cargo is FOLDER/toolchain/bin/cargo.
own_std() {
    local source own=$1
    source=$(std_source)
    rm -rf "$own"
    mkdir -p "$own"
    cp -al "$(rustc --print sysroot)" "$own/toolchain" 2>/dev/null ||
        cp -a "$(rustc --print sysroot)" "$own/toolchain"
    rm -rf "$own/toolchain/lib/rustlib/src/rust"
    mkdir -p "$own/toolchain/lib/rustlib/src"
    ln -s "$source" "$own/toolchain/lib/rustlib/src/rust"
    export RUSTC_BOOTSTRAP=1 RUSTC="$own/toolchain/bin/rustc"
}
