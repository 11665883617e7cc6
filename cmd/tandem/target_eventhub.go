package main

import (
	"errors"

	"tandem/config"
	"tandem/replay"
)

func (b *targetBuilder) eventHub(f *config.Functions) (replay.Deployment, error) {
	return replay.Deployment{}, errors.New("eventhub: it cannot be fired at yet")
}
