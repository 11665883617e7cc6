// Package completion learns what became of what was fired at a trigger that answers nobody.
//
// Who fires a queue, a blob or an event trigger hears at most that the event was taken. What the function made of it is
// heard elsewhere, later, perhaps twice and perhaps never: from the recorder beside the function's handler, from the
// host's log, from a dead-letter queue, from the stores that the function writes to. Each of these is a [Source]. It
// hands [Report] values to a [Board], which brings them to whoever fired what they are about.
//
// A target tells the board what it is about to fire with [Board.Expect], fires, and waits with [Wait.Await] until the
// reports settle it or its time is over. What is not known then is not known: silence proves nothing.
package completion
