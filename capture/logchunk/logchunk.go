// Package logchunk carries documents of any size through a log whose lines are short: each is compressed and cut into
// numbered lines, and put together again from them in whatever order they come.
//
// A line is the prefix "tandem-record " and a JSON object: id names the document; part counts from 1 to total; sha256
// is the hash of the document, in lower-case hex; data is base64 of a piece of its zstd form.
//
// CloudWatch Logs takes at most 1 MB an event, and Lambda cuts lines at 256 KB:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html.
package logchunk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Prefix begins every line.
const Prefix = "tandem-record "

// MaxLine is the most that a line has, in bytes, with its line end. An ID can be 1,000 bytes long.
const MaxLine = 200_000

// MaxDocument is the most that a document may have, in bytes.
const MaxDocument = 64 << 20

const (
	// maxData is how much of the compressed form a line has, in bytes. JSON may write an ID six times as long.
	maxData = (MaxLine - 8_000) / 4 * 3
	// maxParts is more than any document has: what does not compress grows a little.
	maxParts = 2*MaxDocument/maxData + 1
	errWords = "a tandem-record that is not one"
)

type chunk struct {
	ID     string `json:"id"`
	Part   int    `json:"part"`
	Total  int    `json:"total"`
	SHA256 string `json:"sha256"`
	Data   []byte `json:"data"`
}

// Append appends the lines of a document, with their line ends, to dst.
func Append(dst []byte, id string, document []byte) ([]byte, error) {
	switch {
	case len(document) > MaxDocument:
		return dst, fmt.Errorf("document %s has %d bytes, more than %d", id, len(document), MaxDocument)
	case id == "" || len(id) > 1000:
		return dst, fmt.Errorf("a document's ID has %d bytes, not 1 to 1000", len(id))
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return dst, err
	}
	defer encoder.Close()
	rest := encoder.EncodeAll(document, nil)
	sum := sha256.Sum256(document)
	c := chunk{ID: id, Total: max((len(rest)+maxData-1)/maxData, 1), SHA256: hex.EncodeToString(sum[:])}
	for c.Part = 1; c.Part <= c.Total; c.Part++ {
		n := min(len(rest), maxData)
		c.Data, rest = rest[:n], rest[n:]
		line, err := json.Marshal(c)
		if err != nil {
			return dst, err
		}
		dst = append(append(append(dst, Prefix...), line...), '\n')
	}
	return dst, nil
}

// A Decoder puts documents together. It keeps what it has of those that are not whole yet, and the IDs of those that
// had several lines. The zero value is ready.
type Decoder struct {
	open map[string]*document
	done map[string]bool // the IDs of documents of several parts that were returned
}

type document struct {
	first chunk // what all of its parts have to agree with
	parts [][]byte
	have  int
}

// A Gap is a document of which lines are missing.
type Gap struct {
	ID      string
	Missing []int // the numbers of the parts, in order
	Total   int
}

// Add takes one line of a log, or one message of it. When the line completes a document, it returns that; lines of
// other programs, and lines of a document that is not whole yet, give nil. A part that comes twice counts once, also
// after its document was returned; but a document of one line that comes twice is returned twice. A line that cannot
// be true is an error, and spoils no other document.
func (d *Decoder) Add(line string) (id string, content []byte, err error) {
	i := strings.Index(line, Prefix+"{")
	if i < 0 {
		return "", nil, nil
	}
	var c chunk
	if err := json.Unmarshal([]byte(strings.TrimSpace(line[i+len(Prefix):])), &c); err != nil {
		return "", nil, fmt.Errorf("%s: %w", errWords, err)
	}
	if c.ID == "" || c.Part < 1 || c.Part > c.Total || c.Total > maxParts {
		return "", nil, fmt.Errorf("%s: part %d of %d of %q", errWords, c.Part, c.Total, c.ID)
	}
	if d.done[c.ID] {
		return "", nil, nil
	}
	doc := d.open[c.ID]
	if doc == nil {
		doc = &document{first: c, parts: make([][]byte, c.Total)}
		if d.open == nil {
			d.open = make(map[string]*document)
		}
		d.open[c.ID] = doc
	}
	if c.Total != doc.first.Total || c.SHA256 != doc.first.SHA256 {
		return "", nil, fmt.Errorf("%s: part %d of %q is of another document of that ID", errWords, c.Part, c.ID)
	}
	if doc.parts[c.Part-1] == nil {
		doc.parts[c.Part-1] = append([]byte{}, c.Data...)
		doc.have++
	}
	if doc.have < c.Total {
		return "", nil, nil
	}
	delete(d.open, c.ID)
	if content, err = doc.content(); err != nil {
		return "", nil, fmt.Errorf("%s: %q: %w", errWords, c.ID, err)
	}
	if c.Total > 1 {
		if d.done == nil {
			d.done = make(map[string]bool)
		}
		d.done[c.ID] = true
	}
	return c.ID, content, nil
}

// Gaps returns the documents that are not whole, by ID.
func (d *Decoder) Gaps() []Gap {
	gaps := make([]Gap, 0, len(d.open))
	for id, doc := range d.open {
		gap := Gap{ID: id, Total: doc.first.Total}
		for i, part := range doc.parts {
			if part == nil {
				gap.Missing = append(gap.Missing, i+1)
			}
		}
		gaps = append(gaps, gap)
	}
	slices.SortFunc(gaps, func(a, b Gap) int { return strings.Compare(a.ID, b.ID) })
	return gaps
}

func (doc *document) content() ([]byte, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxDocument))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	content, err := decoder.DecodeAll(slices.Concat(doc.parts...), []byte{})
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != doc.first.SHA256 {
		return nil, errors.New("the hash does not match")
	}
	return content, nil
}
