// Package jsonval reads JSON into trees that keep what comparing two clouds needs and encoding/json gives up: the text
// of numbers, the order and the repetition of member names, and strings that are not valid Unicode.
//
// Numbers are compared by value without going through a float: 1.0 equals 1, and 2^53+1 does not equal 2^53. A lone
// surrogate escape becomes the three bytes that UTF-8 would use for it, and invalid UTF-8 in the input is kept as it
// is, so that two different broken strings stay different.
package jsonval
