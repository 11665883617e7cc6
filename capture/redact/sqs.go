package redact

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"strings"

	"tandem/capture/jsonval"
)

// MD5OfAttributes returns the hash that SQS has of the attributes of a message, which are as events have them.
// Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
// (calculating the MD5 message digest for message attributes).
func MD5OfAttributes(attributes []byte) string {
	doc, err := jsonval.Parse(attributes)
	if err != nil {
		return ""
	}
	order := make([]int, len(doc.Names))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return strings.Compare(doc.Names[i], doc.Names[j]) })
	h := md5.New()
	for _, i := range order {
		attribute := doc.Elems[i]
		kind := attribute.At("dataType").Text
		transport, value := byte(1), []byte(attribute.At("stringValue").Text)
		if strings.HasPrefix(kind, "Binary") {
			transport = 2
			if value, err = base64.StdEncoding.DecodeString(attribute.At("binaryValue").Text); err != nil {
				return ""
			}
		}
		writeCounted(h, []byte(doc.Names[i]))
		writeCounted(h, []byte(kind))
		h.Write([]byte{transport})
		writeCounted(h, value)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func writeCounted(h hash.Hash, b []byte) {
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
	h.Write(b)
}
