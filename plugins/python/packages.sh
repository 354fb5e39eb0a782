#!/bin/sh
# Installs the SDK and the plugin torch by pip into an environment of their own,
# and asks what comes of it for a description. It fetches what builds packages;
# PyTorch, which is large, is stood in for.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
cp -R "$here" "$here/../torch" "$work" # a build leaves files beside the sources
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps "$work/python" "$work/torch"

packages=$("$work/env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir "$packages/torch-2.0.0.dist-info"
printf 'Metadata-Version: 2.1\nName: torch\nVersion: 2.0.0\n' > "$packages/torch-2.0.0.dist-info/METADATA"
"$work/env/bin/flow-plugin-torch" describe > "$work/description.json"
"$work/env/bin/python" - "$work/description.json" << 'END'
import json
import os
import sys

d = json.load(open(sys.argv[1]))
assert d["name"] == "torch" and d["versions"]["torch"] == "2.0.0", d
# What pip makes as the program differs by machine, and the modules are the plugin.
assert d["starter"] and [os.path.basename(f) for f in d["files"]] == ["flow_plugin.py", "flow_plugin_torch.py"], d
assert all("site-packages" in f for f in d["files"]), d
END
echo "pip installs flow_plugin and flow-plugin-torch"
