package main

import (
	"errors"

	"tandem/config"
	"tandem/replay"
)

func (b *targetBuilder) blob(name string, f *config.Functions) (replay.Deployment, error) {
	return replay.Deployment{}, errors.New("blob: it cannot be fired at yet")
}
