#!/bin/sh
# Runs the tests of the CPU backend as a 64-bit ARM program under emulation: every
# operation and format with NEON, with its dot products, and in portable C.
# Emulation takes ten to thirty minutes. $1 is a pattern of tests, all by default.
set -eu
cc=aarch64-linux-gnu-gcc
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || true)
if ! command -v $cc >/dev/null || [ -z "$qemu" ]; then
	echo "test_arm64: needs $cc and qemu-aarch64 (Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static)" >&2
	exit 1
fi
cd "$(dirname "$0")/.."
mkdir -p build
GOARCH=arm64 CGO_ENABLED=1 CC=$cc go test -c -o build/cpu-arm64.test ./inference/backend/cpu
cd inference/backend/cpu
exec "$qemu" -cpu max -L /usr/aarch64-linux-gnu ../../../build/cpu-arm64.test -test.run "${1:-TestSuite}" -test.v -test.timeout 90m
