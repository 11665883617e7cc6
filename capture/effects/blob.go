package effects

import (
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Blob storage's REST API. Source: https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-rest-api.

// blobCall is a call of Blob storage. ref.key is empty in calls that are about a container.
type blobCall struct {
	*call
	account, container string
	ref                ref
}

func (c *call) serveBlob() error {
	c.prepareAzure()
	account, container, blob, err := azureNames(c.r.URL.EscapedPath())
	if err != nil {
		return err
	}
	b := blobCall{c, account, container, ref{c.srv.directory.resource("azblob://" + account + "/" + container), blob}}
	q := c.r.URL.Query()
	switch {
	case container == "" || len(blob) > 1024:
		return b.unsupported()
	case blob == "":
		return b.serveContainer(q)
	case c.r.Header.Get("X-Ms-Lease-Id") != "":
		return b.call.unsupported("Blob leases")
	}
	return b.serveBlock(q)
}

// unsupported names the operation by method and parameters, which is how the API tells operations apart.
func (b blobCall) unsupported() error {
	on := "account"
	if b.ref.key != "" {
		on = "blob"
	} else if b.container != "" {
		on = "container"
	}
	operation := "Blob " + b.r.Method + " " + on
	for _, name := range []string{"restype", "comp"} {
		if value := b.r.URL.Query().Get(name); value != "" {
			operation += " " + name + "=" + value
		}
	}
	if kind := b.r.Header.Get("X-Ms-Blob-Type"); kind != "" {
		operation += " as " + kind
	}
	if extra, ok := b.beyond("restype", "comp", "blockid"); ok {
		operation += " with ?" + extra
	}
	return b.call.unsupported(operation)
}

func (b blobCall) serveContainer(q url.Values) error {
	method := b.r.Method
	if q.Get("restype") == "container" && q.Get("comp") == "list" && method == http.MethodGet {
		return b.listBlobs(q)
	}
	if _, extra := b.beyond("restype"); extra || q.Get("restype") != "container" {
		return b.unsupported()
	}
	switch method {
	case http.MethodPut:
		if _, err := b.body(); err != nil {
			return err
		}
		if b.srv.create(b.ref.resource) {
			return &fault{http.StatusConflict, "ContainerAlreadyExists", "The specified container already exists."}
		}
		b.writeContainer(http.StatusCreated)
	case http.MethodGet, http.MethodHead:
		b.w.Header().Set("X-Ms-Lease-Status", "unlocked")
		b.w.Header().Set("X-Ms-Lease-State", "available")
		b.writeContainer(http.StatusOK)
	default:
		return b.unsupported()
	}
	return nil
}

// writeContainer answers with the headers of a container, whose ETag follows from its name.
func (b blobCall) writeContainer(status int) {
	named := newObject([]byte(b.ref.resource), properties{})
	b.w.Header().Set("ETag", named.blobETag())
	b.w.Header().Set("Last-Modified", named.modified.UTC().Format(http.TimeFormat))
	b.w.WriteHeader(status)
}

func (b blobCall) serveBlock(q url.Values) error {
	h := b.r.Header
	if _, extra := b.beyond("comp", "blockid"); extra {
		return b.unsupported()
	}
	switch b.r.Method + " " + q.Get("comp") {
	case "GET ", "HEAD ":
		return b.getBlob()
	case "DELETE ":
		return b.deleteBlob()
	case "PUT block":
		return b.putBlock(q.Get("blockid"))
	case "PUT blocklist":
		return b.putBlockList()
	case "PUT ":
		switch {
		case h.Get("X-Ms-Blob-Type") == "BlockBlob" && h.Get("X-Ms-Copy-Source") == "":
			return b.putBlob()
		case h.Get("X-Ms-Blob-Type") == "" && h.Get("X-Ms-Copy-Source") != "":
			return b.copyBlob(h.Get("X-Ms-Copy-Source"))
		}
	}
	return b.unsupported()
}

// metadataName is what Azure lets metadata be called: a C# identifier, so no hyphens. Source:
// https://learn.microsoft.com/en-us/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata.
var metadataName = regexp.MustCompile(`^[\pL_][\pL\pN_]*$`)

func (b blobCall) properties() properties {
	return newProperties(b.r.Header, "X-Ms-Blob-Content-", "X-Ms-Blob-Cache-Control", "X-Ms-Meta-", "X-Ms-Tags")
}

// content reads the body and checks it against Content-MD5.
func (b blobCall) content() ([]byte, error) {
	data, err := b.body()
	if err != nil {
		return nil, err
	}
	sum := md5.Sum(data)
	if want := b.r.Header.Get("Content-Md5"); want != "" && want != base64.StdEncoding.EncodeToString(sum[:]) {
		return nil, &fault{
			http.StatusBadRequest, "Md5Mismatch",
			"The MD5 value specified in the request did not match the MD5 value calculated by the server.",
		}
	}
	return data, nil
}

func (b blobCall) putBlob() error {
	data, err := b.content()
	if err != nil {
		return err
	}
	// Put Blob alone takes the properties from the plain headers as well.
	p, plain := b.properties(), newProperties(b.r.Header, "Content-", "Cache-Control", "X-Ms-Meta-", "X-Ms-Tags")
	p.contentType = cmp.Or(p.contentType, plain.contentType)
	p.contentEncoding = cmp.Or(p.contentEncoding, plain.contentEncoding)
	p.contentLanguage = cmp.Or(p.contentLanguage, plain.contentLanguage)
	p.cacheControl = cmp.Or(p.cacheControl, plain.cacheControl)
	o := newObject(data, p)
	if err := b.store(o); err != nil {
		return err
	}
	b.w.Header().Set("Content-Md5", base64.StdEncoding.EncodeToString(o.md5))
	b.w.WriteHeader(http.StatusCreated)
	return nil
}

// store puts o in the blob's place, and sets the headers that every answer to a write has.
func (b blobCall) store(o *object) error {
	for name := range o.metadata {
		if !metadataName.MatchString(name) {
			return &fault{
				http.StatusBadRequest, "InvalidMetadata",
				"The metadata specified is invalid. It has characters that are not permitted.",
			}
		}
	}
	if err := b.srv.put(b.job, b.ref, o, b.checkWrite); err != nil {
		return err
	}
	b.srv.mu.Lock()
	delete(b.srv.blocks, b.ref) // a write ends what was staged for the blob
	b.srv.mu.Unlock()
	h := b.w.Header()
	h.Set("ETag", o.blobETag())
	h.Set("Last-Modified", o.modified.UTC().Format(http.TimeFormat))
	h.Set("X-Ms-Request-Server-Encrypted", "true")
	return nil
}

// checkWrite checks the conditions of a write. Source:
// https://learn.microsoft.com/en-us/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations.
func (b blobCall) checkWrite(current *object) error {
	c := conditionsOf(b.r.Header)
	switch c.check(current, current.etagBlob()) {
	case hold:
		return nil
	case matched:
		if c.ifNoneMatch == "*" {
			return &fault{http.StatusConflict, "BlobAlreadyExists", "The specified blob already exists."}
		}
	}
	return conditionNotMet()
}

func (o *object) etagBlob() string {
	if o == nil {
		return ""
	}
	return o.blobETag()
}

func conditionNotMet() *fault {
	return &fault{
		http.StatusPreconditionFailed, "ConditionNotMet",
		"The condition specified using HTTP conditional header(s) is not met.",
	}
}

func blobNotFound() *fault {
	return &fault{http.StatusNotFound, "BlobNotFound", "The specified blob does not exist."}
}

func (b blobCall) getBlob() error {
	o := b.srv.read(b.job, b.ref, "")
	if o == nil {
		return blobNotFound()
	}
	h := b.w.Header()
	h.Set("ETag", o.blobETag())
	switch conditionsOf(b.r.Header).check(o, o.blobETag()) {
	case failed:
		return conditionNotMet()
	case matched:
		h.Set("X-Ms-Error-Code", "ConditionNotMet")
		b.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	asked := b.r.Header.Get("X-Ms-Range")
	if asked == "" {
		asked = b.r.Header.Get("Range")
	}
	if b.r.Method == http.MethodHead {
		asked = "" // Get Blob Properties has no ranges
	}
	o.writeTo(h, "application/octet-stream", "x-ms-meta-")
	h.Set("X-Ms-Blob-Type", "BlockBlob")
	h.Set("X-Ms-Creation-Time", o.modified.UTC().Format(http.TimeFormat))
	h.Set("X-Ms-Lease-Status", "unlocked")
	h.Set("X-Ms-Lease-State", "available")
	h.Set("X-Ms-Server-Encrypted", "true")
	if o.tags != "" {
		h.Set("X-Ms-Tag-Count", strconv.Itoa(strings.Count(o.tags, "&")+1))
	}
	if o.md5 != nil && asked == "" {
		h.Set("Content-Md5", base64.StdEncoding.EncodeToString(o.md5))
	} else if o.md5 != nil {
		h.Set("X-Ms-Blob-Content-Md5", base64.StdEncoding.EncodeToString(o.md5))
	}
	return b.writeObject(o, asked)
}

func (b blobCall) deleteBlob() error {
	existed, err := b.srv.remove(b.job, b.ref, func(current *object) error {
		if conditionsOf(b.r.Header).check(current, current.etagBlob()) != hold {
			return conditionNotMet()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !existed {
		return blobNotFound()
	}
	b.w.Header().Set("X-Ms-Delete-Type-Permanent", "true")
	b.w.WriteHeader(http.StatusAccepted)
	return nil
}

// copyBlob copies within the endpoint, and is done when it answers: both Copy Blob and Copy Blob From URL. The
// source's properties come along; its metadata does unless the request has some, and its tags do not. Source:
// https://learn.microsoft.com/en-us/rest/api/storageservices/copy-blob.
func (b blobCall) copyBlob(source string) error {
	if _, err := b.body(); err != nil {
		return err
	}
	u, err := url.Parse(source)
	if err != nil || u.Query().Has("snapshot") || u.Query().Has("versionid") {
		return b.call.unsupported("Blob copies from elsewhere than a blob")
	}
	account, container, blob, err := azureNames(u.EscapedPath())
	if err != nil || u.Host != b.r.Host || !strings.HasPrefix(u.Path, "/blob/") || blob == "" {
		return b.call.unsupported("Blob copies from elsewhere than its own blobs")
	}
	from := b.srv.read(b.job, ref{b.srv.directory.resource("azblob://" + account + "/" + container), blob}, "")
	if from == nil {
		return blobNotFound()
	}
	for name := range b.r.Header {
		if strings.HasPrefix(name, "X-Ms-Source-If-") {
			return b.call.unsupported("Blob copies with conditions on the source")
		}
	}
	data, err := from.load()
	if err != nil {
		return err
	}
	p, asked := from.properties, b.properties()
	p.tags = asked.tags
	if asked.metadata != nil {
		p.metadata = asked.metadata
	}
	if err := b.store(newObject(data, p)); err != nil {
		return err
	}
	b.w.Header().Set("X-Ms-Copy-Id", newID())
	b.w.Header().Set("X-Ms-Copy-Status", "success")
	b.w.WriteHeader(http.StatusAccepted)
	return nil
}
