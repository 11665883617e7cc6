package redact

import (
	"net/url"
	"strconv"

	"tandem/capture/jsonval"
)

type edit = jsonval.Edit

var queryEscaped = jsonval.Coding{
	Unit:   queryUnit,
	Encode: func(text []byte) []byte { return []byte(url.QueryEscape(string(text))) },
}

// queryUnit decodes one byte, plus sign or %XX of a query. A percent sign without digits stands for itself.
func queryUnit(dst, raw []byte) ([]byte, int) {
	switch {
	case raw[0] == '+':
		return append(dst, ' '), 1
	case raw[0] == '%' && len(raw) >= 3:
		if n, err := strconv.ParseUint(string(raw[1:3]), 16, 8); err == nil {
			return append(dst, byte(n)), 3
		}
	}
	return append(dst, raw[0]), 1
}
