package config

import (
	_ "embed"
	"fmt"
	"maps"

	"github.com/goccy/go-yaml"
)

// ReadyGatesYAML has the gates that there are without a config, with comments, as a config has them under gates.
//
//go:embed gates.yaml
var ReadyGatesYAML string

// readyGates returns them by name.
func readyGates() (map[string]Gate, error) {
	gates := make(map[string]Gate)
	if err := yaml.UnmarshalWithOptions([]byte(ReadyGatesYAML), &gates, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("ready gates: %w", err)
	}
	return gates, nil
}

// AllGates returns the config's gates, and those that are ready and that it does not define.
func (c *Config) AllGates() (map[string]Gate, error) {
	gates, err := readyGates()
	if err != nil {
		return nil, err
	}
	maps.Copy(gates, c.Gates)
	return gates, nil
}
