#!/bin/sh
# The first two minutes with flow: plan a real pipeline, apply it, apply again.
set -eu
flow=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")/breast-cancer"

say() { printf '\n\033[1m$ %s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }

say "cd examples/breast-cancer && flow plan"
"$flow" plan
say "flow apply --yes"
"$flow" apply --yes
say "flow show evaluate.final"
"$flow" show evaluate.final
say "ls -l serving/breast-cancer/current/"
ls -l serving/breast-cancer/current/
say "flow apply     # again: nothing to do"
"$flow" apply --yes
