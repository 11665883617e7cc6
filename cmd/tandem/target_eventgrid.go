package main

import (
	"errors"

	"tandem/config"
	"tandem/replay"
)

func (b *targetBuilder) eventGrid(name string, f *config.Functions) (replay.Deployment, error) {
	return replay.Deployment{}, errors.New("eventgrid: it cannot be fired at yet")
}
