package report

import (
	"encoding/json"
	"io"

	"tandem/compare"
)

// JSON writes r as one indented document.
func JSON(w io.Writer, r *compare.Report) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
