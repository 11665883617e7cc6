package main

import (
	"math"
	"slices"
	"strings"
	"time"
)

// faults are all of the study.
func faults() []fault {
	all := slices.Concat(valueFaults(), roundingFaults(), typeFaults(), listFaults(), timeFaults(), encodingFaults(),
		errorFaults(), effectFaults())
	for i := range all {
		if all[i].seen == "" {
			all[i].seen = reported(all[i].place)
		}
	}
	return all
}

// reported writes a place as reports do.
func reported(place string) string {
	segments := strings.Split(place, "/")
	if segments[0] == "effects" {
		segments = append([]string{"effects", "*"}, segments[2:]...)
	}
	var path strings.Builder
	for i, s := range segments {
		if _, name, selects := strings.Cut(s, "="); selects {
			s = name
		}
		switch {
		case s == "http" && i+1 < len(segments) && segments[i+1] == "body", s == "json",
			s == "attributes" && segments[0] == "http":
			continue
		case s == "first" && i == len(segments)-1 && i > 1 && segments[i-2] == "headers":
			continue // of a header's lines, which are compared as one
		case s == "first":
			s = "*"
		}
		path.WriteString("/" + s)
	}
	return path.String()
}

// A fault is something that a port gets wrong.
type fault struct {
	name, class string
	// place is where, in the JSON form of an outcome: as find takes it.
	place  string
	mutate mutation
	// seen is where a comparison may see it, as its reports write paths; by default at or below the place.
	seen string
}

// Places of the sample application that several faults hit.
const (
	answered     = "http/body/json"
	stored       = "effects/kind=object.put/body/json"
	sent         = "effects/kind=message.send"
	orderMessage = "effects/resource=orders-queue"
	notification = "effects/resource=notifications-queue"
)

// onlyIn is the member of all bodies of effects that have it.
func onlyIn(member string) string { return "effects/*/body/json/" + member }

func valueFaults() []fault {
	total := answered + "/total"
	at := func(name, place string, c change) fault {
		return fault{name: name, class: "values", place: place, mutate: on(place, c)}
	}
	return []fault{
		at("total in cents", total, times(100)),
		at("total a hundredth", total, times(.01)),
		at("total without its sign", total, times(-1)),
		at("total is zero", total, to("0")),
		at("total off by a cent", total, plus(.01)),
		at("total with tax", total, times(1.19)),
		at("quantity off by one", answered+"/items/first/quantity", plus(1)),
		at("prices per hundred", answered+"/items/*/unitPrice", times(.01)),
		at("total in cents in the message alone", orderMessage+"/body/json/total", times(100)),
		at("stock in eight bits", onlyIn("stock"), numbers(func(x float64) float64 { return math.Mod(x, 256) })),
		at("price in cents in the catalog", onlyIn("price"), times(100)),
		at("always one currency", answered+"/currency", to(`"USD"`)),
		at("always one checkout", answered+"/checkout", to(`"open"`)),
		at("customer is empty", answered+"/customerId", to(`""`)),
		at("name of the first product", onlyIn("name"), to(`"Teapot"`)),
		at("session of another customer", "http/cookies/name=session/value", to(`"8f14e45fceea167a5a36dedd"`)),
	}
}

func roundingFaults() []fault {
	at := func(name, place string, c change) fault {
		return fault{name: name, class: "rounding", place: place, mutate: on(place, c)}
	}
	tenth := func(x float64) float64 { return math.Round(x*10) / 10 }
	return []fault{
		at("total rounded to whole", answered+"/total", numbers(math.Round)),
		at("total cut to whole", answered+"/total", numbers(math.Floor)),
		at("total rounded to one decimal", answered+"/total", numbers(tenth)),
		at("total as floats add up", answered+"/total", texts(floated)),
		at("price rounded to whole in the catalog", onlyIn("price"), numbers(math.Round)),
		{name: "total of the invoice cut to whole", class: "rounding", place: stored + "/total",
			mutate: having(onlyIn("issuedAt"), on(stored+"/total", numbers(math.Floor)))},
	}
}

func typeFaults() []fault {
	at := func(name, place string, c change) fault {
		return fault{name: name, class: "types", place: place, mutate: on(place, c)}
	}
	return []fault{
		at("total as text", answered+"/total", asTextOfItself),
		at("quantity as text", answered+"/items/*/quantity", asTextOfItself),
		at("price as text in the catalog", onlyIn("price"), asTextOfItself),
		at("null for no discounts", answered+"/discounts", emptied("null")),
		at("object for no tags", onlyIn("tags"), emptied("{}")),
		at("null for no lines", onlyIn("lines"), emptied("null")),
		at("one item without its list", answered+"/items", single),
		at("items as text", answered+"/items", asText),
		at("customer is null", answered+"/customerId", to("null")),
		at("error field is null", answered+"/error/field", to("null")),
		{name: "body as text of JSON", class: "types", place: answered, mutate: on(answered, asText), seen: "/body"},
	}
}

func listFaults() []fault {
	items := answered + "/items"
	at := func(class, name, place string, m mutation) fault {
		return fault{name: name, class: class, place: place, mutate: m}
	}
	return []fault{
		at("order", "items reversed", items, on(items, lists(2, reversed))),
		at("order", "items rotated", items, on(items, lists(2, rotated))),
		at("order", "items sorted", items, on(items, lists(2, byText))),
		at("order", "stored items reversed", stored+"/items", on(stored+"/items", lists(2, reversed))),
		at("loss", "last item lost", items, on(items, lists(1, lastLost))),
		at("loss", "first item lost", items, on(items, lists(1, firstLost))),
		at("loss", "currency lost", answered+"/currency", without(answered+"/currency")),
		at("loss", "note lost", answered+"/note", without(answered+"/note")),
		at("loss", "error field lost", answered+"/error/field", without(answered+"/error/field")),
		at("loss", "version header lost", "http/headers/x-order-version", without("http/headers/x-order-version")),
		at("loss", "second cookie lost", "http/cookies/name=region", without("http/cookies/name=region")),
		at("loss", "HttpOnly lost", "http/cookies/name=session/attributes/httponly",
			without("http/cookies/name=session/attributes/httponly")),
		at("loss", "body lost", "http/body", without("http/body")),
		at("duplication", "last item twice", items, on(items, lists(1, lastTwice))),
		at("duplication", "cookie twice", "http/cookies/name=region", twice("http/cookies/name=region")),
		at("duplication", "version header twice", "http/headers/x-order-version",
			on("http/headers/x-order-version", lists(1, lastTwice))),
		at("duplication", "order message twice", orderMessage, twice(orderMessage)),
		at("duplication", "notification twice", notification, twice(notification)),
	}
}

func timeFaults() []fault {
	at := func(name, place string, c change) fault {
		return fault{name: name, class: "time", place: place, mutate: on(place, c)}
	}
	created, issued := answered+"/createdAt", onlyIn("issuedAt")
	return []fault{
		at("local time without zone", created, laidOut("2006-01-02T15:04:05")),
		at("an hour later", created, shifted(time.Hour)),
		at("seconds since 1970", created, sinceEpoch),
		at("day and month swapped", created, laidOut("2006-02-01T15:04:05Z07:00")),
		at("invoice in another zone", issued, retimed(func(t time.Time) string {
			return t.In(time.FixedZone("", 3600)).Format(time.RFC3339)
		})),
		at("invoice with milliseconds", issued, laidOut("2006-01-02T15:04:05.000Z07:00")),
		at("invoice a day early", issued, shifted(-24*time.Hour)),
	}
}

func encodingFaults() []fault {
	at := func(name, place string, c change) fault {
		return fault{name: name, class: "encoding", place: place, mutate: on(place, c)}
	}
	name := onlyIn("name")
	binary := at("PDF as base64 text", "http/body", renamed("base64", "text"))
	binary.seen = "/body"
	return []fault{
		at("UTF-8 read as Latin-1", name, texts(misread)),
		at("question marks beyond ASCII", name, texts(asciiOnly)),
		at("accents apart from their letters", name, replaced("è", "e\u0300")),
		at("a byte order mark", answered+"/items/first/name", texts(func(s string) string { return "\ufeff" + s })),
		at("spaces as plus in the key's name", onlyIn("source"), replaced(" ", "+")),
		at("quotes escaped twice", answered+"/error/message", replaced(`"`, `\"`)),
		at("currency in lower case", answered+"/currency", texts(strings.ToLower)),
		at("media type of another charset", "http/headers/content-type/first",
			replaced("application/json", "application/json; charset=latin1")),
		at("a space at the end", answered+"/items/*/name", texts(func(s string) string { return s + " " })),
		binary,
	}
}

func errorFaults() []fault {
	at := func(name, place string, m mutation) fault {
		return fault{name: name, class: "errors", place: place, mutate: m}
	}
	status := "http/status"
	failed := at("fails where it did not", "status", all(on("status", to(`"function_error"`)), without("effects/*")))
	failed.mutate = where("status", "ok", failed.mutate)
	return []fault{
		at("200 for 201", status, where(status, "201", on(status, to("200")))),
		at("200 for 400", status, where(status, "400", on(status, to("200")))),
		at("422 for 400", status, where(status, "400", on(status, to("422")))),
		at("500 without a body for 404", status, where(status, "404", all(on(status, to("500")), without("http/body")))),
		at("inner message of an error", answered+"/error/message", on(answered+"/error/message",
			to(`"json: cannot unmarshal string into Go value"`))),
		at("another code of an error", answered+"/error/code", on(answered+"/error/code", to(`"bad_request"`))),
		failed,
		at("does not fail where it did", "status", where("status", "function_error", all(on("status", to(`"ok"`)), without("error")))),
		at("runs out of time", "status", where("status", "ok", all(on("status", to(`"timeout"`)), without("http"), without("records")))),
		at("bad message acknowledged", "records/*", on("records/*", replaced("retried", "acked"))),
		at("good message given back", "records/first", on("records/first", replaced("acked", "retried"))),
	}
}

func effectFaults() []fault {
	at := func(name, place string, m mutation) fault {
		return fault{name: name, class: "effects", place: place, mutate: m, seen: "/effects/*"}
	}
	key := "effects/kind=object.put/key"
	id := func(name, place string, c change) fault {
		return fault{name: name, class: "effects", place: place, mutate: on(place, c)}
	}
	return []fault{
		at("object not stored", "effects/kind=object.put", without("effects/kind=object.put")),
		at("order message not sent", orderMessage, without(orderMessage)),
		at("rejection not sent", "effects/resource=rejected-queue", without("effects/resource=rejected-queue")),
		at("notification not sent", notification, without(notification)),
		at("first product not stored", "effects/first", without("effects/first")),
		at("key without its ending", key, on(key, replaced(".json", ""))),
		at("key under another prefix", key, on(key, replaced("orders/", "order/"))),
		at("message to another queue", orderMessage+"/resource", on(orderMessage+"/resource", to(`"rejected-queue"`))),
		at("object of another media type", "effects/kind=object.put/attributes/content-type",
			on("effects/kind=object.put/attributes/content-type", to(`"text/plain"`))),
		at("object as text of JSON", stored, on(stored, asText)),
		at("customer of the message lost", sent+"/body/json/customerId", without(sent+"/body/json/customerId")),
		at("message about another order", orderMessage+"/body/json/orderId", on(orderMessage+"/body/json/orderId", freshOrder)),
		id("location of another order", "http/headers/location/first", freshOrder),
		{name: "always one ID in the answer", class: "effects", place: answered + "/orderId",
			mutate: on(answered+"/orderId", to(`"ord_AAAAAAAAAAAAAAAAAAAA"`)), seen: "/"},
		{name: "ID in lower case in the answer", class: "effects", place: answered + "/orderId",
			mutate: on(answered+"/orderId", texts(strings.ToLower)), seen: "/"},
	}
}
