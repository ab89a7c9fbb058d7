#!/bin/sh
# The checks that read the code instead of running it. Usage: lint.sh FOLDER... (those that gofmt looks at)
set -eu
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l "$@")
if [ -n "$unformatted" ]; then
    echo "lint: not formatted, run gofmt -w on:" >&2
    echo "$unformatted" >&2
    exit 1
fi
go vet ./...
go vet -tags llorch_faults ./inference
go tool staticcheck ./...
# deploy/check is a module of its own, which ./... does not reach. The tool is the one just built.
staticcheck=$(go tool -n staticcheck)
(cd deploy/check && go vet ./... && "$staticcheck" ./...)
go test -count=1 ./scripts/imports # never from the cache, which does not see what go list reads

# Everything that needs no C must also compile where the Metal backend will live, and where nobody of us builds daily.
pure=$(scripts/packages.sh pure)
[ -n "$pure" ] || { echo "lint: no package without cgo was found, scripts/packages.sh is wrong" >&2; exit 1; }
GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go vet $pure
