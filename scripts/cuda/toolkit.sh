#!/bin/sh
# Prints the folder of a CUDA toolkit 12.x or 13.x: bin/nvcc and include/cuda.h are in it. Tried in this order:
#   1. $CUDA_HOME, and nothing else where that is set;
#   2. /usr/local/cuda;
#   3. the toolkit of the nvcc in PATH;
#   4. the user's cache, ${XDG_CACHE_HOME:-~/.cache}/llorch/cuda/, shared by every clone on the machine;
#   5. the Python packages of requirements.txt beside this script, put into that cache by pip (105 MB, 271 MB unpacked).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
say() { echo "cuda: $*" >&2; }
die() { say "$*"; exit 1; }

# usable FOLDER: is it a toolkit that serves? why says what is wrong with it.
usable() {
    [ -x "$1/bin/nvcc" ] || { why="has no bin/nvcc"; return 1; }
    [ -f "$1/include/cuda.h" ] || { why="has no include/cuda.h"; return 1; }
    release=$("$1/bin/nvcc" --version 2>/dev/null | sed -n 's/.*release \([0-9]*\)\..*/\1/p')
    case $release in
    12 | 13) return 0 ;;
    '') why="has an nvcc that does not run" ;;
    *) why="is CUDA $release" ;;
    esac
    return 1
}

fetch() {
    pip=
    for python in python3 python; do
        if "$python" -m pip --version >/dev/null 2>&1; then pip="$python -m pip"; break; fi
    done
    [ -n "$pip" ] ||
        die "no CUDA toolkit was found and Python's pip neither, which would fetch one: install CUDA 12.x or 13.x and set CUDA_HOME, or install python3 with pip"
    mkdir -p "$(dirname "$cache")" || die "the cache $(dirname "$cache") cannot be written: set XDG_CACHE_HOME to a folder that can"
    new=$(mktemp -d "$cache.new.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    trap 'exit 1' INT TERM
    say "no toolkit is installed: fetching the compiler and headers of CUDA 13.0, once (105 MB)"
    $pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes --only-binary=:all: \
        --target "$new" -r "$here/requirements.txt" 2>"$new/log" ||
        { tail -n 5 "$new/log" >&2; die "the packages of scripts/cuda/requirements.txt could not be fetched (see above): make a Python package index reachable once, or install CUDA 12.x or 13.x and set CUDA_HOME"; }
    usable "$new/nvidia/cu13" || die "what was fetched $why: report it, and install CUDA 12.x or 13.x meanwhile"
    usable "$cache/nvidia/cu13" && return # another build was first
    rm -rf "$cache"
    mv "$new" "$cache"
}

if [ -n "${CUDA_HOME:-}" ]; then
    usable "$CUDA_HOME" || die "CUDA_HOME=$CUDA_HOME $why: name the folder of a toolkit 12.x or 13.x, or unset it to have one fetched"
    echo "$CUDA_HOME"
    exit 0
fi
found=$(command -v nvcc 2>/dev/null) && found=$(dirname "$(dirname "$(readlink -f "$found")")")
for folder in /usr/local/cuda $found; do
    if usable "$folder"; then echo "$folder"; exit 0; fi
done
recipe=$(cksum <"$here/requirements.txt" | cut -d' ' -f1)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/llorch/cuda/toolkit-$(uname -m)-$recipe
usable "$cache/nvidia/cu13" || fetch
echo "$cache/nvidia/cu13"
