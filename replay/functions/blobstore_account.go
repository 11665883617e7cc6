package functions

import (
	"errors"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
)

// sendOnce is the number of retries that makes an SDK's client send a request once. 0 is the SDK's default.
const sendOnce = -1

// A storageAccount is what an account is called in the config, and how to get in.
type storageAccount struct {
	name       string // a connection string, the URL of the Blob service, or the account's name
	credential azcore.TokenCredential
	http       *http.Client
}

var (
	// errNoConnectionString takes the place of the SDK's error, which may quote the key.
	errNoConnectionString = errors.New("this is not a connection string of a storage account")
	errNoCredential       = errors.New("there are no credentials for it; give a connection string")
)

func (a storageAccount) blobs(retries int32) (*service.Client, error) {
	opts := &service.ClientOptions{ClientOptions: a.options(retries)}
	if IsConnectionString(a.name) {
		c, err := service.NewClientFromConnectionString(a.name, opts)
		if err != nil {
			return nil, errNoConnectionString
		}
		return c, nil
	}
	if a.credential == nil {
		return nil, errNoCredential
	}
	return service.NewClient(a.url("blob"), a.credential, opts)
}

func (a storageAccount) queues() (*azqueue.ServiceClient, error) {
	opts := &azqueue.ClientOptions{ClientOptions: a.options(0)}
	if IsConnectionString(a.name) {
		c, err := azqueue.NewServiceClientFromConnectionString(a.name, opts)
		if err != nil {
			return nil, errNoConnectionString
		}
		return c, nil
	}
	if a.credential == nil {
		return nil, errNoCredential
	}
	return azqueue.NewServiceClient(a.url("queue"), a.credential, opts)
}

func (a storageAccount) options(retries int32) azcore.ClientOptions {
	return azcore.ClientOptions{Transport: a.http, Retry: policy.RetryOptions{MaxRetries: retries}}
}

// url is the address of one of the account's services, which differ in one label.
func (a storageAccount) url(service string) string {
	if !strings.Contains(a.name, "://") {
		return "https://" + a.name + "." + service + ".core.windows.net"
	}
	return strings.TrimSuffix(strings.Replace(a.name, ".blob.", "."+service+".", 1), "/")
}
