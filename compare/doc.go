// Package compare turns a run into a verdict: parity, differs or inconclusive, with the evidence.
//
// Each trial has the outcomes of two targets, the baseline and the candidate. Both are brought to one [document]
// whose places have JSON pointers: /status, /http/headers/location, /body/total, /records/<message id>,
// /effects/0/body. Then, in this order:
//
//   - aliases name the values that each side generates afresh, so that an ID is the same ID wherever it turns up
//     (matcher, renaming);
//   - effects are aligned: writes by resource and key, messages as a multiset for a resource, in order in a group
//     (aligner);
//   - [Rule]s take as equal what people have declared to be equal, and count what they took (reconciler);
//   - what is left unequal is explained as [Difference]s, and these are gathered into [Cluster]s by likely cause.
//
// Rules never silence what they do not name, and every [Report] says what each of them allowed and how much is no
// longer checked. A trial with an outcome that is not known is inconclusive, never equal.
//
// Most outcomes match, and that they do is proved from their texts, without documents: see shortcut. Where it cannot
// be, what is above happens. What is counted and reported is the same.
//
// A report does not depend on the number of cores or on the order of the trials.
package compare
