// Package distill makes small recordings of large ones: it keeps the fewest invocations that still have every
// [Class], which is a function, a shape and a kind of outcome. It also merges, filters and splits recordings.
//
// It reads twice. [Scan] finds what to keep and makes sure that nothing stands in the way, so that nothing has to be
// created before; [Plan.Write] copies. Memory grows with the number of classes, not with the recordings, but when
// everything is kept and split it also grows with the lanes that batches tie together.
package distill
