package effects

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// An entry of a listing is an object or, with a delimiter, a common prefix of several.
type entry struct {
	name   string
	object *object // nil for a prefix
}

// page returns the entries after a name, up to limit of them, and whether there are more. A prefix ends in the first
// delimiter behind the prefix that was asked for; it stands where its first key would. Both clouds list alike.
func page(all []listed, prefix, delimiter, after string, limit int) (entries []entry, more bool) {
	for _, o := range all {
		e := entry{o.key, o.object}
		if delimiter != "" {
			if i := strings.Index(o.key[len(prefix):], delimiter); i >= 0 {
				e = entry{name: o.key[:len(prefix)+i+len(delimiter)]}
			}
		}
		if e.name <= after || len(entries) > 0 && e.object == nil && entries[len(entries)-1].name == e.name {
			continue
		}
		if len(entries) == limit {
			return entries, true
		}
		entries = append(entries, e)
	}
	return entries, false
}

type s3ListResult struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Xmlns                 string   `xml:"xmlns,attr"`
	Name                  string
	Prefix                string
	Delimiter             string `xml:",omitempty"`
	StartAfter            string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	MaxKeys, KeyCount     int
	IsTruncated           bool
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	Contents              []s3ListedObject
	CommonPrefixes        []s3ListedPrefix
}

type s3ListedObject struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
}

type s3ListedPrefix struct{ Prefix string }

// listObjects is ListObjectsV2. Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html.
func (s s3Call) listObjects() error {
	extra, ok := s.beyond("list-type", "prefix", "delimiter", "max-keys", "continuation-token", "start-after",
		"encoding-type", "fetch-owner")
	if ok {
		return s.unsupported("?" + extra)
	}
	q := s.r.URL.Query()
	limit, err := listLimit(q.Get("max-keys"), 1000)
	if err != nil {
		return &fault{http.StatusBadRequest, "InvalidArgument", "max-keys: " + err.Error()}
	}
	after := q.Get("start-after")
	if token := q.Get("continuation-token"); token != "" {
		name, err := base64.URLEncoding.DecodeString(token)
		if err != nil {
			return &fault{http.StatusBadRequest, "InvalidArgument", "The continuation token provided is incorrect"}
		}
		after = string(name)
	}
	prefix, delimiter := q.Get("prefix"), q.Get("delimiter")
	entries, more := page(s.srv.list(s.job, s.ref.resource, prefix), prefix, delimiter, after, limit)

	encode := func(name string) string { return name }
	if q.Get("encoding-type") == "url" {
		encode = func(name string) string { return strings.ReplaceAll(url.QueryEscape(name), "%2F", "/") }
	}
	answer := s3ListResult{
		Xmlns: s3Namespace, Name: s.bucket, Prefix: encode(prefix), Delimiter: encode(delimiter),
		StartAfter: encode(q.Get("start-after")), EncodingType: q.Get("encoding-type"), MaxKeys: limit,
		KeyCount: len(entries), IsTruncated: more && limit > 0, ContinuationToken: q.Get("continuation-token"),
	}
	for _, e := range entries {
		if e.object == nil {
			answer.CommonPrefixes = append(answer.CommonPrefixes, s3ListedPrefix{encode(e.name)})
			continue
		}
		answer.Contents = append(answer.Contents, s3ListedObject{
			Key: encode(e.name), LastModified: s3Time(e.object.modified), ETag: `"` + e.object.s3ETag + `"`,
			Size: e.object.size, StorageClass: "STANDARD",
		})
	}
	if answer.IsTruncated {
		last := entries[len(entries)-1].name
		answer.NextContinuationToken = base64.URLEncoding.EncodeToString([]byte(last))
	}
	return s.writeXML(http.StatusOK, answer)
}

// listLimit reads a page size, which is most by default and at the highest.
func listLimit(text string, most int) (int, error) {
	if text == "" {
		return most, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, err
	}
	return min(int(n), most), nil
}
