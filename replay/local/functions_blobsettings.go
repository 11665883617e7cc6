package local

import (
	"fmt"
	"hash/fnv"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// blobFile is extensions.blobs of host.json:
// https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-blob#hostjson-settings.
type blobFile struct {
	MaxDegreeOfParallelism *int `json:"maxDegreeOfParallelism"`
	PoisonBlobThreshold    *int `json:"poisonBlobThreshold"`
}

// settings say how the host's own queue is polled: BlobsOptions.cs and SharedBlobQueueListenerFactory.cs of the
// host's extension, in https://github.com/Azure/azure-sdk-for-net under
// sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Blobs. Errors name the field.
func (f *blobFile) settings() (queueSettings, error) {
	parallel, attempts := 8*runtime.NumCPU(), 5
	for _, field := range []struct {
		name  string
		value *int
		to    *int
	}{
		{"maxDegreeOfParallelism", f.MaxDegreeOfParallelism, &parallel},
		{"poisonBlobThreshold", f.PoisonBlobThreshold, &attempts},
	} {
		switch {
		case field.value == nil:
		case *field.value < 1:
			return queueSettings{}, fmt.Errorf("%s: %d is less than 1", field.name, *field.value)
		default:
			*field.to = *field.value
		}
	}
	batch := min(32, parallel/2+1)
	return queueSettings{
		maxPollingInterval: time.Minute, batchSize: batch, newBatchThreshold: parallel - batch, maxDequeueCount: attempts,
		base64: true,
	}, nil
}

var noHostID = regexp.MustCompile(`[^a-z0-9]`)

// hostID is what the host calls itself in storage. It has to stay the same from start to start, and at most 32
// characters: https://learn.microsoft.com/azure/azure-functions/storage-considerations#host-id-considerations.
func (f *Functions) hostID() string {
	if id := lookup(f.opts.Env, "AzureFunctionsWebHost__hostid"); id != "" {
		return id
	}
	machine, _ := os.Hostname()
	sum := fnv.New32a()
	sum.Write([]byte(f.app.dir))
	id := fmt.Sprintf("%.20s-%d", noHostID.ReplaceAllString(strings.ToLower(machine), ""), sum.Sum32())
	return strings.TrimLeft(id, "-")
}
