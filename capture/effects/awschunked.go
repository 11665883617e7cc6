package effects

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// An s3Payload is the content of a request, out of its chunks and checked against the sums that came with it.
type s3Payload struct {
	data      []byte
	checksums map[string]string // x-amz-checksum-<algorithm> to its value, for the answer and for later reads
}

const checksumPrefix = "X-Amz-Checksum-"

// payload reads the request's body.
func (s s3Call) payload() (s3Payload, error) {
	data, err := s.body()
	if err != nil {
		return s3Payload{}, err
	}
	h := s.r.Header.Clone()
	sum := h.Get("X-Amz-Content-Sha256")
	if strings.HasPrefix(sum, "STREAMING-") || isAWSChunked(h.Get("Content-Encoding")) {
		var trailer map[string]string
		if data, trailer, err = decodeAWSChunked(data); err != nil {
			return s3Payload{}, &fault{http.StatusBadRequest, "IncompleteBody", "aws-chunked body: " + err.Error()}
		}
		if want := h.Get("X-Amz-Decoded-Content-Length"); want != "" && want != strconv.Itoa(len(data)) {
			return s3Payload{}, &fault{
				http.StatusBadRequest, "IncompleteBody",
				"You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header.",
			}
		}
		for name, value := range trailer {
			h.Set(name, value)
		}
	} else if len(sum) == hex.EncodedLen(sha256.Size) && sum != hex.EncodeToString(checksum("SHA256", data)) {
		return s3Payload{}, &fault{
			http.StatusBadRequest, "XAmzContentSHA256Mismatch",
			"The provided 'x-amz-content-sha256' header does not match what was computed.",
		}
	}
	p := s3Payload{data: data, checksums: make(map[string]string)}
	if want := h.Get("Content-Md5"); want != "" && want != base64.StdEncoding.EncodeToString(checksum("MD5", data)) {
		return s3Payload{}, badDigest("Content-MD5")
	}
	for name, values := range h {
		algorithm, ok := strings.CutPrefix(name, checksumPrefix)
		if !ok || algorithm == "Type" || algorithm == "Mode" || algorithm == "Algorithm" {
			continue
		}
		sum := checksum(strings.ToUpper(algorithm), data)
		if sum != nil && base64.StdEncoding.EncodeToString(sum) != values[0] {
			return s3Payload{}, badDigest(algorithm)
		}
		p.checksums[name] = values[0]
	}
	return p, nil
}

func badDigest(algorithm string) *fault {
	return &fault{
		http.StatusBadRequest, "BadDigest",
		"The " + algorithm + " you specified did not match the calculated checksum.",
	}
}

// checksum returns nil for an algorithm that it does not know. Source:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html.
func checksum(algorithm string, data []byte) []byte {
	switch algorithm {
	case "CRC32":
		return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data))
	case "CRC32C":
		return binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	case "CRC64NVME":
		return binary.BigEndian.AppendUint64(nil, crc64.Checksum(data, crc64.MakeTable(0x9a6c9329ac4bc9b5)))
	case "MD5":
		sum := md5.Sum(data)
		return sum[:]
	case "SHA1":
		sum := sha1.Sum(data)
		return sum[:]
	case "SHA256":
		sum := sha256.Sum256(data)
		return sum[:]
	case "SHA512":
		sum := sha512.Sum512(data)
		return sum[:]
	}
	return nil
}

func isAWSChunked(contentEncoding string) bool {
	return withoutAWSChunked(contentEncoding) != contentEncoding
}

// withoutAWSChunked takes "aws-chunked" out of a list of encodings: S3 does not store it.
func withoutAWSChunked(contentEncoding string) string {
	if !strings.Contains(contentEncoding, "aws-chunked") {
		return contentEncoding
	}
	var kept []string
	for one := range strings.SplitSeq(contentEncoding, ",") {
		if one = strings.TrimSpace(one); one != "aws-chunked" && one != "" {
			kept = append(kept, one)
		}
	}
	return strings.Join(kept, ",")
}

// decodeAWSChunked returns the content of an aws-chunked body, and its trailer under canonical header names. The
// chunks may be signed; signatures are not checked. Source:
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html.
func decodeAWSChunked(body []byte) (data []byte, trailer map[string]string, err error) {
	for {
		line, rest, ok := bytes.Cut(body, []byte("\r\n"))
		if !ok {
			return nil, nil, errors.New("a chunk's size does not end")
		}
		digits, _, _ := strings.Cut(string(line), ";")
		size, err := strconv.ParseUint(digits, 16, 63)
		if err != nil {
			return nil, nil, errors.New("a chunk's size is not a hexadecimal number")
		}
		if size == 0 {
			trailer, err := parseTrailer(rest)
			return data, trailer, err
		}
		if size > uint64(len(rest)) || !bytes.HasPrefix(rest[size:], []byte("\r\n")) {
			return nil, nil, errors.New("a chunk has not the size that it says")
		}
		data = append(data, rest[:size]...)
		body = rest[size+2:]
	}
}

// parseTrailer reads the lines behind the last chunk. Some clients end them with \n alone, and some leave out the
// empty line that closes them.
func parseTrailer(text []byte) (map[string]string, error) {
	trailer := make(map[string]string)
	for line := range strings.SplitSeq(string(text), "\n") {
		if line = strings.TrimSuffix(line, "\r"); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, errors.New("a line of the trailer has no colon")
		}
		trailer[textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	return trailer, nil
}
