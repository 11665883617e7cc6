package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"tandem/compare"
)

// maxClusters is how many clusters of a function a JUnit or Markdown report tells.
const maxClusters = 50

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Failure *junitReason `xml:"failure,omitempty"`
	Error   *junitReason `xml:"error,omitempty"`
	Out     string       `xml:"system-out,omitempty"`
}

type junitReason struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes r as the XML that CI systems show: a case for the verdict, for each function, and for each requirement of
// a gate. What is known not to hold is a failure, and what is not known an error.
func JUnit(w io.Writer, r *compare.Report) error {
	s := junitSuite{Name: printable(r.Candidate + " against " + r.Baseline)}
	s.verdict(r)
	clusters := make(map[string][]*compare.Cluster)
	for i := range r.Clusters {
		clusters[r.Clusters[i].Function] = append(clusters[r.Clusters[i].Function], &r.Clusters[i])
	}
	for _, name := range slices.Sorted(maps.Keys(r.Functions)) {
		s.function(r, name, clusters[name])
	}
	if r.Gate != nil {
		for _, q := range r.Gate.Requirements {
			s.requirement(r.Gate.Name, &q)
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(junitSuites{Suites: []junitSuite{s}}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(c junitCase) {
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Error != nil {
		s.Errors++
	}
	s.Cases = append(s.Cases, c)
}

func (s *junitSuite) verdict(r *compare.Report) {
	var reasons []string
	for _, reason := range r.Reasons {
		reasons = append(reasons, printable(reason))
	}
	text := strings.Join(reasons, "\n")
	c := junitCase{Class: "tandem", Name: "verdict"}
	switch r.Verdict {
	case compare.Parity:
		c.Out = text
	case compare.Differs:
		c.Failure = &junitReason{Message: string(r.Verdict), Text: text}
	default:
		c.Error = &junitReason{Message: string(r.Verdict), Text: text}
	}
	s.add(c)
}

// function says where a function differs, which is no failure where a gate allows it.
func (s *junitSuite) function(r *compare.Report, name string, clusters []*compare.Cluster) {
	counts := r.Functions[name].Trials
	c := junitCase{Class: "tandem.functions", Name: printable(name)}
	summary := fmt.Sprintf("%d matched, %d differed, %d noisy, %d inconclusive, %d unreplayable of %s", counts.Matched,
		counts.Differed, counts.Noisy, counts.Inconclusive, counts.Unreplayable, trials(counts.Total))
	var b strings.Builder
	for i, cluster := range clusters {
		if i == maxClusters {
			fmt.Fprintf(&b, "and %d more\n", len(clusters)-i)
			break
		}
		fmt.Fprintf(&b, "%s %s: %s, %s\n", printable(cluster.Path), cluster.Kind, trials(cluster.Trials), printable(cluster.Cause))
		if len(cluster.Examples) > 0 {
			e := cluster.Examples[0]
			fmt.Fprintf(&b, "  %s: %s\n  %s: %s\n  in invocation %s\n", printable(r.Baseline), shown(e.Baseline),
				printable(r.Candidate), shown(e.Candidate), printable(e.Invocation))
		}
	}
	allowed := r.Gate != nil && r.Verdict == compare.Parity
	switch {
	case counts.Differed > 0 && !allowed:
		c.Failure = &junitReason{Message: summary, Text: b.String()}
	case counts.Inconclusive+counts.Noisy > 0 && !allowed:
		c.Error = &junitReason{Message: summary}
	default:
		c.Out = strings.TrimRight(summary+"\n"+b.String(), "\n")
	}
	s.add(c)
}

func (s *junitSuite) requirement(gate string, q *compare.RequirementReport) {
	c := junitCase{Class: "tandem.gate." + printable(gate), Name: printable(titleOf(q) + " (" + q.Want + ")")}
	reason := &junitReason{Message: printable(q.Measured)}
	if q.Missing != "" {
		reason.Text = "it takes " + printable(q.Missing)
	}
	switch q.Result {
	case compare.Passed:
		c.Out = reason.Message
	case compare.Failed:
		c.Failure = reason
	default:
		c.Error = reason
	}
	s.add(c)
}

// shown is one side's value of an example, cut.
func shown(v *string) string {
	if v == nil {
		return "(nothing)"
	}
	return cut(*v, 200)
}
