package config

// Completion says where it is heard what became of what was fired at a trigger that answers nobody.
type Completion struct{}

func (c *Completion) validate() error { return nil }
