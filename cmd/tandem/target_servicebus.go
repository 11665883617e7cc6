package main

import (
	"errors"

	"tandem/config"
	"tandem/replay"
)

func (b *targetBuilder) serviceBus(f *config.Functions) (replay.Deployment, error) {
	return replay.Deployment{}, errors.New("servicebus: it cannot be fired at yet")
}
