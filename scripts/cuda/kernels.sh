#!/bin/sh
# Compiles inference/backend/cuda/kernels/*.cu, each to a .fatbin beside it, which the program embeds, and those of the
# driver's tests (ignored by git).
# build.txt beside them says what they hold: the release of CUDA, then the targets.
#
# CUDA_ARCHS chooses that: numbers of compute capabilities for machine code, ptxNN for code that the driver compiles when
# it loads it. The default serves GPUs from Ampere on; "90a" alone is what a check needs and takes a fifth of the time.
#
# CUDA_FLAGS are more flags for nvcc, -lineinfo for a profiler.
#
# A source that has been compiled before, with the same headers, flags and compiler, comes out of the user's cache
# ${XDG_CACHE_HOME:-~/.cache}/llorch/cuda/kernels/. Two sources are compiled at a time.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
archs=${CUDA_ARCHS:-80 86 89 90a ptx90}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/llorch/cuda/kernels

say() { echo "cuda: $*" >&2; }
die() { say "$*"; exit 1; }

toolkit=$("$here/toolkit.sh")
nvcc=$toolkit/bin/nvcc

flags="-O3 -std=c++17 -fatbin ${CUDA_FLAGS:-}"
for arch in $archs; do
    case $arch in
    ptx[0-9]*) flags="$flags -gencode arch=compute_${arch#ptx},code=compute_${arch#ptx}" ;;
    [0-9]*) flags="$flags -gencode arch=compute_$arch,code=sm_$arch" ;;
    *) die "CUDA_ARCHS: $arch is neither a compute capability like 90a nor PTX like ptx90" ;;
    esac
done
# Smaller files for the same code; nvcc before 12.8 lacks it.
if "$nvcc" --help | grep -q -- '--compress-mode'; then flags="$flags --compress-mode=size"; fi

threads=1
release=$("$nvcc" --version | sed -n 's/.*release \([0-9]*\.[0-9]*\).*/\1/p')

# Compiles NAME, for KEY: into the cache and into place, each by rename so that no half-written file is ever seen.
export nvcc flags cache threads
compile='
    "$nvcc" $flags --threads "$threads" -o "$1.new.$$" "$1.cu" || { rm -f "$1.new.$$"; exit 1; }
    mkdir -p "$cache" && cp "$1.new.$$" "$cache/.$2.$$" && mv "$cache/.$2.$$" "$cache/$2"
    mv "$1.new.$$" "$1.fatbin"
'

# place NAME KEY: from the cache. A file that is right stays as it is: Go need not read it again.
place() {
    touch -c "$cache/$2" 2>/dev/null || true
    cmp -s "$cache/$2" "$1.fatbin" && return
    cp "$cache/$2" "$1.new.$$"
    mv "$1.new.$$" "$1.fatbin"
}

# folder PATH: every .cu in it.
folder() {
    cd "$1"
    common=$({ echo "$flags"; "$nvcc" --version; find . -name '*.cuh' -o -name '*.h' | LC_ALL=C sort | xargs -r cat; } | sha256sum)
    todo='' count=0
    for source in *.cu; do
        [ -f "$source" ] || die "no kernels were found in $1"
        name=${source%.cu}
        key=$({ echo "$common"; cat "$source"; } | sha256sum | cut -d' ' -f1)
        if [ -f "$cache/$key" ]; then
            place "$name" "$key"
        else
            count=$((count + 1))
            todo="$todo $name $key"
        fi
    done
    for file in *.fatbin; do
        [ -f "${file%.fatbin}.cu" ] || rm -f "$file" # its source is gone
    done
    [ "$count" = 0 ] && return
    threads=1
    [ "$count" != 1 ] || threads=2 # one file alone: two targets at a time
    printf '%s\n' $todo | xargs -n 2 -P 2 sh -c "$compile" sh ||
        die "a kernel does not compile for $archs: see the message of nvcc above (it needs a host compiler too: on Debian, g++)"
    say "$count kernel files compiled for $archs"
    find "$cache" -type f -mtime +30 -delete 2>/dev/null || true
}

backend=$here/../../inference/backend/cuda
(folder "$backend/driver/testdata")
(folder "$backend/kernels")
cd "$backend/kernels"
echo "$release $archs" | cmp -s - build.txt || echo "$release $archs" >build.txt
