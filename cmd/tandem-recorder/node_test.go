//go:build linux && lambdaric

package main

import (
	"testing"

	"tandem/fixtures/peers"
)

// nodeRuntime returns the command of Lambda's runtime for Node with a function that echoes.
func nodeRuntime(t *testing.T) []string {
	return append(peers.NodeRuntime(t), "testdata/node/echo.handler")
}
