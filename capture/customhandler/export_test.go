package customhandler

// IsReplayed is for tests of what cannot be told by a bench of whole calls alone.
func IsReplayed(r *Request, trigger string) bool { return r.isReplayed(trigger) }
