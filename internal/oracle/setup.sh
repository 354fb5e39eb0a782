#!/bin/sh
# Creates the virtual environment of real packages that tests compare flow
# with, outside the tree, so that a clean clone shares it. Running it again is
# free: a stamp holds the requirements' checksum and the interpreter's version.
# With --there it makes nothing, and fails if it is not there.
#
#   FLOW_ORACLE  where it lives (default ${XDG_CACHE_HOME:-~/.cache}/flow/oracle)
#   PYTHON       the interpreter to build it from (default: the first of
#                python3, python3.13 … python3.9 whose version is supported)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
requirements=$here/requirements.txt
target=${FLOW_ORACLE:-${XDG_CACHE_HOME:-$HOME/.cache}/flow/oracle}

fail() {
    echo "error: $1" >&2
    echo "hint: $2" >&2
    exit 1
}

# cksum is in POSIX, sha256sum is not; a stamp needs no more.
wanted=$(cksum <"$requirements")
if [ -x "$target/bin/python" ] && [ "$(cat "$target/.flow-stamp" 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi
[ "${1:-}" != --there ] || exit 1

supported='import sys, venv, ensurepip; sys.exit(not ((3, 9) <= sys.version_info[:2] <= (3, 13)))'
python=
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10 python3.9}; do
    if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c "$supported" >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "no Python 3.9 to 3.13 with the venv module was found" \
    "install one (on Debian: python3 and python3-venv) or name it: PYTHON=/path/to/python3 make oracle"

# Built beside the target and moved there when complete, so that a test never
# sees half an environment and two runs at once cannot mix. Virtual
# environments are not relocatable in general, but bin/python is a link to the
# base interpreter and site-packages is found from it, and that is all we use.
mkdir -p "$(dirname "$target")"
building=$(mktemp -d "$target.building.XXXXXX")
trap 'rm -rf "$building"' EXIT INT TERM
"$python" -m venv "$building"
"$building/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --only-binary :all: --requirement "$requirements" >&2 ||
    fail "the packages could not be installed" "check the network or pip's index settings, then run it again"
"$building/bin/python" -c 'import numpy, sklearn, onnx, onnxruntime'
printf '%s\n' "$wanted" >"$building/.flow-stamp"
chmod 755 "$building"

rm -rf "$target"
mv "$building" "$target"
trap - EXIT INT TERM
echo "oracle: $("$target/bin/python" --version) at $target" >&2
