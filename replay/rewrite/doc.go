// Package rewrite changes single places of events before they are sent: names, hosts, tokens, times, IDs. All bytes
// of an event that no rule changes stay as they are.
package rewrite
