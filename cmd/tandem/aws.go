package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"
)

// awsFlags are the flags of commands that ask AWS.
type awsFlags struct{ region, profile, endpoint string }

func (f *awsFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.region, "region", "", "AWS `region` (default as the AWS CLI has it)")
	cmd.Flags().StringVar(&f.profile, "profile", "", "AWS `profile` (default as the AWS CLI has it)")
	cmd.Flags().StringVar(&f.endpoint, "endpoint", "", "`URL` of the service, if not AWS's")
}

// config finds region and credentials as every AWS SDK does. A server on this machine needs none.
func (f awsFlags) config(ctx context.Context) (aws.Config, error) {
	if isLoopback(f.endpoint) {
		return aws.Config{Region: cmp.Or(f.region, "us-east-1"), Credentials: aws.AnonymousCredentials{}}, nil
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(f.region),
		awsconfig.WithSharedConfigProfile(f.profile))
	if err == nil && cfg.Region == "" {
		err = errors.New("which region? give --region, or set AWS_REGION")
	}
	return cfg, err
}
