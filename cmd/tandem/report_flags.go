package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"tandem/compare"
	"tandem/compare/report"
)

// reportFlags say which files a report is also written to.
type reportFlags struct{ junit, markdown string }

func (r *reportFlags) addTo(f *pflag.FlagSet) {
	f.StringVar(&r.junit, "junit", "", "also write the report to this `file`, as JUnit XML")
	f.StringVar(&r.markdown, "markdown", "", "also write the report to this `file`, as Markdown")
}

// write writes the files, in place of what is there.
func (r *reportFlags) write(of *compare.Report) error {
	for _, f := range []struct {
		path  string
		write func(io.Writer, *compare.Report) error
	}{{r.junit, report.JUnit}, {r.markdown, report.Markdown}} {
		if f.path == "" {
			continue
		}
		if err := writeReport(f.path, of, f.write); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}

func writeReport(path string, r *compare.Report, write func(io.Writer, *compare.Report) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(file, r); err != nil {
		file.Close() // it has failed already
		return err
	}
	return file.Close()
}
