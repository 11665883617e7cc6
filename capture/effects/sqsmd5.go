package effects

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strings"
)

func md5OfText(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// md5OfAttributes returns the digest that clients check, or "" if there are no attributes. Source:
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
// (calculating the MD5 message digest for message attributes).
func md5OfAttributes(attributes map[string]sqsAttribute) string {
	if len(attributes) == 0 {
		return ""
	}
	h := md5.New()
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		writeCounted(h, []byte(name))
		writeCounted(h, []byte(a.DataType))
		if a.binary() {
			h.Write([]byte{2})
		} else {
			h.Write([]byte{1})
		}
		writeCounted(h, a.value())
	}
	return hex.EncodeToString(h.Sum(nil))
}

func writeCounted(h hash.Hash, b []byte) {
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
	h.Write(b)
}

func (a sqsAttribute) binary() bool { return strings.HasPrefix(a.DataType, "Binary") }

func (a sqsAttribute) value() []byte {
	switch {
	case a.binary():
		return a.BinaryValue
	case a.StringValue == nil:
		return nil
	default:
		return []byte(*a.StringValue)
	}
}
