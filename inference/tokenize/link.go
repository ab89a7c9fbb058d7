package tokenize

// The archive is put here by scripts/libtokenizers/build.sh (run by every make target that links). Its folder carries
// the binding's version because Go's build cache does not notice an archive that was replaced under the same name.

// #cgo linux,amd64 LDFLAGS: -L${SRCDIR}/lib/v1.24.0/linux_amd64
// #cgo linux,arm64 LDFLAGS: -L${SRCDIR}/lib/v1.24.0/linux_arm64
// #cgo darwin,amd64 LDFLAGS: -L${SRCDIR}/lib/v1.24.0/darwin_amd64
// #cgo darwin,arm64 LDFLAGS: -L${SRCDIR}/lib/v1.24.0/darwin_arm64
import "C"
