package config

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
)

// checkStores returns an error when both sides would write to one store, as far as the config tells: when they have
// one recording endpoint. It also does when two functions are fired at through one queue, whose messages either would
// take, or through one container, whose blobs would fire both, or through one topic or event hub.
func (l *loader) checkStores(c *Config) error {
	lambda := make(map[string]string) // where the Lambda side's effects are, with what of which function says so
	other := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(c.Functions)) {
		f := c.Functions[name]
		if f.Lambda != nil {
			note(lambda, f.Lambda.Effects, "effects", name)
			note(lambda, f.Lambda.Endpoint, "endpoint", name)
			note(lambda, f.Lambda.httpURL(), "url", name)
		}
		if f.Functions != nil {
			note(other, f.Functions.Effects, "effects", name)
			note(other, f.Functions.Address(), "url", name)
		}
	}
	queues := make(map[[2]string]string)
	feeds := make(map[string]string) // functions, by where their events are sent
	buses := make(map[string]string)
	containers := make(map[[2]string]string)
	for _, name := range slices.Sorted(maps.Keys(c.Functions)) {
		f := c.Functions[name]
		if f.Lambda != nil && f.Lambda.Effects != "" {
			if owner, taken := other[origin(f.Lambda.Effects)]; taken {
				return l.fail(oneStore(f.Lambda.Effects, "functions", owner), "functions", name, "lambda", "effects")
			}
		}
		if f.Functions == nil {
			continue
		}
		if f.Functions.Effects != "" {
			if owner, taken := lambda[origin(f.Functions.Effects)]; taken {
				return l.fail(oneStore(f.Functions.Effects, "lambda", owner), "functions", name, "functions", "effects")
			}
		}
		if q := f.Functions.Queue; q != nil {
			place := [2]string{accountPlace(q.Account, "queue"), strings.ToLower(q.Name)}
			if owner, taken := queues[place]; taken {
				return l.fail(fmt.Errorf("queue: %s at %s is that of %s, too: either would take the other's messages",
					q.Name, place[0], owner), "functions", name, "functions", "queue")
			}
			queues[place] = name
		}
		if at, what := f.Functions.feed(); at != "" {
			if owner, taken := feeds[at]; taken {
				return l.fail(fmt.Errorf("%s: it is that of %s, too: either would get the other's events", what, owner),
					"functions", name, "functions", what)
			}
			feeds[at] = name
		}
		if s := f.Functions.ServiceBus; s != nil {
			if owner, taken := buses[s.place()]; taken {
				return l.fail(fmt.Errorf("servicebus: queue %s is that of %s, too: either would take the other's messages",
					s.Name, owner), "functions", name, "functions", "servicebus")
			}
			buses[s.place()] = name
		}
		if b := f.Functions.Blob; b != nil {
			place := [2]string{accountPlace(b.Account, "blob"), strings.ToLower(b.Container)}
			if owner, taken := containers[place]; taken && (b.watched() || c.Functions[owner].Functions.Blob.watched()) {
				return l.fail(fmt.Errorf("container: %s is that of %s, too: an upload for one would fire the other; give each "+
					"a container of its own", b.Container, owner), "functions", name, "functions", "blob", "container")
			}
			containers[place] = name
		}
	}
	return nil
}

// feed is where events are sent that everybody gets who reads there, and the key that says so; "" when there is none.
func (f *Functions) feed() (at, key string) {
	switch {
	case f.EventGrid != nil && f.EventGrid.Topic != nil:
		return origin(f.EventGrid.Topic.Endpoint), "eventgrid"
	case f.EventHub != nil:
		parts := connectionParts(f.EventHub.Connection)
		namespace := cmp.Or(parts["endpoint"], f.EventHub.Namespace)
		hub := strings.ToLower(cmp.Or(parts["entitypath"], f.EventHub.Name))
		return "sb://" + namespaceOf(namespace) + "/" + hub, "eventhub"
	}
	return "", ""
}

func note(owners map[string]string, address, key, function string) {
	if address != "" {
		owners[origin(address)] = key + " of " + function
	}
}

func oneStore(address, side, owner string) error {
	return fmt.Errorf("effects: %s is also the %s side's (%s): both would write to one store, and each be told of what "+
		"the other did; give each side a recording endpoint of its own", address, side, owner)
}

// Address is where the function itself is called, "" where it is not.
func (f *Functions) Address() string {
	switch {
	case f.HTTP != nil:
		return f.HTTP.URL
	case f.Handler != nil:
		return f.Handler.URL
	case f.EventGrid != nil:
		return f.EventGrid.URL
	case f.Blob != nil:
		return f.Blob.URL
	}
	return ""
}

// origin brings the addresses of one endpoint to one form: its scheme, host and port.
func origin(address string) string {
	address, _, _ = strings.Cut(address, "{") // of a path parameter
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if ip := net.ParseIP(host); host == "localhost" || ip.IsLoopback() || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Scheme) + "://" + net.JoinHostPort(host, port)
}
