package main

import (
	"cmp"

	"tandem/config"
	"tandem/replay"
	"tandem/replay/functions"
)

// withoutRecorder is added to the kind of a target that sends events of which nobody tells.
const withoutRecorder = " without a recorder: outcomes stay unknown"

// eventGrid returns the deployment of a function with an Event Grid trigger.
func (b *targetBuilder) eventGrid(name string, f *config.Functions) (replay.Deployment, error) {
	d := replay.Deployment{Name: functionsTarget, Kind: "eventgrid", Effects: b.effects(f.Effects)}
	g := f.EventGrid
	function := cmp.Or(g.Function, name)
	opts := functions.EventGridOptions{
		URL: g.URL, Function: function, Key: g.Key, Accepts: g.Answer == "none", HTTP: b.http,
		GridMapping: functions.GridMapping{
			Schema: g.Schema, Data: g.Data, Type: g.Type, Subject: g.Subject, Source: g.Source,
		},
	}
	d.Address = withoutSecrets(g.URL) + "/" + function
	if g.Topic != nil {
		opts.Topic, opts.TopicKey = g.Topic.Endpoint, g.Topic.Key
		d.Address = withoutSecrets(g.Topic.Endpoint)
	}
	if f.Completion.TellsOfEvents() {
		opts.Board = b.board
	} else if g.Topic != nil || opts.Accepts {
		d.Kind += withoutRecorder
	}
	var err error
	d.Target, err = functions.NewEventGrid(opts)
	return d, err
}
