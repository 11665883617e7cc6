// Package sqstap makes invocations of the messages in a tap queue: a second queue that gets what the production queue
// gets. It batches them as the production queue's event source mapping does, and writes the event that the function
// gets from it.
package sqstap
