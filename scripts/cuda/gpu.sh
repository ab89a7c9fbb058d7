#!/bin/sh
# Builds into build/gpu/ what scripts/gpu_check.sh runs on a machine with a GPU and without Go: the worker, the worker for
# drills, the test binaries, stripped, and compute-sanitizer where no toolkit brings it. CUDA_ARCHS as in kernels.sh.
set -eu
cd "$(dirname "$0")/../.."
out=build/gpu
mkdir -p "$out"

go() { scripts/cuda/go.sh "$@"; }
flags="-s -w ${LDFLAGS:-}"
go build -tags cuda -buildvcs=false -ldflags "$flags" -o "$out/llorch-cuda" ./agent/cmd/llorch
go build -tags cuda,llorch_faults -buildvcs=false -ldflags "$flags" -o "$out/llorch-cuda-faults" ./agent/cmd/llorch
go test -c -tags cuda -ldflags '-s -w' -o "$out/inference.test" ./inference
go test -c -tags cuda -ldflags '-s -w' -o "$out/backend.test" ./inference/backend/cuda
go test -c -tags cuda -ldflags '-s -w' -o "$out/driver.test" ./inference/backend/cuda/driver
go test -c -tags cuda -ldflags '-s -w' -o "$out/nvml.test" ./inference/backend/cuda/nvml

# The check fails without the sanitizer and says so; what is built here serves all the same.
if [ ! -x "$out/sanitizer/TreeLauncherSubreaper" ]; then
    new=$(mktemp -d)
    trap 'rm -rf "$new"' EXIT
    if python3 -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes --only-binary=:all: \
        --target "$new" -r scripts/cuda/sanitizer.txt 2>"$new/log"; then
        rm -rf "$out/sanitizer"
        mv "$new/nvidia/cu13/compute-sanitizer" "$out/sanitizer"
        rm -rf "$out/sanitizer/docs" "$out/sanitizer/include" "$out/sanitizer/x86"
        chmod +x "$out/sanitizer/compute-sanitizer" "$out"/sanitizer/TreeLauncher*
    else
        echo "cuda: compute-sanitizer was not fetched, the GPU machine must bring it: $(tail -n 1 "$new/log")" >&2
    fi
fi
du -sh "$out"
