package capture

// An EffectKind says what was done to the world.
type EffectKind string

const (
	ObjectPut    EffectKind = "object.put"
	ObjectDelete EffectKind = "object.delete"
	MessageSend  EffectKind = "message.send"
)

// An Effect is one thing that a function did to the world. Two deployments that do the same have equal effects,
// whatever the cloud: the resource is the logical name that the config gives to a bucket and its container, or a
// queue and its counterpart, and the key and the body are decoded.
type Effect struct {
	Kind EffectKind `json:"kind"`
	// Resource is the logical name from the config, or, for what the config does not name, a URL: "s3://bucket",
	// "sqs://queue", "azblob://account/container", "azqueue://account/queue".
	Resource string `json:"resource"`
	// Key is an object's key, or a message's group. Messages outside a group have none.
	Key        string            `json:"key,omitempty"`
	Body       *Body             `json:"body,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"` // content-type, metadata.<name>, message attributes
}
