#!/bin/sh
# Lists packages of this module by what can be done with them:
#   packages.sh pure   those that need no C, tests included: nothing they import, the standard library aside, has cgo files
#   packages.sh race   those worth running under the race detector on every test: all but the numeric kernels and the
#                      models on top of them, whose golden tests take many minutes there (make race runs them too)
set -eu
case ${1:-} in
pure)
    # One line a package or its test variant: the package it belongs to, whether it has cgo files itself, its imports.
    go list -deps -test -f '{{if not .Standard}}{{if .ForTest}}{{.ForTest}}{{else}}{{.ImportPath}}{{end}} {{len .CgoFiles}} {{join .Deps " "}}{{end}}' ./... |
        awk -v module="$(go list -m)" '
            { name[NR] = $1; line[NR] = $0; if ($2 > 0) cgo[$1] = 1 }
            END {
                for (i = 1; i <= NR; i++) {
                    if (name[i] !~ "^" module "/" || name[i] ~ /\.test$/) continue
                    ours[name[i]] = 1
                    n = split(line[i], deps, " ")
                    for (j = 3; j <= n; j++) if (deps[j] in cgo) impure[name[i]] = 1
                    if (name[i] in cgo) impure[name[i]] = 1
                }
                for (p in ours) if (!(p in impure)) print p
            }' | sort
    ;;
race)
    go list ./... | grep -v -e '/inference/backend' -e '/inference/model'
    ;;
*)
    echo "usage: $0 pure|race" >&2
    exit 2
    ;;
esac
