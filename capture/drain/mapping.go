package drain

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// A MappingClient is what is needed of Lambda. A [lambda.Client] is one.
type MappingClient interface {
	ListEventSourceMappings(context.Context, *lambda.ListEventSourceMappingsInput, ...func(*lambda.Options)) (
		*lambda.ListEventSourceMappingsOutput, error)
	GetEventSourceMapping(context.Context, *lambda.GetEventSourceMappingInput, ...func(*lambda.Options)) (
		*lambda.GetEventSourceMappingOutput, error)
}

// A Mapping is an event source mapping of a queue.
type Mapping struct {
	UUID     string
	Function string // ARN
	Queue    string // ARN
	State    string // "Enabled", "Disabled", …

	BatchSize   int
	BatchWindow time.Duration
	// Filtered is set when messages that do not match are deleted before the function gets them.
	Filtered bool
}

func (m Mapping) String() string {
	return fmt.Sprintf("event source mapping %s to %s (%s)", m.UUID, m.Function, m.State)
}

// A MappedError says that a queue is one that functions get their messages from.
type MappedError struct {
	Queue    string
	Mappings []Mapping
}

func (e *MappedError) Error() string {
	names := make([]string, len(e.Mappings))
	for i, m := range e.Mappings {
		names[i] = m.String()
	}
	return fmt.Sprintf("%s is no tap, it has %s: what is drained from it, the function does not get",
		e.Queue, strings.Join(names, ", "))
}

// CheckTap returns a [*MappedError] if a queue has an event source mapping, enabled or not. It sees those of the
// client's account and region.
func CheckTap(ctx context.Context, client MappingClient, queueARN string) error {
	mappings, err := list(ctx, client, &lambda.ListEventSourceMappingsInput{EventSourceArn: &queueARN})
	if err != nil {
		return fmt.Errorf("find out whether %s is a tap or has an event source mapping: %w", queueARN, explain(err))
	}
	if len(mappings) > 0 {
		return &MappedError{queueARN, mappings}
	}
	return nil
}

var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// FindMapping returns the mapping with a UUID, or the one from a queue to a function, named by name or ARN.
func FindMapping(ctx context.Context, client MappingClient, ref string) (Mapping, error) {
	if uuidPattern.MatchString(ref) {
		out, err := client.GetEventSourceMapping(ctx, &lambda.GetEventSourceMappingInput{UUID: &ref})
		if err != nil {
			return Mapping{}, fmt.Errorf("get event source mapping %s: %w", ref, explain(err))
		}
		m := mappingOf(types.EventSourceMappingConfiguration{
			UUID: out.UUID, FunctionArn: out.FunctionArn, EventSourceArn: out.EventSourceArn, State: out.State,
			BatchSize: out.BatchSize, MaximumBatchingWindowInSeconds: out.MaximumBatchingWindowInSeconds,
			FilterCriteria: out.FilterCriteria, KMSKeyArn: out.KMSKeyArn,
		})
		if RegionOf(m.Queue) == "" {
			return Mapping{}, fmt.Errorf("event source mapping %s is not one of a queue but of %s", ref, m.Queue)
		}
		return m, nil
	}
	all, err := list(ctx, client, &lambda.ListEventSourceMappingsInput{FunctionName: &ref})
	if err != nil {
		return Mapping{}, fmt.Errorf("list the event source mappings of %s: %w", ref, explain(err))
	}
	all = slices.DeleteFunc(all, func(m Mapping) bool { return RegionOf(m.Queue) == "" })
	switch len(all) {
	case 0:
		return Mapping{}, fmt.Errorf("%s has no event source mapping of a queue", ref)
	case 1:
		return all[0], nil
	}
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = m.UUID + " of " + m.Queue
	}
	return Mapping{}, fmt.Errorf("%s has %d event source mappings of queues, give the UUID of one: %s",
		ref, len(all), strings.Join(names, ", "))
}

func list(ctx context.Context, client MappingClient, in *lambda.ListEventSourceMappingsInput) ([]Mapping, error) {
	var all []Mapping
	pages := lambda.NewListEventSourceMappingsPaginator(client, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range page.EventSourceMappings {
			all = append(all, mappingOf(m))
		}
	}
	return all, nil
}

func mappingOf(m types.EventSourceMappingConfiguration) Mapping {
	return Mapping{
		UUID: aws.ToString(m.UUID), Function: aws.ToString(m.FunctionArn), Queue: aws.ToString(m.EventSourceArn),
		State: aws.ToString(m.State), BatchSize: int(aws.ToInt32(m.BatchSize)),
		BatchWindow: time.Duration(aws.ToInt32(m.MaximumBatchingWindowInSeconds)) * time.Second,
		// Encrypted criteria are not listed; the key that they are encrypted with is.
		Filtered: m.FilterCriteria != nil && len(m.FilterCriteria.Filters) > 0 || m.KMSKeyArn != nil,
	}
}

// explain says which permission is lacking.
func explain(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) && strings.HasPrefix(api.ErrorCode(), "AccessDenied") {
		return fmt.Errorf("not permitted: %w; it takes lambda:ListEventSourceMappings and lambda:GetEventSourceMapping",
			err)
	}
	return err
}
