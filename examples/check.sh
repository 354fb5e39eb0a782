#!/bin/sh
# check.sh FLOW DIR: runs an example in a fresh copy, without a cache, and
# compares the flow.lock it comes to with the one in git: every result, bit for
# bit, on any machine. UPDATE=1 records it anew.
set -eu
flow=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
src=$(cd "$2" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir" "$dir.now" "$dir.then"' EXIT
cp -R "$src/." "$dir"
cd "$dir"
rm -rf .flow out serving reports
"$flow" apply --yes --progress plain
"$flow" plan --detailed-exitcode > /dev/null || { echo "$2: apply left something to do"; "$flow" plan; exit 1; }
# The keys of a plugin's stages hold the version of its language, which is the
# machine's: of an example with plugins only what came out counts.
recorded() {
	if [ -d plugins ]; then sed -e '/^plugin /d' -e '/^key /d' -e '/^check /d' "$1"; else cat "$1"; fi
}
recorded flow.lock > "$dir.now"
recorded "$src/flow.lock" > "$dir.then" 2> /dev/null || true
if [ -n "${UPDATE:-}" ]; then
	cp flow.lock "$src/flow.lock"
elif ! cmp -s "$dir.now" "$dir.then"; then
	diff -u "$dir.then" "$dir.now" || true
	echo "$2: the results are not those that flow.lock records (UPDATE=1 make examples, if that is meant)"
	exit 1
fi
"$flow" output
