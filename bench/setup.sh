#!/bin/sh
# Installs those whom make bench compares flow with, outside the tree: DVC from
# PyPI, and b3sum if there is cargo. Those of trainings have a script of their own, in
# training.
#
#   FLOW_BENCH  where they live (default ${XDG_CACHE_HOME:-~/.cache}/flow/bench)
#   PYTHON      the interpreter to build it from (default python3)
set -eu
target=${FLOW_BENCH:-${XDG_CACHE_HOME:-$HOME/.cache}/flow/bench}
if [ ! -x "$target/bin/python" ]; then
    mkdir -p "$(dirname "$target")"
    building=$(mktemp -d "$target.building.XXXXXX")
    trap 'rm -rf "$building"' EXIT INT TERM
    "${PYTHON:-python3}" -m venv "$building"
    "$building/bin/python" -m pip install --quiet --disable-pip-version-check --no-input dvc==3.67.1 >&2
    "$building/bin/python" -m dvc --version >/dev/null
    mv "$building" "$target"
    trap - EXIT INT TERM
fi
if [ -x "$target/bin/b3sum" ] || command -v b3sum >/dev/null; then
    exit 0
fi
if command -v cargo >/dev/null; then
    cargo install --quiet --locked --root "$target" b3sum@1.8.7
else
    echo "b3sum is left out: there is no cargo" >&2
fi
