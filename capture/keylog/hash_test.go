package keylog

import (
	"encoding/binary"
	"encoding/hex"
	"testing"
)

// These are of the bytes 0, 1, 2 and so on, with the key 0, 1, … 15. They are the reference implementation's, and
// what OpenSSL's "mac -macopt size:16 SIPHASH" says.
func TestKeysAreThoseOfSipHash(t *testing.T) {
	text := make([]byte, 64)
	for i := range text {
		text[i] = byte(i)
	}
	h := Hasher{[2]uint64{binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[8:])}}
	for n, want := range map[int]string{
		8:  "3b62a9ba6258f5610f83e264f31497b4",
		9:  "264499060ad9baabc47f8b02bb6d71ed",
		15: "5493e99933b0a8117e08ec0f97cfc3d9",
		16: "6ee2a4ca67b054bbfd3315bf85230577",
		23: "c9d184ddd5a9f5e0cf8ce29a9abf691c",
		24: "2db479ae78bd50d8882a8a178a6132ad",
		40: "df6a301e95c95dad97ae0cc8c6913bd8",
	} {
		k := h.Key(binary.LittleEndian.Uint64(text), string(text[8:n]))
		got := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, k.Lo), k.Hi)
		if hex.EncodeToString(got) != want {
			t.Errorf("of %d bytes: %x, want %s", n, got, want)
		}
	}
}
