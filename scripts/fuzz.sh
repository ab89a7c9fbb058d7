#!/bin/sh
# Runs every fuzz target of the module for the given time each, one after another: fuzz.sh 60s
set -eu
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# run PACKAGE TARGET TIME. By default go makes a find smaller for a minute, in which it tries nothing else: hence 20x.
# When the time runs out in the middle of an input, go reports the deadline as a failure; a real one names the input.
run() {
    if go test -run '^$' -fuzz "^$2\$" -fuzzminimizetime 20x -fuzztime "$3" "$1" >"$log" 2>&1; then
        grep '^fuzz: elapsed' "$log" | tail -n 1
        return 0
    fi
    if grep -q '^ *context deadline exceeded$' "$log" && ! grep -q -e 'Failing input' -e 'panic:' -e 'exit status [^1]' "$log"; then
        echo "the time ran out inside an input; no failing input was found"
        return 0
    fi
    cat "$log"
    return 1
}

found=0
packages=$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...)
for package in $packages; do
    tests=$(go test -list '^Fuzz' "$package")
    for target in $(echo "$tests" | sed -n '/^Fuzz/p'); do
        found=$((found + 1))
        echo "== $package $target"
        run "$package" "$target" "${1:-60s}"
    done
done
[ "$found" -gt 0 ] || { echo "fuzz: no fuzz target was found" >&2; exit 1; }
echo "== $found fuzz targets, nothing found"
