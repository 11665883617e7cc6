package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestEveryCommandHelps(t *testing.T) {
	a := &app{stdin: strings.NewReader(""), stdout: new(bytes.Buffer), stderr: new(bytes.Buffer)}
	leaves := 0
	walk(a.rootCommand(), func(cmd *cobra.Command) {
		if cmd.Name() == "help" {
			return // cobra's
		}
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			if cmd.Short == "" {
				t.Error("no Short")
			}
			if !cmd.HasSubCommands() {
				leaves++
				if !strings.Contains(cmd.Example, cmd.CommandPath()) {
					t.Errorf("no example of it: %q", cmd.Example)
				}
			}
			for line := range strings.Lines(cmd.Example) {
				if !strings.HasPrefix(line, "  ") {
					t.Errorf("example is not indented: %q", line)
				}
			}
			cmd.Flags().VisitAll(func(f *pflag.Flag) {
				if f.Usage == "" {
					t.Errorf("--%s has no usage", f.Name)
				}
			})
			code, stdout, stderr := call(t, append(strings.Fields(cmd.CommandPath())[1:], "--help")...)
			if code != 0 || stderr != "" || !strings.Contains(stdout, "Examples:") {
				t.Errorf("--help exits %d, stderr %q:\n%s", code, stderr, stdout)
			}
			for line := range strings.Lines(stdout) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > helpWidth {
					t.Errorf("%d columns: %s", n, line)
				}
			}
		})
	})
	if leaves < 12 {
		t.Errorf("%d leaves were seen", leaves)
	}
}

var quoted = regexp.MustCompile(`'[^']*'`)

// Examples must not name commands and flags that there are none of.
func TestExamplesCanBeUnderstood(t *testing.T) {
	a := &app{}
	root := a.rootCommand()
	walk(root, func(cmd *cobra.Command) {
		example := strings.ReplaceAll(cmd.Example, "\\\n", "")
		for line := range strings.Lines(example) {
			for _, command := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune("|&;<>()", r) }) {
				words := strings.Fields(quoted.ReplaceAllString(command, "quoted"))
				if len(words) == 0 || words[0] != "tandem" {
					continue
				}
				found, rest, err := (&app{}).rootCommand().Find(words[1:])
				if err != nil || found.HasSubCommands() && found.HasParent() {
					t.Errorf("%q leads to %s: %v", command, found.CommandPath(), err)
					continue
				}
				if err := found.ParseFlags(rest); err != nil {
					t.Errorf("%q: %v", command, err)
				}
				if found.HasParent() {
					if err := found.ValidateArgs(found.Flags().Args()); err != nil {
						t.Errorf("%q: %v", command, err)
					}
				}
			}
		}
	})
}
