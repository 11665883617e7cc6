package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"
)

// Completion says where it is heard what became of what was fired at a trigger that answers nobody.
type Completion struct {
	Recorder *Recorder `yaml:"recorder"`
	Logs     *Logs     `yaml:"logs"`
	// Quiet is refused: there is no use of it that can be trusted.
	Quiet    *Quiet `yaml:"quiet"`
	Deadline string `yaml:"deadline"` // for each outcome, such as 2m; default: the replay's --timeout
}

// Recorder is where recorders beside the handlers of the app post to.
type Recorder struct {
	Listen  string `yaml:"listen"` // host:port
	Token   string `yaml:"token"`  // that they have to know; may be left out on loopback
	TLSCert string `yaml:"tlsCert"`
	TLSKey  string `yaml:"tlsKey"`
}

// Logs is the event hub that a diagnostic setting sends FunctionAppLogs to. Either Connection or Namespace is set.
type Logs struct {
	Connection    string `yaml:"connection"` // a connection string
	Namespace     string `yaml:"namespace"`  // its host name, with the credentials of the Azure SDK
	Hub           string `yaml:"hub"`        // may be left out where the connection string has it
	ConsumerGroup string `yaml:"consumerGroup"`
}

// Quiet would take a function that has done something, and then nothing more, for one that succeeded.
type Quiet struct {
	For string `yaml:"for"`
}

func (c *Completion) validate() error {
	if c.Quiet != nil {
		return errors.New("quiet: effects show that a function began, not that it succeeded, and on Azure nothing tells " +
			"whose they are; use recorder or logs")
	}
	if d, err := c.After(); err != nil || d < 0 || d == 0 && c.Deadline != "" {
		return fmt.Errorf("deadline: %q is not a duration such as 2m", c.Deadline)
	}
	if c.Recorder != nil {
		if err := c.Recorder.validate(); err != nil {
			return fmt.Errorf("recorder.%w", err)
		}
	}
	if c.Logs != nil {
		if err := c.Logs.validate(); err != nil {
			return fmt.Errorf("logs.%w", err)
		}
	}
	return nil
}

// TellsOfEvents says that it is heard what became of events of Event Grid and Event Hubs: logs do not name them.
func (c *Completion) TellsOfEvents() bool { return c != nil && c.Recorder != nil }

// After is the deadline, 0 when there is none.
func (c *Completion) After() (time.Duration, error) {
	if c.Deadline == "" {
		return 0, nil
	}
	return time.ParseDuration(c.Deadline)
}

func (r *Recorder) validate() error {
	host, _, err := net.SplitHostPort(r.Listen)
	if err != nil {
		return fmt.Errorf("listen: %q is not host:port", r.Listen)
	}
	if ip := net.ParseIP(host); r.Token == "" && host != "localhost" && !ip.IsLoopback() {
		return fmt.Errorf("token: it is missing, and %s is not a loopback address", r.Listen)
	}
	if (r.TLSCert == "") != (r.TLSKey == "") {
		return errors.New("tlsKey: tlsCert and tlsKey go together")
	}
	return nil
}

func (l *Logs) validate() error {
	switch {
	case (l.Connection == "") == (l.Namespace == ""):
		return errors.New("namespace: give either connection or namespace")
	case l.Hub == "" && !strings.Contains(l.Connection, "EntityPath="):
		return errors.New("hub: it is missing")
	}
	return nil
}

// checkCompletions returns an error when a function that answers is told to be heard of elsewhere, or when two listen
// at one address in different ways.
func (l *loader) checkCompletions(c *Config) error {
	listeners := make(map[string]Recorder)
	for _, name := range slices.Sorted(maps.Keys(c.Functions)) {
		f := c.Functions[name].Functions
		if f == nil || f.Completion == nil {
			continue
		}
		at := []any{"functions", name, "functions", "completion"}
		if f.HTTP != nil || f.Handler != nil {
			return l.fail(errors.New("completion: who calls this function is answered by it"), at...)
		}
		if g := f.EventGrid; g != nil && g.Topic == nil && g.Answer != "none" {
			return l.fail(errors.New("completion: the webhook of the app at eventgrid.url answers when the function has "+
				"ended; leave it out, or give eventgrid answer: none where the app answers before"), at...)
		}
		r := f.Completion.Recorder
		if r == nil {
			continue
		}
		if other, taken := listeners[r.Listen]; taken && other != *r {
			return l.fail(fmt.Errorf("recorder: %s is listened at for another function with another token or certificate",
				r.Listen), append(at, "recorder")...)
		}
		listeners[r.Listen] = *r
	}
	return nil
}
