package main

import (
	"cmp"

	"tandem/config"
	"tandem/replay"
	"tandem/replay/functions"
)

// eventGrid returns the deployment of a function with an Event Grid trigger.
func (b *targetBuilder) eventGrid(name string, f *config.Functions) (replay.Deployment, error) {
	d := replay.Deployment{Name: functionsTarget, Kind: "eventgrid", Effects: b.effects(f.Effects)}
	g := f.EventGrid
	function := cmp.Or(g.Function, name)
	opts := functions.EventGridOptions{
		URL: g.URL, Function: function, Key: g.Key, Accepts: g.Answer == "none", Board: b.board, HTTP: b.http,
		GridMapping: functions.GridMapping{
			Schema: g.Schema, Data: g.Data, Type: g.Type, Subject: g.Subject, Source: g.Source,
		},
	}
	d.Address = withoutSecrets(g.URL) + "/" + function
	if g.Topic != nil {
		opts.Topic, opts.TopicKey = g.Topic.Endpoint, g.Topic.Key
		d.Address = withoutSecrets(g.Topic.Endpoint)
	}
	var err error
	d.Target, err = functions.NewEventGrid(opts)
	return d, err
}
