// Package functions fires invocations at Azure Functions: HTTP triggers through their URL, and functions with queue
// and blob triggers straight through the custom handler that runs them.
package functions
