#!/bin/sh
# Creates the virtual environment with PyTorch that make bench compares training
# with, outside the tree. The wheel on PyPI brings CUDA's libraries along, about
# 7 GB, though no more than the CPU is used.
#
#   FLOW_TORCH  where it lives (default ${XDG_CACHE_HOME:-~/.cache}/flow/torch)
#   PYTHON      the interpreter to build it from (default python3)
set -eu
target=${FLOW_TORCH:-${XDG_CACHE_HOME:-$HOME/.cache}/flow/torch}
[ -x "$target/bin/python" ] && exit 0
building=$(mktemp -d "$target.building.XXXXXX")
trap 'rm -rf "$building"' EXIT INT TERM
"${PYTHON:-python3}" -m venv "$building"
"$building/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --only-binary :all: torch==2.8.0 numpy==2.2.6 >&2
"$building/bin/python" -c 'import torch'
mv "$building" "$target"
trap - EXIT INT TERM
