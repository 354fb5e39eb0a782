#!/bin/sh
# Writes reports/report.md from a table and a metrics file.
set -eu
{
  echo "# $TITLE"
  echo
  echo "| proximity | districts | mean value |"
  echo "|---|---|---|"
  sed 's/,/ | /g; s/^/| /; s/$/ |/' "$1"
  echo
  echo "Summary: \`$(cat "$2")\`"
} > reports/report.md
