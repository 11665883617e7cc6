package report

import (
	"bufio"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"

	"tandem/compare"
)

// Suggest writes the proposals of r as the rules of a config, with the evidence for each as a comment. A reason is for
// people to add: without one, the config is refused.
func Suggest(w io.Writer, r *compare.Report) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "rules:")
	for _, p := range r.Proposals {
		if p.Effect != "" {
			fmt.Fprintf(out, "  # of the effect %s:\n", printable(p.Effect))
		}
		for _, line := range p.Evidence {
			fmt.Fprintf(out, "  # %s\n", printable(line))
		}
		if p.Rule.Treat == "" {
			fmt.Fprintf(out, "  # no rule is proposed for %s of %s: find out why\n", printable(p.Rule.At),
				printable(p.Rule.On[0]))
			continue
		}
		entry, err := yaml.MarshalWithOptions([]proposedRule{{
			At: p.Rule.At, Treat: p.Rule.Treat, Within: p.Rule.Within, Matches: p.Rule.Matches,
		}}, yaml.Indent(2), yaml.IndentSequence(true), yaml.Flow(false))
		if err != nil {
			return fmt.Errorf("write the proposal for %s: %w", p.Rule.At, err)
		}
		functions, err := yaml.MarshalWithOptions(p.Rule.On, yaml.Flow(true))
		if err != nil {
			return fmt.Errorf("write the proposal for %s: %w", p.Rule.At, err)
		}
		fmt.Fprintf(out, "%s    on: %s    why: \"\" # say why it may differ\n", entry, functions)
	}
	return out.Flush()
}

// A proposedRule is a rule as a config has it, without what a proposal leaves to people, and without on, which a
// marshaller puts into quotes: to YAML 1.1 it is true.
type proposedRule struct {
	At      string            `yaml:"at"`
	Treat   compare.Treatment `yaml:"treat"`
	Within  string            `yaml:"within,omitempty"`
	Matches string            `yaml:"matches,omitempty"`
}
