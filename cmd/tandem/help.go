package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// helpWidth is how wide help texts may be, in columns.
const helpWidth = 80

// usageTemplate is cobra's own with flags that are wrapped, and without a line for running a group of commands.
var usageTemplate = fmt.Sprintf(`Usage:{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]{{else}}
  {{.UseLine}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsagesWrapped %[1]d | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Global flags:
{{.InheritedFlags.FlagUsagesWrapped %[1]d | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableSubCommands}}

"{{.CommandPath}} [command] --help" tells more about a command.{{end}}
`, helpWidth)

// A usageError is a command line that cannot be understood. Its hint leads to the help of the command.
type usageError struct {
	command *cobra.Command
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

func (e *usageError) hint() string {
	return fmt.Sprintf("%q tells how it is used", e.command.CommandPath()+" --help")
}

// finish gives the commands below root what all of them have alike: help that fits a terminal, and errors of usage
// that can be told from others.
func finish(root *cobra.Command) {
	root.SetUsageTemplate(usageTemplate)
	root.InitDefaultCompletionCmd()
	completionHelp(root)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{cmd, err} })
	walk(root, func(cmd *cobra.Command) {
		if !cmd.Runnable() {
			cmd.SuggestionsMinimumDistance = 2
			cmd.Args, cmd.RunE = cobra.ArbitraryArgs, runGroup
			return
		}
		cmd.Args = checkUsage(cmd.Args)
	})
	root.InitDefaultHelpCmd()
}

// checkUsage checks arguments, and the flags that a command cannot do without.
func checkUsage(arguments cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := arguments(cmd, args); err != nil {
			return &usageError{cmd, fmt.Errorf("wrong number of arguments, %d, for: %s", len(args), cmd.UseLine())}
		}
		if err := cmd.ValidateRequiredFlags(); err != nil {
			return &usageError{cmd, err}
		}
		if err := cmd.ValidateFlagGroups(); err != nil {
			return &usageError{cmd, err}
		}
		return nil
	}
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range cmd.Commands() {
		walk(child, visit)
	}
}

// runGroup is run when none of a group's commands is named. The root alone then shows its help; elsewhere a command
// is missing, and a script that lost it must not go on.
func runGroup(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) > 0:
		message := fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0])
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			message += "; is it " + strings.Join(near, " or ") + "?"
		}
		return &usageError{cmd, errors.New(message)}
	case cmd.HasParent():
		var names []string
		for _, child := range cmd.Commands() {
			if child.IsAvailableCommand() {
				names = append(names, child.Name())
			}
		}
		return &usageError{cmd, fmt.Errorf("%s needs one of its commands: %s", cmd.CommandPath(), strings.Join(names, ", "))}
	default:
		return cmd.Help()
	}
}

// completionHelp replaces cobra's texts about completion, of which some are wider than a terminal.
func completionHelp(root *cobra.Command) {
	examples := map[string]string{
		"completion": `  tandem completion bash > /etc/bash_completion.d/tandem`,
		"bash":       `  source <(tandem completion bash)`,
		"zsh":        `  tandem completion zsh > "${fpath[1]}/_tandem"`,
		"fish":       `  tandem completion fish > ~/.config/fish/completions/tandem.fish`,
		"powershell": `  tandem completion powershell | Out-String | Invoke-Expression`,
	}
	completion, _, err := root.Find([]string{"completion"})
	cobra.CheckErr(err)
	walk(completion, func(cmd *cobra.Command) {
		cmd.Long, cmd.Example = "", examples[cmd.Name()]
	})
	completion.Short = "Print the completion script of a shell"
}
