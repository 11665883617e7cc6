// Package inspect tells what is in a recording, in memory that does not grow with it but with the number of distinct
// functions and shapes.
package inspect
