// Package config reads tandem.yaml: where each function's deployments are, what resources are called on either cloud,
// which differences are allowed and why, and what a gate demands.
//
// Unknown keys are errors. ${VAR} stands for an environment variable, which must be set; its value stays out of every
// file that tandem writes. Errors name the file and the line.
package config
