// Package report writes a [compare.Report] for people and for machines, one form a file.
package report
