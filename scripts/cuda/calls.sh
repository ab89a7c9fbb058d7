#!/bin/sh
# Writes inference/backend/cuda/driver/calls.h: the name of every function that the CUDA headers declare, one line each.
# Usage: calls.sh INCLUDE_DIR... (folders with a cuda.h; the names of all are joined, so that a binary built with one
# version's headers has what another version's need). Run it when a newer CUDA is to be built with.
set -eu
cd "$(dirname "$0")/../.."
out=inference/backend/cuda/driver/calls.h
[ $# -gt 0 ] || { echo "usage: $0 INCLUDE_DIR..." >&2; exit 2; }
{
    echo '// Written by scripts/cuda/calls.sh from cuda.h. cuInit is not here: shim.c has its own.'
    for folder in "$@"; do
        # Plain, a header declares the newest form of each function; "internal" adds the older ones.
        for flag in -DPLAIN -D__CUDA_API_VERSION_INTERNAL; do
            echo '#include <cuda.h>' | "${CC:-cc}" -E -P -I "$folder" $flag -x c -
        done
    done | tr '\n' ' ' | grep -oE 'CUresult +cu[A-Z][A-Za-z0-9_]* *\(' | sed -E 's/CUresult +(cu[A-Za-z0-9_]*).*/\1/' |
        grep -vx cuInit | LC_ALL=C sort -u | sed 's/.*/CALL(&)/'
} >"$out.new"
mv "$out.new" "$out"
echo "calls.h: $(grep -c '^CALL' "$out") functions" >&2
