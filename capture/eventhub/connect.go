package eventhub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2/checkpoints"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// A hint is an error that says what to do about it, and nothing of what was read.
type hint string

func (h hint) Error() string { return string(h) }

// Access says how to get at a hub and its checkpoints. A connection string stands for the credential.
type Access struct {
	Namespace        string // ns.servicebus.windows.net
	ConnectionString string // in place of Namespace
	Hub              string // "" where the connection string has it
	ConsumerGroup    string // $Default unless set
	// Owner names this process among those that share the hub; one that is started again under its name has its
	// partitions at once. A random one unless set.
	Owner string
	// Retry says how often what fails is tried again: five times in half a minute unless set.
	Retry azeventhubs.RetryOptions

	Container           string // the URL of the container for checkpoints
	ContainerConnection string // a connection string of the account, in place of the credential
	Credential          azcore.TokenCredential
}

// Connect makes the clients for a capture. Nothing is sent yet.
func Connect(a Access) (client *azeventhubs.ConsumerClient, store azeventhubs.CheckpointStore, err error) {
	if client, err = NewConsumer(a); err != nil {
		return nil, nil, err
	}
	store, err = a.checkpoints()
	return client, store, err
}

// NewConsumer makes the client of a hub alone, for who keeps no checkpoints. Nothing is sent yet.
func NewConsumer(a Access) (client *azeventhubs.ConsumerClient, err error) {
	group := a.ConsumerGroup
	if group == "" {
		group = azeventhubs.DefaultConsumerGroup
	}
	if a.Retry == (azeventhubs.RetryOptions{}) {
		a.Retry = azeventhubs.RetryOptions{MaxRetries: 5, RetryDelay: time.Second}
	}
	opts := &azeventhubs.ConsumerClientOptions{ApplicationID: "tandem", InstanceID: a.Owner, RetryOptions: a.Retry}
	if a.ConnectionString != "" {
		hub := a.Hub
		if props, err := azeventhubs.ParseConnectionString(a.ConnectionString); err == nil && props.EntityPath != nil {
			hub = "" // it is not to be given twice
		}
		client, err = azeventhubs.NewConsumerClientFromConnectionString(a.ConnectionString, hub, group, opts)
	} else {
		client, err = azeventhubs.NewConsumerClient(a.Namespace, a.Hub, group, a.Credential, opts)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to event hub %s: %w", a.Hub, err)
	}
	return client, nil
}

// Check finds out whether the hub and the container are there and may be used, before anything is begun. Somebody waits
// for it, so it is tried twice only, unless Retry says otherwise.
func Check(ctx context.Context, a Access) error {
	if a.Retry == (azeventhubs.RetryOptions{}) {
		a.Retry = azeventhubs.RetryOptions{MaxRetries: 1, RetryDelay: time.Second}
	}
	if a.Credential != nil && a.ConnectionString == "" {
		// Without one, the hub is asked again and again as if it were out of reach.
		scopes := []string{"https://eventhubs.azure.net/.default"}
		if _, err := a.Credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: scopes}); err != nil {
			return fmt.Errorf("no Azure credentials: log in with az login, or use a connection string: %w", err)
		}
	}
	client, store, err := Connect(a)
	if err != nil {
		return err
	}
	defer client.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing more is asked
	if _, err := client.GetEventHubProperties(ctx, nil); err != nil {
		return fmt.Errorf("read event hub: %w", Explain(err))
	}
	if _, err := store.ListCheckpoints(ctx, "tandem", "check", "check", nil); err != nil {
		return fmt.Errorf("read checkpoints: %w", Explain(err))
	}
	return nil
}

// HubOf returns the hub that a connection string names, "" for none. The error does not tell the string.
func HubOf(connectionString string) (string, error) {
	props, err := azeventhubs.ParseConnectionString(connectionString)
	if err != nil {
		return "", errors.New("it is not the connection string of an Event Hubs namespace or hub")
	}
	if props.EntityPath == nil {
		return "", nil
	}
	return *props.EntityPath, nil
}

func (a Access) checkpoints() (azeventhubs.CheckpointStore, error) {
	var client *container.Client
	var err error
	if a.ContainerConnection != "" {
		parts, perr := azblob.ParseURL(a.Container)
		if perr != nil {
			return nil, fmt.Errorf("container for checkpoints: %w", perr)
		}
		client, err = container.NewClientFromConnectionString(a.ContainerConnection, parts.ContainerName, nil)
	} else {
		client, err = container.NewClient(a.Container, a.Credential, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("container for checkpoints: %w", err)
	}
	return checkpoints.NewBlobStore(client, nil)
}

// isMissing tells whether the namespace does not have what was asked for.
func isMissing(err error) bool {
	return strings.Contains(err.Error(), "status code 404") || strings.Contains(err.Error(), "amqp:not-found")
}

// Explain puts what Azure's SDK says of the usual mistakes in terms of what to do about them.
func Explain(err error) error {
	var known *azeventhubs.Error
	var response *azcore.ResponseError
	switch {
	case errors.As(err, &known) && known.Code == azeventhubs.ErrorCodeUnauthorizedAccess,
		strings.Contains(err.Error(), "status code 401"):
		return fmt.Errorf("access is refused; the role Azure Event Hubs Data Receiver or a key with Listen is "+
			"needed: %w", err)
	case isMissing(err):
		return fmt.Errorf("there is no such hub or consumer group in the namespace: %w", err)
	case errors.As(err, &response) && (response.ErrorCode == "ContainerNotFound"):
		return errors.New("the container for checkpoints is not there; make it with az storage container create")
	case errors.As(err, &response) && (response.StatusCode == 401 || response.StatusCode == 403):
		return fmt.Errorf("the container for checkpoints may not be written (%s); the role Storage Blob Data "+
			"Contributor is needed", response.ErrorCode)
	case errors.As(err, &response): // says itself on a dozen lines
		return fmt.Errorf("blob storage answers %d %s", response.StatusCode, response.ErrorCode)
	}
	return err
}
