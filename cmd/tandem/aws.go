package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
	"github.com/spf13/cobra"
)

// awsFlags are the flags of commands that ask AWS.
type awsFlags struct{ region, profile, endpoint string }

func (f *awsFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.region, "region", "", "AWS `region` (default as the AWS CLI has it)")
	cmd.Flags().StringVar(&f.profile, "profile", "", "AWS `profile` (default as the AWS CLI has it)")
	cmd.Flags().StringVar(&f.endpoint, "endpoint", "", "`URL` of the service, if not AWS's")
}

// config finds region and credentials as every AWS SDK does, and makes sure that there are some. A server on this
// machine needs none.
func (f awsFlags) config(ctx context.Context) (aws.Config, error) {
	if isLoopback(f.endpoint) {
		return aws.Config{Region: cmp.Or(f.region, "us-east-1"), Credentials: aws.AnonymousCredentials{}}, nil
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(f.region),
		awsconfig.WithSharedConfigProfile(f.profile), awsconfig.WithLogger(logging.Nop{}))
	if err == nil && cfg.Region == "" {
		err = errors.New("which region? give --region, or set AWS_REGION")
	}
	if err != nil {
		return cfg, err
	}
	// Without credentials each request fails as if the network were down, and is tried again and again.
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return cfg, fmt.Errorf("no AWS credentials: give --profile, set AWS_PROFILE, or log in with the AWS CLI: %w", err)
	}
	return cfg, nil
}
