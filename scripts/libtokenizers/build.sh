#!/bin/sh
# Puts libtokenizers.a where inference/tokenize links it from: lib/<binding version>/<os>_<arch>/ (ignored by git).
#
# Tried in this order, the first that works wins:
#   1. the archive already in place;
#   2. the user's cache, ${XDG_CACHE_HOME:-~/.cache}/llorch/libtokenizers/, shared by every clone on the machine;
#   3. LLORCH_LIBTOKENIZERS: a file or an http(s) address holding the archive that the binding's authors publish,
#      as libtokenizers.a or as a .tar.gz with it inside;
#   4. cargo, from the binding's own Rust source and the locked crates beside this script (about 100 s on 2 cores).
set -eu

binding=github.com/daulet/tokenizers
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

say() { echo "libtokenizers: $*" >&2; }
die() { say "$*"; exit 1; }
need() { command -v "$1" >/dev/null 2>&1 || die "$1 was not found: $2"; }

# The version is part of the path because Go's build cache does not notice an archive that changed in place.
locate() {
    cd "$root"
    version=$(go list -mod=readonly -m -f '{{.Version}}' $binding) ||
        die "go.mod cannot be read or $binding is not in it: see the message of go above"
    platform=$(go env GOOS)_$(go env GOARCH)
    grep -q "/lib/$version/$platform\$" "$root/inference/tokenize/link.go" ||
        die "inference/tokenize/link.go has no line for $version on $platform: add one"
    out=$root/inference/tokenize/lib/$version/$platform/libtokenizers.a
    recipe=$(cat "$here/Cargo.toml" "$here/Cargo.lock" "$here/lib.rs" | cksum | cut -d' ' -f1)
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/llorch/libtokenizers/$version-$platform-$recipe
}

# The binding refuses at link time an archive of another version; say so here, before the linker does in its own words.
fetch_binding() {
    go mod download $binding || die "$binding $version could not be downloaded: make the Go module proxy reachable once"
    source=$(go list -mod=readonly -m -f '{{.Dir}}' $binding)
    symbol=$(sed -n 's/^extern void \(tokenizers_version_[0-9_]*\)(void);.*/\1/p' "$source/tokenizer.go")
    [ -n "$symbol" ] || die "the version symbol of $binding $version was not found in its tokenizer.go"
}

# install_archive FILE: into the cache and into place, each by rename so that no half-written archive is ever seen.
install_archive() {
    grep -q "$symbol" "$1" || { say "$1 is not an archive of $binding $version (it lacks $symbol)"; return 1; }
    if [ "$1" != "$cache/libtokenizers.a" ] && mkdir -p "$cache" 2>/dev/null; then
        cp "$1" "$cache/.new.$$" && mv "$cache/.new.$$" "$cache/libtokenizers.a"
    fi
    mkdir -p "$(dirname "$out")"
    cp "$1" "$out.new.$$" && mv "$out.new.$$" "$out"
}

download() {
    if command -v curl >/dev/null 2>&1; then curl -fsSL -o "$2" "$1"
    elif command -v wget >/dev/null 2>&1; then wget -q -O "$2" "$1"
    else say "neither curl nor wget was found: install one, or download $1 yourself and name the file"; return 1
    fi
}

released() {
    got=$work/released
    case $LLORCH_LIBTOKENIZERS in
    http://* | https://*) download "$LLORCH_LIBTOKENIZERS" "$got" || return 1 ;;
    *) cp "$LLORCH_LIBTOKENIZERS" "$got" || return 1 ;;
    esac
    if tar -tzf "$got" >/dev/null 2>&1; then
        (cd "$work" && tar -xzf "$got" libtokenizers.a) || { say "$LLORCH_LIBTOKENIZERS holds no libtokenizers.a"; return 1; }
        got=$work/libtokenizers.a
    fi
    install_archive "$got"
}

rust="install Rust 1.85 or newer (cargo and rustc), or set LLORCH_LIBTOKENIZERS to the archive that $binding publishes for your platform"

build() {
    need cargo "$rust"
    minor=$(cargo --version | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p')
    [ "${minor:-85}" -ge 85 ] || die "$(cargo --version) is too old: $rust"
    [ "$(go env GOHOSTOS)_$(go env GOHOSTARCH)" = "$platform" ] ||
        die "cargo builds for this machine only: set LLORCH_LIBTOKENIZERS to the archive that $binding publishes for $platform"
    say "building $binding $version with cargo, once (about 2 minutes)"
    TOKENIZERS_DIR=$source cargo build --release --locked --quiet \
        --manifest-path "$here/Cargo.toml" --target-dir "$work/target" ||
        die "cargo could not build the archive: see its message above; with no network the crates must be in cargo's cache"
    built=$work/target/release/libtokenizers.a
    strip -S "$built" 2>/dev/null || say "strip was not found or failed: the archive keeps its debug information"
    install_archive "$built"
}

need go "install Go 1.26 or newer"
locate
[ -f "$out" ] && exit 0
need "${CC:-cc}" "install a C compiler (on Debian: gcc and g++)"
fetch_binding
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

echo 'int main(void){return 0;}' >"$work/probe.c"
"${CC:-cc}" "$work/probe.c" -o "$work/probe" -lstdc++ 2>/dev/null ||
    die "${CC:-cc} cannot link the C++ runtime that the tokenizer library needs: install g++"
if [ -f "$cache/libtokenizers.a" ] && install_archive "$cache/libtokenizers.a"; then exit 0; fi
if [ -n "${LLORCH_LIBTOKENIZERS:-}" ]; then
    if released; then exit 0; fi
    say "LLORCH_LIBTOKENIZERS=$LLORCH_LIBTOKENIZERS could not be used, trying cargo"
fi
build
