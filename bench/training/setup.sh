#!/bin/sh
# Creates the virtual environments that make bench compares training with, outside
# the tree: one with PyTorch, one with LightGBM and scikit-learn. PyTorch's wheel on
# PyPI brings CUDA's libraries along, about 7 GB, though no more than the CPU is
# used. Running it again is free.
#
#   FLOW_TORCH   where PyTorch lives (default ${XDG_CACHE_HOME:-~/.cache}/flow/torch)
#   FLOW_RIVALS  where the others live (default ${XDG_CACHE_HOME:-~/.cache}/flow/rivals)
#   PYTHON       the interpreter to build them from (default python3)
set -eu
cache=${XDG_CACHE_HOME:-$HOME/.cache}/flow

# make TARGET IMPORTS PACKAGE…: it is there as a whole or not at all.
make() {
	target=$1 imports=$2
	shift 2
	[ ! -x "$target/bin/python" ] || return 0
	mkdir -p "$(dirname "$target")"
	building=$(mktemp -d "$target.building.XXXXXX")
	trap 'rm -rf "$building"' EXIT INT TERM
	"${PYTHON:-python3}" -m venv "$building"
	"$building/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --only-binary :all: "$@" >&2
	"$building/bin/python" -c "import $imports"
	mv "$building" "$target"
	trap - EXIT INT TERM
}

make "${FLOW_RIVALS:-$cache/rivals}" lightgbm,pandas,sklearn lightgbm==4.7.0 scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1 pandas==3.1.1
make "${FLOW_TORCH:-$cache/torch}" torch torch==2.8.0 numpy==2.2.6
