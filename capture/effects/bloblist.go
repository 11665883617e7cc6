package effects

import (
	"encoding/base64"
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

type blobListResult struct {
	XMLName         xml.Name `xml:"EnumerationResults"`
	ServiceEndpoint string   `xml:",attr"`
	ContainerName   string   `xml:",attr"`
	Prefix          string   `xml:",omitempty"`
	Marker          string   `xml:",omitempty"`
	MaxResults      int      `xml:",omitempty"`
	Delimiter       string   `xml:",omitempty"`
	Blobs           struct {
		Blob       []listedBlob
		BlobPrefix []listedBlobPrefix
	}
	NextMarker string
}

type listedBlob struct {
	Name       string
	Properties blobProperties
	Metadata   blobMetadata `xml:",omitempty"`
}

type listedBlobPrefix struct{ Name string }

type blobProperties struct {
	CreationTime       string `xml:"Creation-Time"`
	LastModified       string `xml:"Last-Modified"`
	Etag               string
	ContentLength      int64  `xml:"Content-Length"`
	ContentType        string `xml:"Content-Type"`
	ContentEncoding    string `xml:"Content-Encoding,omitempty"`
	ContentLanguage    string `xml:"Content-Language,omitempty"`
	ContentDisposition string `xml:"Content-Disposition,omitempty"`
	ContentMD5         string `xml:"Content-MD5,omitempty"`
	CacheControl       string `xml:"Cache-Control,omitempty"`
	BlobType           string
	LeaseStatus        string
	LeaseState         string
	ServerEncrypted    bool
}

// blobMetadata is written with an element a name.
type blobMetadata map[string]string

// MarshalXML implements [xml.Marshaler].
func (m blobMetadata) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if err := e.EncodeElement(m[name], xml.StartElement{Name: xml.Name{Local: name}}); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}

// listBlobs is List Blobs. Source: https://learn.microsoft.com/en-us/rest/api/storageservices/list-blobs.
func (b blobCall) listBlobs(q url.Values) error {
	if _, extra := b.beyond("restype", "comp", "prefix", "delimiter", "marker", "maxresults", "include"); extra {
		return b.unsupported()
	}
	include := strings.Split(q.Get("include"), ",")
	for _, what := range include {
		if !slices.Contains([]string{"", "metadata", "copy", "deleted"}, what) {
			return b.call.unsupported("Blob listings with include=" + what)
		}
	}
	limit, err := listLimit(q.Get("maxresults"), 5000)
	if err != nil || limit == 0 {
		return &fault{
			http.StatusBadRequest, "OutOfRangeQueryParameterValue",
			"One of the query parameters specified in the request URI is outside the permissible range.",
		}
	}
	after, err := base64.URLEncoding.DecodeString(q.Get("marker"))
	if err != nil {
		return invalidQuery("marker")
	}
	prefix, delimiter := q.Get("prefix"), q.Get("delimiter")
	entries, more := page(b.srv.list(b.job, b.ref.resource, prefix), prefix, delimiter, string(after), limit)

	answer := blobListResult{
		ServiceEndpoint: "http://" + b.r.Host + "/blob/" + b.account, ContainerName: b.container, Prefix: prefix,
		Marker: q.Get("marker"), Delimiter: delimiter,
	}
	if q.Has("maxresults") {
		answer.MaxResults = limit
	}
	for _, e := range entries {
		if e.object == nil {
			answer.Blobs.BlobPrefix = append(answer.Blobs.BlobPrefix, listedBlobPrefix{e.name})
			continue
		}
		answer.Blobs.Blob = append(answer.Blobs.Blob, e.object.listedBlob(e.name, slices.Contains(include, "metadata")))
	}
	if more {
		answer.NextMarker = base64.URLEncoding.EncodeToString([]byte(entries[len(entries)-1].name))
	}
	return b.writeXML(http.StatusOK, answer)
}

func (o *object) listedBlob(name string, withMetadata bool) listedBlob {
	at := o.modified.UTC().Format(http.TimeFormat)
	p := blobProperties{
		CreationTime: at, LastModified: at, Etag: strings.Trim(o.blobETag(), `"`), ContentLength: o.size,
		ContentType: o.contentType, ContentEncoding: o.contentEncoding, ContentLanguage: o.contentLanguage,
		ContentDisposition: o.contentDisposition, ContentMD5: base64.StdEncoding.EncodeToString(o.md5),
		CacheControl: o.cacheControl, BlobType: "BlockBlob", LeaseStatus: "unlocked", LeaseState: "available",
		ServerEncrypted: true,
	}
	if p.ContentType == "" {
		p.ContentType = "application/octet-stream"
	}
	b := listedBlob{Name: name, Properties: p}
	if withMetadata {
		b.Metadata = o.metadata
	}
	return b
}
