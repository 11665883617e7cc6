package effects

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Names are one resource's names on the two clouds: "s3://bucket" with "azblob://account/container", or "sqs://queue"
// with "azqueue://account/queue". One of the two may be empty.
type Names struct {
	AWS   string `yaml:"aws" json:"aws"`
	Azure string `yaml:"azure" json:"azure"`
}

// Resources maps logical names to the names that the clouds know.
type Resources map[string]Names

// Validate returns an error that names every entry that cannot be used: a name in a wrong form, a bucket beside a
// queue, or a name that two entries claim.
func (r Resources) Validate() error {
	var errs []error
	owner := make(map[string]string)
	for _, logical := range slices.Sorted(maps.Keys(r)) {
		names := r[logical]
		if err := names.validate(logical); err != nil {
			errs = append(errs, fmt.Errorf("resource %q: %w", logical, err))
			continue
		}
		for _, name := range []string{names.AWS, names.Azure} {
			if other, taken := owner[name]; taken && name != "" {
				errs = append(errs, fmt.Errorf("resource %q: %s is also %q", logical, name, other))
			}
			owner[name] = logical
		}
	}
	return errors.Join(errs...)
}

func (n Names) validate(logical string) error {
	switch {
	case logical == "":
		return errors.New("it needs a name")
	case strings.Contains(logical, "://"):
		return errors.New(`a name with "://" could be taken for a URL`)
	case n.AWS == "" && n.Azure == "":
		return errors.New("it has neither an aws nor an azure name")
	}
	awsScheme, bucket, ok := strings.Cut(n.AWS, "://")
	if n.AWS != "" && (!ok || awsScheme != "s3" && awsScheme != "sqs" || !isName(bucket)) {
		return fmt.Errorf("aws: %q is neither s3://BUCKET nor sqs://QUEUE", n.AWS)
	}
	azureScheme, path, ok := strings.Cut(n.Azure, "://")
	account, container, _ := strings.Cut(path, "/")
	if n.Azure != "" &&
		(!ok || azureScheme != "azblob" && azureScheme != "azqueue" || !isName(account) || !isName(container)) {
		return fmt.Errorf("azure: %q is neither azblob://ACCOUNT/CONTAINER nor azqueue://ACCOUNT/QUEUE", n.Azure)
	}
	if n.AWS != "" && n.Azure != "" && (awsScheme == "s3") != (azureScheme == "azblob") {
		return fmt.Errorf("%s and %s: one is a queue and the other is not", n.AWS, n.Azure)
	}
	return nil
}

func isName(s string) bool { return s != "" && !strings.ContainsAny(s, "/?# \t\r\n") }

// A directory finds the logical names of what requests name.
type directory struct {
	logical map[string]string // by URL, and by "azblob://name" and "azqueue://name" where only one account has it
	names   Resources
}

// newDirectory fails if r is not valid.
//
// An endpoint answers for whatever account the connection string says, which need not be the account of the config:
// one local account commonly stands for all of them. So a container or queue is looked up with its account first,
// and then by its name alone if only one resource has that name.
func newDirectory(r Resources) (directory, error) {
	if err := r.Validate(); err != nil {
		return directory{}, err
	}
	d := directory{logical: make(map[string]string), names: maps.Clone(r)}
	owners := make(map[string]int)
	for logical, names := range r {
		for _, url := range []string{names.AWS, names.Azure} {
			if url != "" {
				d.logical[url] = logical
			}
		}
		if names.Azure != "" {
			short := withoutAccount(names.Azure)
			owners[short]++
			d.logical[short] = logical
		}
	}
	for short, n := range owners {
		if n > 1 {
			delete(d.logical, short)
		}
	}
	return d, nil
}

// resource returns the logical name of a URL of the forms in [Names], or the URL if it has none.
func (d directory) resource(url string) string {
	if logical, ok := d.logical[url]; ok {
		return logical
	}
	if strings.HasPrefix(url, "az") {
		if logical, ok := d.logical[withoutAccount(url)]; ok {
			return logical
		}
	}
	return url
}

// bucketResource is resource for the Bucket of a [capture.Object], which is an S3 name or, for a container that has
// none, a URL.
func (d directory) bucketResource(bucket string) string {
	if !strings.Contains(bucket, "://") {
		bucket = "s3://" + bucket
	}
	return d.resource(bucket)
}

// bucket is the inverse of bucketResource.
func (d directory) bucket(resource string) string {
	if names, ok := d.names[resource]; ok {
		if names.AWS == "" {
			return names.Azure
		}
		resource = names.AWS
	}
	return strings.TrimPrefix(resource, "s3://")
}

func withoutAccount(url string) string {
	scheme, path, _ := strings.Cut(url, "://")
	_, name, _ := strings.Cut(path, "/")
	return scheme + "://" + name
}
