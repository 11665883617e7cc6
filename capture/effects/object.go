package effects

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tandem/capture"
)

// A ref is the place of an object: a resource as effects name it, and a key.
type ref struct{ resource, key string }

// An object is what is stored at a ref, or the note that it was deleted. It is not changed once it is stored.
type object struct {
	properties
	deleted  bool
	size     int64
	sha256   string // in lower-case hex
	modified time.Time

	// Of a written object.
	data      []byte
	md5       []byte
	checksums map[string]string // x-amz-checksum-<algorithm>, as S3 clients sent them

	// Of a pinned object.
	source    func() (io.ReadCloser, error)
	versionID string

	// s3ETag is without quotes: the MD5, or, where that is not known, the form that tells clients that it is no MD5.
	s3ETag string
}

// newObject keeps data.
func newObject(data []byte, p properties) *object {
	sum, digest := sha256.Sum256(data), md5.Sum(data)
	return &object{
		properties: p, size: int64(len(data)), sha256: hex.EncodeToString(sum[:]), modified: time.Now(),
		data: data, md5: digest[:], s3ETag: hex.EncodeToString(digest[:]),
	}
}

func pinnedObject(o capture.Object, open func(sha256 string) (io.ReadCloser, error)) *object {
	return &object{
		properties: properties{contentType: o.ContentType},
		size:       o.Size, sha256: o.SHA256, versionID: o.VersionID, modified: time.Now(),
		source: func() (io.ReadCloser, error) { return open(o.SHA256) },
		s3ETag: o.SHA256[:min(32, len(o.SHA256))] + "-1",
	}
}

// open returns the object's bytes.
func (o *object) open() (io.ReadCloser, error) {
	if o.source != nil {
		return o.source()
	}
	return io.NopCloser(bytes.NewReader(o.data)), nil
}

// blobETag returns the entity tag in Azure's form, with its quotes. It follows from the content, so that it is the
// same in every run.
func (o *object) blobETag() string {
	return `"0x` + strings.ToUpper(o.sha256[:min(15, len(o.sha256))]) + `"`
}

func (o *object) effect(r ref) capture.Effect {
	return capture.Effect{
		Kind: capture.ObjectPut, Resource: r.resource, Key: r.key,
		Body: capture.NewBody(o.contentType, o.data), Attributes: o.attributes(),
	}
}

// properties are what a client said about an object.
type properties struct {
	contentType        string
	contentEncoding    string
	contentDisposition string
	contentLanguage    string
	cacheControl       string
	tags               string            // as a query string, in order of the names
	metadata           map[string]string // by lower-case name
}

// newProperties reads the headers that begin with the given prefixes: S3 takes "Content-" and "X-Amz-Meta-", Blob
// storage "X-Ms-Blob-Content-" and "X-Ms-Meta-".
func newProperties(h http.Header, content, cacheControl, metadata, tags string) properties {
	p := properties{
		contentType:        h.Get(content + "Type"),
		contentEncoding:    h.Get(content + "Encoding"),
		contentDisposition: h.Get(content + "Disposition"),
		contentLanguage:    h.Get(content + "Language"),
		cacheControl:       h.Get(cacheControl),
		tags:               h.Get(tags),
	}
	if set, err := url.ParseQuery(p.tags); err == nil {
		p.tags = set.Encode()
	}
	for name, values := range h {
		if name, ok := strings.CutPrefix(name, metadata); ok && name != "" {
			if p.metadata == nil {
				p.metadata = make(map[string]string)
			}
			p.metadata[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	return p
}

// attributes returns the properties as an effect has them, or nil if there are none.
func (p properties) attributes() map[string]string {
	a := make(map[string]string)
	set := func(name, value string) {
		if value != "" {
			a[name] = value
		}
	}
	if !isOctetStream(p.contentType) {
		set("content-type", p.contentType)
	}
	set("content-encoding", p.contentEncoding)
	set("content-disposition", p.contentDisposition)
	set("content-language", p.contentLanguage)
	set("cache-control", p.cacheControl)
	set("tags", p.tags)
	for name, value := range p.metadata {
		a["metadata."+name] = value
	}
	if len(a) == 0 {
		return nil
	}
	return a
}

func isOctetStream(contentType string) bool {
	return contentType == "application/octet-stream" || contentType == "binary/octet-stream"
}

// writeTo sets the response headers that say the properties again.
func (p properties) writeTo(h http.Header, defaultType, metadata string) {
	set := func(name, value string) {
		if value != "" {
			h.Set(name, value)
		}
	}
	h.Set("Content-Type", defaultType)
	set("Content-Type", p.contentType)
	set("Content-Encoding", p.contentEncoding)
	set("Content-Disposition", p.contentDisposition)
	set("Content-Language", p.contentLanguage)
	set("Cache-Control", p.cacheControl)
	for name, value := range p.metadata {
		h.Set(metadata+name, value)
	}
}
