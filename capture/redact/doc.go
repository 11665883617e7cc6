// Package redact keeps secrets out of recordings.
//
// A [Redactor] replaces credentials in an invocation before it is written, wherever they are: in headers, cookies and
// queries by their names, in JSON at any depth by the names of members, and in any text by their form. It looks into
// JSON inside strings, base64, gzip, form data and URLs. [Rule] adds names, places and forms, such as e-mail
// addresses, or exempts some.
//
// A value is replaced by a keyed token of a like form: a card number by digits with a valid check digit, a JWT by
// three parts that can be decoded. Equal values get equal tokens, wherever they are and however they are encoded.
// Nobody who lacks the key can tell from a token whether it stands for a value that they have in mind. All else stays
// byte for byte, but for lengths and hashes of content that did change.
//
// Tokens show what they are ("redacted…", "facade00…", 9s) and are left alone, under any key, when they are redacted
// again.
package redact
