#!/bin/sh
# The worker and llama.cpp on the same files, in turns, beside the limits of this machine: one table of ratios.
#
#   scripts/bench_peers.sh [--builds some|all] [--jobs N] [options of bench_peers.py: --formats, --shape, --repeats, --json FILE …]
#
# llama.cpp is built from the source that its Python package carries. `some` builds are the one that comes of itself for
# this CPU and, where the CPU has AVX512-FP16, the same without it (its attention is faster so); `all` adds one without AMX,
# which `some` has, too, where one with AMX does not run (gcc 12's code for it ends with SIGILL).
# Builds stay in the user's cache. Speeds are medians, fractions are of the memory's read bandwidth in the same round.
set -eu
cd "$(dirname "$0")/.."

VERSION=0.3.36 # of the package llama-cpp-python
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/llorch/peers
BIN=build/llorch-cpu
builds=some jobs=$(nproc)

say() { echo "bench_peers: $*" >&2; }
die() { say "$*"; exit 1; }

need() { # TOOL WHAT-TO-INSTALL
    command -v "$1" >/dev/null 2>&1 || die "$1 is missing: install $2"
}

# source_tree prints the folder of llama.cpp's source, fetched once.
source_tree() {
    tree=$CACHE/llama_cpp_python-$VERSION/vendor/llama.cpp
    if [ ! -f "$tree/CMakeLists.txt" ]; then
        mkdir -p "$CACHE"
        say "fetching the source of llama-cpp-python $VERSION"
        tmp=$(mktemp -d "$CACHE/.fetching-XXXXXX")
        python3 -m pip download -q --no-deps --no-binary llama-cpp-python -d "$tmp" "llama-cpp-python==$VERSION" >&2 ||
            die "pip cannot fetch the source of llama-cpp-python $VERSION: the package index must be reachable once"
        tar -xzf "$tmp"/llama_cpp_python-*.tar.gz -C "$tmp"
        rm -rf "$CACHE/llama_cpp_python-$VERSION"
        mv "$tmp/llama_cpp_python-$VERSION" "$CACHE/"
        rm -rf "$tmp"
    fi
    echo "$tree"
}

# configure BUILD FLAGS: a Release build for this CPU; the programs find their libraries by LD_LIBRARY_PATH alone.
configure() {
    [ -f "$CACHE/$1/CMakeCache.txt" ] && return
    cmake -S "$source" -B "$CACHE/$1" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DCMAKE_SKIP_RPATH=ON -DGGML_NATIVE=ON \
        -DCMAKE_C_FLAGS="$2" -DCMAKE_CXX_FLAGS="$2" -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF \
        -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF >"$CACHE/$1.log" 2>&1 ||
        die "cmake failed, see $CACHE/$1.log"
}

# compile BUILD FLAGS TARGET...
compile() {
    build=$1 flags=$2
    shift 2
    configure "$build" "$flags"
    say "building llama.cpp, $build (the first time takes minutes)"
    cmake --build "$CACHE/$build" -j "$jobs" --target "$@" >>"$CACHE/$build.log" 2>&1 || die "the build failed, see $CACHE/$build.log"
}

has() { grep -qw "$1" /proc/cpuinfo 2>/dev/null; }

# Between the builds only the library of the CPU kernels differs: the others have no programs of their own.
build_all() {
    compile native "" llama-bench llama-batched-bench llama-server
    peers=native
    if has avx512_fp16; then
        compile nofp16 "-mno-avx512fp16" ggml-cpu
        peers="$peers nofp16"
    fi
    spare=
    if has amx_tile; then
        compile noamx "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16" ggml-cpu
        if [ "$builds" = all ]; then peers="$peers noamx"; else spare=noamx; fi
    fi
}

while [ $# -gt 0 ]; do
    case $1 in
    --builds) builds=${2:?} && shift 2 ;;
    --jobs) jobs=${2:?} && shift 2 ;;
    -h | --help)
        echo "usage: scripts/bench_peers.sh [--builds some|all] [--jobs N] [options of the measurement]"
        exec python3 scripts/bench_peers.py --ours "$BIN" --peers "$CACHE" --builds native --help ;;
    *) break ;;
    esac
done
case $builds in some | all) ;; *) die "--builds $builds: want some or all" ;; esac
need python3 "Python 3.9 or later"
python3 -m pip --version >/dev/null 2>&1 || die "pip is missing: install python3-pip"
need cmake "cmake 3.14 or later"
need c++ "a C++17 compiler (g++)"
need make "make"
[ -x "$BIN" ] || die "$BIN is not there: run make build"

source=$(source_tree)
build_all
exec python3 scripts/bench_peers.py --ours "$BIN" --peers "$CACHE" --builds "$peers" ${spare:+--spare "$spare"} "$@"
