#!/bin/sh
# Mean house value by proximity to the ocean.
set -eu
awk -f src/mean.awk "$1" | sort > "$2"
echo "wrote $(wc -l < "$2") groups"
