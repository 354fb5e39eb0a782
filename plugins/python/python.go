// Package python holds the SDK for plugins in Python, so that flow can write a
// copy of it beside a new plugin. The SDK is flow_plugin.py; its tests are in Go
// since what they compare it with is.
package python

import _ "embed"

// SDK is flow_plugin.py.
//
//go:embed flow_plugin.py
var SDK []byte
