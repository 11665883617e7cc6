package main

import (
	"fmt"
	"testing"

	"tandem/config"
	"tandem/replay"
)

func TestWhateverIsElsewhereHasToBeDeclared(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1")
	const here = `endpoint: "http://127.0.0.1:1"`
	const azurite = `account: "AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/a;QueueEndpoint=http://127.0.0.1:1/a", ` +
		`container: c, source: eventgrid, key: k`
	const app = `http: {url: "http://127.0.0.1:1"}`
	for _, tt := range []struct {
		name, lambda, functions string
		want                    [2]replay.Environment
	}{
		{"all on this machine", here, app, [2]replay.Environment{}},
		{"another machine", `endpoint: "http://lambda:1"`, app, [2]replay.Environment{replay.Undeclared}},
		{"the execution on this machine", here + `, execution: /body/arn, executionEndpoint: "http://localhost:1"`, app,
			[2]replay.Environment{}},
		{"the execution elsewhere", here + `, execution: /body/arn, executionEndpoint: "http://states:1"`, app,
			[2]replay.Environment{replay.Undeclared}},
		{"the execution in AWS", here + `, execution: /body/arn`, app,
			[2]replay.Environment{replay.Undeclared}},
		{"the execution elsewhere, declared", here + `, execution: /body/arn, executionEndpoint: "http://states:1", ` +
			`environment: staging`, app, [2]replay.Environment{replay.Staging}},
		{"the container here and its app elsewhere", here, "blob: {" + azurite + `, url: "https://app"}`,
			[2]replay.Environment{"", replay.Undeclared}},
		{"the container and its app here", here, "blob: {" + azurite + `, url: "http://127.0.0.1:2"}`, [2]replay.Environment{}},
	} {
		text := fmt.Sprintf("version: 1\nfunctions:\n  f:\n    lambda: {function: f, %s}\n    functions: {%s}\n",
			tt.lambda, tt.functions)
		cfg, err := config.Parse("tandem.yaml", []byte(text), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		targets, err := buildTargets(t.Context(), cfg, nil, 1, nil, newCompletions())
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		for i, d := range targets["f"] {
			if d.Environment != tt.want[i] {
				t.Errorf("%s: %s is %q, want %q", tt.name, d.Name, d.Environment, tt.want[i])
			}
		}
	}
}
