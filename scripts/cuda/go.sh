#!/bin/sh
# Runs go with what the tag cuda needs: the headers of a toolkit and kernels to embed. For example
#   scripts/cuda/go.sh test -tags cuda ./inference/backend/cuda/...
# CUDA_HOME and CUDA_ARCHS as in toolkit.sh and kernels.sh. Neither a GPU nor a driver is needed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/llorch/cuda

toolkit=$("$here/toolkit.sh")
CUDA_HOME=$toolkit "$here/kernels.sh"

compat=$cache/compat-$(cksum <"$here/compat/cuda.h" | cut -d' ' -f1)
if [ ! -f "$compat/lib/libcuda.a" ]; then
    mkdir -p "$compat/include" "$compat/lib" 2>/dev/null || {
        echo "cuda: the cache $cache cannot be written: set XDG_CACHE_HOME to a folder that can" >&2
        exit 1
    }
    cp "$here/compat/cuda.h" "$compat/include/.cuda.h.$$" && mv "$compat/include/.cuda.h.$$" "$compat/include/cuda.h"
    # gorgonia.org/cu links -lcuda. This archive of nothing satisfies it: the driver is loaded at run time.
    printf '!<arch>\n' >"$compat/lib/.$$" && mv "$compat/lib/.$$" "$compat/lib/libcuda.a"
fi

# These folders are in the flags of gorgonia.org/cu and come before the compiler's environment.
installed() {
    for folder in /usr/local/cuda /usr/local/cuda-11.0/targets/x86_64-linux /usr/local/cuda-10.2 /opt/cuda /usr/lib/x86_64-linux-gnu; do
        for file in include/cuda.h lib64/libcuda.so lib/libcuda.so libcuda.so; do
            [ ! -e "$folder/$file" ] || return 0
        done
    done
    return 1
}
if installed; then
    # Flags come first, but with them Go compiles all C code once more, the CPU backend's too. It sees flags and not the
    # headers that they lead to, so the headers' content is one.
    headers=$(cksum <"$toolkit/include/cuda.h" | cut -d' ' -f1)
    export CGO_CFLAGS="-O2 -g -DLLORCH_CUDA_HEADERS=$headers -I$compat/include -I$toolkit/include"
    export CGO_LDFLAGS="-O2 -g -L$compat/lib"
else
    export CPATH="$compat/include:$toolkit/include${CPATH:+:$CPATH}"
    export LIBRARY_PATH="$compat/lib${LIBRARY_PATH:+:$LIBRARY_PATH}"
fi
export CGO_ENABLED=1
# With paths trimmed, what one clone has compiled serves the next.
export GOFLAGS=-trimpath
# go-nvml calls functions that its own header deprecates: a hundred lines of warnings, the one time it is compiled. An
# error shows again below.
case ${1:-} in
build | test | vet) go build github.com/NVIDIA/go-nvml/pkg/nvml 2>/dev/null || true ;;
esac
exec go "$@"
