package effects

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// minPart is the least size of every part but the last. Source:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html.
const minPart = 5 << 20

// An upload is a multipart upload that is neither completed nor aborted. Its effect is one put when it is completed,
// which belongs to the invocation that completes it.
type upload struct {
	ref        ref
	properties properties
	parts      map[int]*part
}

// A part is not changed once it is stored.
type part struct {
	data []byte
	md5  [md5.Size]byte
}

// serveUpload serves the operations of multipart uploads. Source:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html.
func (s s3Call) serveUpload() error {
	q := s.r.URL.Query()
	if extra, ok := s.beyond("uploads", "uploadId", "partNumber"); ok {
		return s.unsupported("?" + extra)
	}
	id := q.Get("uploadId")
	switch {
	case s.r.Method == http.MethodPost && q.Has("uploads"):
		return s.createUpload()
	case s.r.Method == http.MethodPut && q.Has("partNumber") && s.r.Header.Get("X-Amz-Copy-Source") != "":
		return s.unsupported("a copied part")
	case s.r.Method == http.MethodPut && q.Has("partNumber"):
		return s.uploadPart(id, q.Get("partNumber"))
	case s.r.Method == http.MethodPost && id != "":
		return s.completeUpload(id)
	case s.r.Method == http.MethodDelete && id != "":
		return s.abortUpload(id)
	}
	return s.unsupported("an upload")
}

func (s s3Call) createUpload() error {
	if _, err := s.body(); err != nil {
		return err
	}
	id := newID()
	s.srv.mu.Lock()
	s.srv.uploads[id] = &upload{ref: s.ref, properties: s.properties(), parts: make(map[int]*part)}
	s.srv.mu.Unlock()
	return s.writeXML(http.StatusOK, struct {
		XMLName               xml.Name `xml:"InitiateMultipartUploadResult"`
		Xmlns                 string   `xml:"xmlns,attr"`
		Bucket, Key, UploadId string
	}{Xmlns: s3Namespace, Bucket: s.bucket, Key: s.ref.key, UploadId: id})
}

func noSuchUpload() *fault {
	return &fault{
		http.StatusNotFound, "NoSuchUpload",
		"The specified upload does not exist. " +
			"The upload ID may be invalid, or the upload may have been aborted or completed.",
	}
}

// upload returns the upload of that ID, which must be of s.ref. s.srv.mu must be held.
func (s s3Call) upload(id string) (*upload, error) {
	u := s.srv.uploads[id]
	if u == nil || u.ref != s.ref {
		return nil, noSuchUpload()
	}
	return u, nil
}

func (s s3Call) uploadPart(id, number string) error {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > 10_000 {
		return &fault{
			http.StatusBadRequest, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive",
		}
	}
	payload, err := s.payload()
	if err != nil {
		return err
	}
	p := &part{data: payload.data, md5: md5.Sum(payload.data)}
	s.srv.mu.Lock()
	u, err := s.upload(id)
	if err == nil {
		u.parts[n] = p
	}
	s.srv.mu.Unlock()
	if err != nil {
		return err
	}
	for name, sum := range payload.checksums {
		s.w.Header().Set(name, sum)
	}
	s.w.Header().Set("ETag", `"`+hex.EncodeToString(p.md5[:])+`"`)
	s.w.WriteHeader(http.StatusOK)
	return nil
}

type completedPart struct {
	PartNumber int
	ETag       string
}

func (s s3Call) completeUpload(id string) error {
	body, err := s.body()
	if err != nil {
		return err
	}
	var req struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Part    []completedPart
	}
	if err := xml.Unmarshal(body, &req); err != nil || len(req.Part) == 0 {
		return malformedXML()
	}
	u, err := s.claim(id)
	if err != nil {
		return err
	}
	o, err := u.assemble(req.Part)
	if err == nil {
		err = s.srv.put(s.job, s.ref, o, s.checkWrite)
	}
	if err != nil {
		s.srv.mu.Lock()
		s.srv.uploads[id] = u
		s.srv.mu.Unlock()
		return err
	}
	return s.writeXML(http.StatusOK, struct {
		XMLName                     xml.Name `xml:"CompleteMultipartUploadResult"`
		Xmlns                       string   `xml:"xmlns,attr"`
		Location, Bucket, Key, ETag string
	}{
		Xmlns: s3Namespace, Location: "http://" + s.r.Host + s.r.URL.Path, Bucket: s.bucket, Key: s.ref.key,
		ETag: `"` + o.s3ETag + `"`,
	})
}

// assemble makes the object of the parts that the client names. Its ETag is the MD5 of the parts' MD5s, and their
// number.
func (u *upload) assemble(parts []completedPart) (*object, error) {
	var data, sums []byte
	for i, want := range parts {
		p := u.parts[want.PartNumber]
		switch {
		case p == nil || strings.Trim(want.ETag, `"`) != hex.EncodeToString(p.md5[:]):
			return nil, &fault{
				http.StatusBadRequest, "InvalidPart",
				"One or more of the specified parts could not be found. " +
					"The part might not have been uploaded, or the specified entity tag might not have matched.",
			}
		case i > 0 && want.PartNumber <= parts[i-1].PartNumber:
			return nil, &fault{
				http.StatusBadRequest, "InvalidPartOrder", "The list of parts was not in ascending order by part number.",
			}
		case i < len(parts)-1 && len(p.data) < minPart:
			return nil, &fault{
				http.StatusBadRequest, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size",
			}
		}
		data = append(data, p.data...)
		sums = append(sums, p.md5[:]...)
	}
	o := newObject(data, u.properties)
	o.s3ETag = fmt.Sprintf("%x-%d", md5.Sum(sums), len(parts))
	return o, nil
}

func (s s3Call) abortUpload(id string) error {
	if _, err := s.claim(id); err != nil {
		return err
	}
	s.w.WriteHeader(http.StatusNoContent)
	return nil
}

// claim takes an upload out of the server, so that it ends once.
func (s s3Call) claim(id string) (*upload, error) {
	s.srv.mu.Lock()
	defer s.srv.mu.Unlock()
	u, err := s.upload(id)
	if err == nil {
		delete(s.srv.uploads, id)
	}
	return u, err
}
