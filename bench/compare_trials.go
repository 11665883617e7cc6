package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"tandem/capture/journal"
)

// order2K is an answer of 2 KB. Who makes it shows in fields that rules cover.
func order2K(i int, side string) string {
	at := map[string]string{"lambda": "2026-11-23T05:13:24.120Z", "functions": "2026-11-23T05:13:24.871Z"}[side]
	const form = `{"orderId":"%s_%07d","requestId":"%s-%08x","createdAt":%q,"score":%d.%d,` +
		`"customer":{"id":"c-%d","name":"Erika Mustermann","email":"erika@example.com",` +
		`"address":{"street":"Heidestraße 17","city":"Köln","zip":"51147"}},` +
		`"lines":[%s],"total":%d.50,"currency":"EUR","status":"accepted","note":null}`
	return fmt.Sprintf(form, side[:3], i, side, i*7919, at, i%100, len(side), i%1000, orderLines(i, 10), i%5000)
}

func orderLines(i, n int) string {
	const form = `{"sku":"A-%d-%d","title":"A thing that is sold by the dozen, in blue","quantity":%d,` +
		`"unitPrice":"%d.50","discounts":[],"tags":["fragile","new"],"inStock":true}`
	list := make([]string, n)
	for k := range list {
		list[k] = fmt.Sprintf(form, i%97, k, i%5+1, k+3)
	}
	return strings.Join(list, ",")
}

// ruledTrial is a trial whose outcomes are equal but for fields that rules cover.
func ruledTrial(i int) string {
	const form = `{"status":"ok","http":{"status":201,"headers":{"content-type":["application/json"],` +
		`"location":["/orders/%s_%07d"],%q:["%08x"]},"body":{"json":%s}},` +
		`"durationMs":%d.25,"attempts":1,"effects":null}`
	side := func(name, trace string) string {
		return fmt.Sprintf(form, name[:3], i, trace, i, order2K(i, name), 5+i%20)
	}
	return trialOf(i, side("functions", "x-ms-request-id"), side("lambda", "x-amzn-trace-id"))
}

// equalTrial is a trial whose outcomes are equal byte for byte, with n lines of an order.
func equalTrial(i, n int) string {
	const form = `{"status":"ok","http":{"status":200,"headers":{"content-type":["application/json"]},` +
		`"body":{"json":{"n":%d,"lines":[%s]}}},"durationMs":5.25,"attempts":1,"effects":null}`
	side := fmt.Sprintf(form, i, orderLines(i, n))
	return trialOf(i, side, side)
}

// smallTrial has a value in each answer that a rule would pair.
func smallTrial(i int) string {
	const form = `{"status":"ok","http":{"status":200,"body":{"json":{"orderId":"%s_%08d","n":%d}}},` +
		`"durationMs":%d.5,"effects":null}`
	side := func(name string) string { return fmt.Sprintf(form, name[:3], i, i%1000, i%100+1) }
	return trialOf(i, side("functions"), side("lambda"))
}

func trialOf(i int, functions, lambda string) string {
	const form = `{"n":%d,"invocation":"01K%09d","function":"create-order","trigger":"http","format":"apigw-v2",` +
		`"shape":"3fa9","lane":"","time":"2026-11-23T05:13:24Z","outcomes":{"functions":%s,"lambda":%s}}`
	return fmt.Sprintf(form, i, i, functions, lambda)
}

func writeLines(path string, n int, line func(i int) string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 1<<20)
	for i := range n {
		w.WriteString(line(i)) // an error comes again with Flush
		w.WriteByte('\n')
	}
	return errors.Join(w.Flush(), file.Close())
}

// writeRun writes trials as a replay does.
func writeRun(dir string, n int, line func(i int) string) error {
	w, err := journal.Create(dir, "trials", journal.WriterOptions{})
	if err != nil {
		return err
	}
	for i := range n {
		if err := w.Append([]byte(line(i))); err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return errors.Join(w.Flush(), w.Close())
}
