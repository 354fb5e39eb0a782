#!/bin/sh
# fuzz.sh TIME: runs each fuzz test of the module for TIME.
set -eu
grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do
	for f in $(grep -h '^func Fuzz' "$dir"/*_test.go | sed 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/'); do
		echo "fuzz $dir $f"
		go test -run '^$' -fuzz "^$f\$" -fuzztime "$1" "$dir"
	done
done
