package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// fireHash is [Config].FireHash of a file in which no variable was filled in yet, so that nothing can be learned from
// it about secrets, and a new key is no other config.
func fireHash(body ast.Node) (string, error) {
	var file struct {
		Functions map[string]map[string]any `yaml:"functions" json:"functions,omitempty"`
		Resources any                       `yaml:"resources" json:"resources,omitempty"`
	}
	if err := yaml.NodeToValue(body, &file); err != nil {
		return "", fmt.Errorf("hash of what is fired: %w", err)
	}
	for _, sides := range file.Functions {
		for _, side := range sides {
			if side, ok := side.(map[string]any); ok { // see Limits
				delete(side, "memory")
				delete(side, "timeout")
			}
		}
	}
	doc, err := json.Marshal(file) // which sorts the keys
	if err != nil {
		return "", fmt.Errorf("hash of what is fired: %w", err)
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:]), nil
}
