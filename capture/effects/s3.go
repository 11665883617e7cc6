package effects

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// S3's REST API. Source:
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html.

const s3Namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// s3Call is a call of S3. ref.key is empty in calls that are about a bucket.
type s3Call struct {
	*call
	bucket string
	ref    ref
}

func (c *call) serveS3() error {
	bucket, key, err := s3Path(c.r.Host, c.r.URL.EscapedPath())
	if err != nil {
		return err
	}
	if bucket == "" {
		return c.unsupported("S3 " + c.r.Method + " /")
	}
	s := s3Call{call: c, bucket: bucket, ref: ref{c.srv.directory.bucketResource(bucket), key}}
	if key == "" {
		return s.serveBucket()
	}
	return s.serveObject()
}

var s3Host = regexp.MustCompile(`^(.+)\.s3(?:[.-][a-z0-9.-]+)?\.amazonaws\.com(?:\.cn)?$`)

// s3Path finds the bucket and the key in a request, which names the bucket in its host ("bucket.localhost",
// "bucket.s3.eu-west-1.amazonaws.com") or as the first segment of its path. Only percent signs are special in a
// path: "+" is itself.
func s3Path(host, escapedPath string) (bucket, key string, err error) {
	path := strings.TrimPrefix(escapedPath, "/")
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if m := s3Host.FindStringSubmatch(host); m != nil {
		bucket = m[1]
	} else if before, ok := strings.CutSuffix(host, ".localhost"); ok {
		bucket = before
	} else {
		bucket, path, _ = strings.Cut(path, "/")
	}
	if bucket, err = url.PathUnescape(bucket); err == nil {
		key, err = url.PathUnescape(path)
	}
	switch {
	case err != nil || !utf8.ValidString(key) || !utf8.ValidString(bucket):
		return "", "", &fault{http.StatusBadRequest, "InvalidURI", "couldn't parse the specified URI"}
	case len(key) > 1024:
		return "", "", &fault{http.StatusBadRequest, "KeyTooLongError", "your key is too long"}
	case strings.ContainsAny(bucket, "/:"):
		return "", "", &fault{http.StatusBadRequest, "InvalidBucketName", "the specified bucket is not valid"}
	}
	return bucket, key, nil
}

// unsupported is call.unsupported for an operation that is told by its method and one query parameter.
func (s s3Call) unsupported(what string) error {
	on := "object"
	if s.ref.key == "" {
		on = "bucket"
	}
	operation := "S3 " + s.r.Method + " " + on
	if id := s.r.URL.Query().Get("x-id"); id != "" {
		operation = "S3 " + id
	}
	if what != "" {
		operation += " with " + what
	}
	return s.call.unsupported(operation)
}

func (s s3Call) serveBucket() error {
	q := s.r.URL.Query()
	switch {
	case s.r.Method == http.MethodPost && q.Has("delete"):
		return s.deleteObjects()
	case s.r.Method == http.MethodGet && q.Get("list-type") == "2":
		return s.listObjects()
	}
	if extra, ok := s.beyond(); ok {
		return s.unsupported("?" + extra)
	}
	switch s.r.Method {
	case http.MethodHead:
		s.w.Header().Set("X-Amz-Bucket-Region", s.srv.opts.Region)
		s.w.WriteHeader(http.StatusOK)
	case http.MethodPut:
		if _, err := s.body(); err != nil {
			return err
		}
		s.srv.create(s.ref.resource)
		s.w.Header().Set("Location", "/"+s.bucket)
		s.w.WriteHeader(http.StatusOK)
	default:
		return s.unsupported("")
	}
	return nil
}

func (s s3Call) serveObject() error {
	q, copies := s.r.URL.Query(), s.r.Header.Get("X-Amz-Copy-Source") != ""
	if q.Has("uploads") || q.Has("uploadId") {
		return s.serveUpload()
	}
	known := []string{"versionId"}
	if s.r.Method == http.MethodPut || s.r.Method == http.MethodDelete {
		known = nil // a version is neither written nor deleted by its name
	}
	if extra, ok := s.beyond(known...); ok {
		return s.unsupported("?" + extra)
	}
	switch {
	case s.r.Method == http.MethodPut && s.r.Header.Get("X-Amz-Write-Offset-Bytes") != "":
		return s.unsupported("an offset")
	case s.r.Method == http.MethodPut && copies:
		return s.copyObject()
	case s.r.Method == http.MethodPut:
		return s.putObject()
	case s.r.Method == http.MethodGet || s.r.Method == http.MethodHead:
		return s.getObject(q.Get("versionId"))
	case s.r.Method == http.MethodDelete:
		return s.deleteObject()
	default:
		return s.unsupported("")
	}
}

func (s s3Call) properties() properties {
	p := newProperties(s.r.Header, "Content-", "Cache-Control", "X-Amz-Meta-", "X-Amz-Tagging")
	p.contentEncoding = withoutAWSChunked(p.contentEncoding)
	return p
}

func (s s3Call) putObject() error {
	payload, err := s.payload()
	if err != nil {
		return err
	}
	o := newObject(payload.data, s.properties())
	o.checksums = payload.checksums
	if err := s.srv.put(s.job, s.ref, o, s.checkWrite); err != nil {
		return err
	}
	s.writeChecksums(o)
	s.w.Header().Set("ETag", `"`+o.s3ETag+`"`)
	s.w.WriteHeader(http.StatusOK)
	return nil
}

// checkWrite checks the conditions of a write. Source:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html.
func (s s3Call) checkWrite(current *object) error {
	c := conditions{ifMatch: s.r.Header.Get("If-Match"), ifNoneMatch: s.r.Header.Get("If-None-Match")}
	switch {
	case c.ifMatch != "" && current == nil:
		return noSuchKey()
	case c.check(current, current.etagS3()) != hold:
		return preconditionFailed()
	}
	return nil
}

func (o *object) etagS3() string {
	if o == nil {
		return ""
	}
	return o.s3ETag
}

func noSuchKey() *fault {
	return &fault{http.StatusNotFound, "NoSuchKey", "The specified key does not exist."}
}

func preconditionFailed() *fault {
	return &fault{
		http.StatusPreconditionFailed, "PreconditionFailed",
		"At least one of the pre-conditions you specified did not hold",
	}
}

func (s s3Call) writeChecksums(o *object) {
	for name, sum := range o.checksums {
		s.w.Header().Set(name, sum)
	}
}

func (s s3Call) getObject(version string) error {
	o := s.srv.read(s.job, s.ref, version)
	if o == nil && version != "" {
		return &fault{http.StatusNotFound, "NoSuchVersion", "The specified version does not exist."}
	}
	if o == nil {
		return noSuchKey()
	}
	h := s.w.Header()
	h.Set("ETag", `"`+o.s3ETag+`"`)
	switch conditionsOf(s.r.Header).check(o, o.s3ETag) {
	case failed:
		return preconditionFailed()
	case matched:
		s.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	o.writeTo(h, "binary/octet-stream", "x-amz-meta-")
	if o.versionID != "" {
		h.Set("X-Amz-Version-Id", o.versionID)
	}
	if s.r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" && s.r.Header.Get("Range") == "" {
		s.writeChecksums(o)
		if sum, err := hex.DecodeString(o.sha256); err == nil && len(o.checksums) == 0 {
			h.Set(checksumPrefix+"Sha256", base64.StdEncoding.EncodeToString(sum))
		}
	}
	return s.writeObject(o, s.r.Header.Get("Range"))
}

func (s s3Call) deleteObject() error {
	_, err := s.srv.remove(s.job, s.ref, func(current *object) error {
		match := conditions{ifMatch: s.r.Header.Get("If-Match")}
		if match.check(current, current.etagS3()) != hold {
			return preconditionFailed()
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.w.WriteHeader(http.StatusNoContent)
	return nil
}

// deleteObjects deletes up to 1000 objects, one effect each. Source:
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html.
func (s s3Call) deleteObjects() error {
	payload, err := s.payload()
	if err != nil {
		return err
	}
	var req struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool
		Object  []struct {
			Key, VersionId, ETag string
		}
	}
	if err := xml.Unmarshal(payload.data, &req); err != nil || len(req.Object) == 0 || len(req.Object) > 1000 {
		return malformedXML()
	}
	type deleted struct{ Key string }
	answer := struct {
		XMLName xml.Name `xml:"DeleteResult"`
		Xmlns   string   `xml:"xmlns,attr"`
		Deleted []deleted
	}{Xmlns: s3Namespace}
	for _, o := range req.Object {
		if o.Key == "" {
			return malformedXML()
		}
		if o.VersionId != "" || o.ETag != "" {
			return s.unsupported("a version or an ETag")
		}
	}
	for _, o := range req.Object {
		if _, err := s.srv.remove(s.job, ref{s.ref.resource, o.Key}, allow); err != nil {
			return err
		}
		if !req.Quiet {
			answer.Deleted = append(answer.Deleted, deleted{o.Key})
		}
	}
	return s.writeXML(http.StatusOK, answer)
}

// allow is the check of a write without conditions.
func allow(*object) error { return nil }

func malformedXML() *fault {
	return &fault{
		http.StatusBadRequest, "MalformedXML",
		"The XML you provided was not well-formed or did not validate against our published schema",
	}
}

// copyObject copies within the endpoint. Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html.
func (s s3Call) copyObject() error {
	source, version, _ := strings.Cut(s.r.Header.Get("X-Amz-Copy-Source"), "?versionId=")
	bucket, key, err := s3Path("", "/"+strings.TrimPrefix(source, "/"))
	if err != nil || bucket == "" || key == "" {
		return &fault{http.StatusBadRequest, "InvalidArgument", "Copy Source must mention the source bucket and key"}
	}
	from := s.srv.read(s.job, ref{s.srv.directory.bucketResource(bucket), key}, version)
	if from == nil {
		return noSuchKey()
	}
	h := s.r.Header
	onSource := conditions{
		ifMatch: h.Get("X-Amz-Copy-Source-If-Match"), ifNoneMatch: h.Get("X-Amz-Copy-Source-If-None-Match"),
	}
	if onSource.check(from, from.s3ETag) != hold {
		return preconditionFailed()
	}
	data, err := from.load()
	if err != nil {
		return err
	}
	p, replaced := from.properties, s.properties()
	if strings.EqualFold(h.Get("X-Amz-Metadata-Directive"), "REPLACE") {
		tags := p.tags
		p = replaced
		p.tags = tags
	}
	if strings.EqualFold(h.Get("X-Amz-Tagging-Directive"), "REPLACE") {
		p.tags = replaced.tags
	}
	o := newObject(data, p)
	if err := s.srv.put(s.job, s.ref, o, s.checkWrite); err != nil {
		return err
	}
	return s.writeXML(http.StatusOK, struct {
		XMLName      xml.Name `xml:"CopyObjectResult"`
		Xmlns        string   `xml:"xmlns,attr"`
		LastModified string
		ETag         string
	}{Xmlns: s3Namespace, LastModified: s3Time(o.modified), ETag: `"` + o.s3ETag + `"`})
}

func s3Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// failS3 answers in S3's form. Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
func failS3(c *call, f *fault) {
	id := newID()
	c.w.Header().Set("X-Amz-Request-Id", id)
	err := c.writeXML(f.status, struct {
		XMLName                            xml.Name `xml:"Error"`
		Code, Message, Resource, RequestId string
	}{Code: f.code, Message: f.message, Resource: c.r.URL.Path, RequestId: id})
	if err != nil {
		http.Error(c.w, fmt.Sprint(f), f.status)
	}
}

// failQuery answers in the form of the query protocol. Source:
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#operation-error-serialization.
func failQuery(c *call, f *fault) {
	type detail struct{ Type, Code, Message string }
	err := c.writeXML(f.status, struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Error     detail
		RequestId string
	}{Error: detail{"Sender", f.code, f.message}, RequestId: newID()})
	if err != nil {
		http.Error(c.w, fmt.Sprint(f), f.status)
	}
}
