#!/bin/sh
# Makes a directory whose bin/python3 has PyTorch, outside of the tree, for the
# tests of this plugin. Running it again is free.
#
# With --there it installs nothing, and fails if it is not there.
#
#   FLOW_TORCH  where it lives (default ${XDG_CACHE_HOME:-~/.cache}/flow/plugin-torch)
#
# Debian's own package is taken where it can be had: it is made for the CPU and a
# tenth as large as the wheel, which brings the libraries for GPUs along.
set -eu

target=${FLOW_TORCH:-${XDG_CACHE_HOME:-$HOME/.cache}/flow/plugin-torch}
works() { [ -x "$1" ] && "$1" -c 'import torch, numpy, PIL' >/dev/null 2>&1; }

if works "$target/bin/python3"; then
    exit 0
fi
[ "${1:-}" != --there ] || exit 1
if ! works /usr/bin/python3 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-torch python3-numpy python3-pil; } >&2 || true
fi
rm -rf "$target"
mkdir -p "$target/bin"
if works /usr/bin/python3; then
    ln -s /usr/bin/python3 "$target/bin/python3"
else
    rmdir "$target/bin"
    python3 -m venv "$target"
    "$target/bin/python3" -m pip install --quiet --disable-pip-version-check --no-input torch numpy onnx pillow >&2
fi
works "$target/bin/python3" || {
    echo "error: PyTorch could not be installed" >&2
    echo "hint: install it for python3 in $target/bin by hand" >&2
    exit 1
}
