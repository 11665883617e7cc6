package s3tap

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"runtime"
	"strconv"
	"testing"

	"tandem/capture/lambdaevent"
)

func TestMemoryDoesNotGrowWithAnObject(t *testing.T) {
	const size = 20 << 20
	block := bytes.Repeat([]byte("0123456789abcdef"), 1<<10)
	hash := md5.New()
	for range size / len(block) {
		hash.Write(block)
	}
	etag := hex.EncodeToString(hash.Sum(nil))
	s, rec := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"`+etag+`"`)
		w.Header().Set("Content-Length", strconv.Itoa(size))
		for range size / len(block) {
			if _, err := w.Write(block); err != nil {
				t.Error(err)
				return
			}
		}
	})), newRecorder(t)
	tp := newTapper(t, s.options(rec), Tap{})
	body := event(t, lambdaevent.S3Record{Name: "ObjectCreated:Put", Bucket: bucket, Key: "large", Size: size,
		ETag: etag})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	handle(t, tp, body)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > size/8 {
		t.Errorf("pinning %d bytes allocated %d, server included", size, took)
	}
	if all, _ := rec.read(t); len(all) != 1 || len(all[0].Objects) != 1 || all[0].Objects[0].Size != size {
		t.Errorf("recorded %+v", all)
	}
}
