package effects

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// conditions are the conditional headers of a request. Both clouds have HTTP's.
type conditions struct {
	ifMatch, ifNoneMatch               string
	ifModifiedSince, ifUnmodifiedSince time.Time // zero if the header is not there or not a time
}

func conditionsOf(h http.Header) conditions {
	c := conditions{ifMatch: h.Get("If-Match"), ifNoneMatch: h.Get("If-None-Match")}
	c.ifModifiedSince, _ = http.ParseTime(h.Get("If-Modified-Since")) // HTTP ignores what is not a time
	c.ifUnmodifiedSince, _ = http.ParseTime(h.Get("If-Unmodified-Since"))
	return c
}

// A finding is what conditions say of an object.
type finding int

const (
	hold    finding = iota
	failed          // If-Match or If-Unmodified-Since does not hold
	matched         // If-None-Match or If-Modified-Since does not hold
)

// check evaluates the conditions in HTTP's order of precedence (RFC 9110, 13.2.2). o is nil if there is no object.
func (c conditions) check(o *object, etag string) finding {
	if c.ifMatch != "" {
		if o == nil || !etagListed(c.ifMatch, etag) {
			return failed
		}
	} else if o != nil && !c.ifUnmodifiedSince.IsZero() && o.modified.Truncate(time.Second).After(c.ifUnmodifiedSince) {
		return failed
	}
	if o == nil {
		return hold
	}
	if c.ifNoneMatch != "" {
		if etagListed(c.ifNoneMatch, etag) {
			return matched
		}
	} else if !c.ifModifiedSince.IsZero() && !o.modified.Truncate(time.Second).After(c.ifModifiedSince) {
		return matched
	}
	return hold
}

func etagListed(list, etag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.Trim(strings.TrimPrefix(one, "W/"), `"`) == strings.Trim(etag, `"`) {
			return true
		}
	}
	return false
}

// A span is a part of an object.
type span struct{ start, length int64 }

// parseRange reads a Range header. ok is false if it asks for no single range in bytes, and then the whole object is
// the answer, as both clouds have it. The error is for a range that the object does not have.
func parseRange(header string, size int64) (s span, ok bool, err error) {
	text, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(text, "-")
	if !ok || !dash || strings.Contains(text, ",") {
		return span{}, false, nil
	}
	notThere := &fault{http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "the requested range is not satisfiable"}
	if first == "" {
		n, err := strconv.ParseUint(last, 10, 62)
		if err != nil {
			return span{}, false, nil
		}
		if n == 0 || size == 0 {
			return span{}, false, notThere
		}
		length := min(int64(n), size)
		return span{size - length, length}, true, nil
	}
	start, err := strconv.ParseUint(first, 10, 62)
	if err != nil {
		return span{}, false, nil
	}
	end := uint64(size) - 1
	if last != "" {
		if end, err = strconv.ParseUint(last, 10, 62); err != nil || end < start {
			return span{}, false, nil
		}
	}
	if int64(start) >= size {
		return span{}, false, notThere
	}
	return span{int64(start), min(int64(end), size-1) - int64(start) + 1}, true, nil
}

// writeObject answers a GET or HEAD with o, or the part of it that rangeHeader asks for. The headers that say more
// about the object must be set already.
func (c *call) writeObject(o *object, rangeHeader string) error {
	part, partial, err := parseRange(rangeHeader, o.size)
	if err != nil {
		c.w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", o.size))
		return err
	}
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
	} else {
		part = span{0, o.size}
	}
	var content io.ReadCloser
	if c.r.Method != http.MethodHead {
		if content, err = o.open(); err != nil {
			return fmt.Errorf("open the pinned object %s: %w", o.sha256, err)
		}
		defer func() { _ = content.Close() }() // it was only read
	}
	h := c.w.Header()
	if partial {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.start, part.start+part.length-1, o.size))
	}
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", strconv.FormatInt(part.length, 10))
	h.Set("Last-Modified", o.modified.UTC().Format(http.TimeFormat))
	c.w.WriteHeader(status)
	if content == nil {
		return nil
	}
	return copySpan(c.w, content, part, o)
}

// copySpan writes a part of o. Pinned content that is shorter than the recording says, or read as a whole and other
// than it says, cuts the answer off.
func copySpan(w io.Writer, content io.Reader, part span, o *object) error {
	if _, err := io.CopyN(io.Discard, content, part.start); err != nil {
		return errCutOff
	}
	sum := sha256.New()
	whole := o.source != nil && part.length == o.size
	if whole {
		content = io.TeeReader(content, sum)
	}
	// The last byte is held back until the sum is known: with it, the client would have a whole answer.
	if part.length == 0 {
		return nil
	}
	if _, err := io.CopyN(w, content, part.length-1); err != nil {
		return errCutOff
	}
	var last [1]byte
	if _, err := io.ReadFull(content, last[:]); err != nil {
		return errCutOff
	}
	if whole && hex.EncodeToString(sum.Sum(nil)) != o.sha256 {
		return errCutOff
	}
	_, _ = w.Write(last[:]) // a client that is gone has nobody to tell
	return nil
}

// load reads all of o, and fails if it is not what the recording says.
func (o *object) load() ([]byte, error) {
	if o.source == nil {
		return o.data, nil
	}
	content, err := o.open()
	if err != nil {
		return nil, fmt.Errorf("open the pinned object %s: %w", o.sha256, err)
	}
	defer func() { _ = content.Close() }() // it was only read
	data, err := io.ReadAll(content)
	if err != nil {
		return nil, fmt.Errorf("read the pinned object %s: %w", o.sha256, err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != o.sha256 {
		return nil, fmt.Errorf("the pinned object %s has other content", o.sha256)
	}
	return data, nil
}
