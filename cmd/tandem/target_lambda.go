package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"tandem/config"
	"tandem/replay"
	"tandem/replay/lambda"
)

func (b *targetBuilder) lambda(ctx context.Context, l *config.Lambda) (replay.Deployment, error) {
	if l.StateMachine != "" {
		return b.stateMachine(ctx, l)
	}
	fire := b.invoke
	if l.HTTP != nil {
		fire = b.lambdaHTTP
	}
	d, err := fire(ctx, l)
	if err != nil || l.Execution == "" {
		return d, err
	}
	return b.execution(ctx, l, d)
}

// invoke returns the deployment of a function that is called through the Invoke API.
func (b *targetBuilder) invoke(ctx context.Context, l *config.Lambda) (replay.Deployment, error) {
	d := replay.Deployment{Name: lambdaTarget, Kind: "lambda", Address: l.Function, Effects: b.effects(l.Effects)}
	if l.Qualifier != "" {
		d.Address += ":" + l.Qualifier
	}
	if l.Endpoint != "" {
		d.Address += " at " + withoutSecrets(l.Endpoint)
	}
	cfg, err := b.awsConfig(ctx, l.Endpoint, l.Region)
	if err != nil {
		return d, err
	}
	client := lambda.NewClient(cfg, l.Endpoint)
	if l.Invocation == "" {
		d.Target = lambda.New(lambda.Options{Client: client, Function: l.Function, Qualifier: l.Qualifier})
		return d, nil
	}
	d.Kind = "lambda event"
	if l.Destination == "" {
		d.Kind += " without destination: outcomes stay unknown"
	}
	opts := lambda.EventOptions{Client: client, Function: l.Function, Qualifier: l.Qualifier}
	if opts.Destination, err = b.destination(ctx, l); err != nil {
		return d, err
	}
	d.Target = lambda.NewEvent(opts)
	return d, nil
}

// destination returns the queue of the records of asynchronous invocations, which functions may share; nil for none.
func (b *targetBuilder) destination(ctx context.Context, l *config.Lambda) (*lambda.Destination, error) {
	if l.Destination == "" {
		return nil, nil
	}
	if d := b.destinations[l.Destination]; d != nil {
		return d, nil
	}
	endpoint := queueEndpoint(l.Destination)
	cfg, err := b.awsConfig(ctx, endpoint, l.Region)
	if err != nil {
		return nil, err
	}
	if b.destinations == nil {
		b.destinations = make(map[string]*lambda.Destination)
	}
	d := lambda.NewDestination(lambda.DestinationOptions{
		Client: newQueueClient(cfg, endpoint), Queue: l.Destination, Board: b.board,
	})
	b.destinations[l.Destination] = d
	b.heard.sources = append(b.heard.sources, d)
	return d, nil
}

// queueEndpoint returns where the queue with that URL is on this machine, "" for one that is where the AWS SDK finds
// SQS.
func queueEndpoint(queue string) string {
	u, err := url.Parse(queue)
	if err != nil || !isLoopback(queue) {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// newQueueClient returns a client for a queue at that endpoint.
func newQueueClient(cfg aws.Config, endpoint string) *sqs.Client {
	return sqs.NewFromConfig(cfg, func(o *sqs.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})
}

// lambdaHTTP returns the deployment of a function that is called through a gateway.
func (b *targetBuilder) lambdaHTTP(ctx context.Context, l *config.Lambda) (replay.Deployment, error) {
	d := replay.Deployment{
		Name: lambdaTarget, Kind: "lambda over http", Address: withoutSecrets(l.HTTP.URL), Effects: b.effects(l.Effects),
	}
	opts := lambda.HTTPOptions{URL: l.HTTP.URL, Key: l.HTTP.Key, Header: l.HTTP.Headers, HTTP: b.http}
	if s := l.HTTP.Sign; s != nil {
		cfg, err := b.awsConfig(ctx, "", cmp.Or(s.Region, l.Region)) // a gateway on this machine checks signatures, too
		if err != nil {
			return d, err
		}
		opts.Sign = &lambda.Signing{Service: s.Service, Region: cfg.Region, Credentials: cfg.Credentials}
	}
	target, err := lambda.NewHTTP(opts)
	if err != nil {
		return d, err
	}
	d.Target = target
	return d, nil
}

// awsConfig finds region and credentials as every AWS SDK does. An embedded platform knows neither accounts nor
// regions, and needs no environment that has them.
func (b *targetBuilder) awsConfig(ctx context.Context, endpoint, region string) (aws.Config, error) {
	if isLoopback(endpoint) {
		return aws.Config{Region: cmp.Or(region, "us-east-1"), Credentials: aws.AnonymousCredentials{}, HTTPClient: b.http}, nil
	}
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = b.inFlight
		t.MaxConnsPerHost = 0
	})
	load := []func(*awsconfig.LoadOptions) error{awsconfig.WithHTTPClient(client)}
	if region != "" {
		load = append(load, awsconfig.WithRegion(region))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, load...)
	if err == nil && cfg.Region == "" {
		err = errors.New("which region? set region, or AWS_REGION")
	}
	// What the SDK was told to trust besides the system's certificates (AWS_CA_BUNDLE) only its own client knows.
	if own, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok && own.GetTransport().TLSClientConfig.RootCAs == nil {
		cfg.HTTPClient = b.http
	}
	return cfg, err
}
