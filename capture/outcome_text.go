package capture

import (
	"bytes"

	"tandem/capture/jsonval"
)

// An OutcomeText is the JSON form of an outcome, taken apart: what is short is read, and what may be long is left as
// text. Going over outcomes in this form takes a fraction of the time of reading them whole, which is what
// [OutcomeText.Outcome] does. Every slice is part of the text that was read, and nil where there is no such member.
type OutcomeText struct {
	Raw        []byte // all of it
	Status     Status
	HTTP       bool // whether there is an HTTP answer
	HTTPStatus int
	Headers    []byte // an object
	Cookies    []byte // a list
	Body       BodyText
	Result     BodyText
	Records    []byte // an object
	Error      []byte
	Tries      []byte

	DurationMS, PlatformMS, InitMS, BilledMS, MemoryMB float64
	Attempts                                           int

	Watched bool // whether the effects are known
	Effects []EffectText
}

// An EffectText is the JSON form of an effect, taken apart. Resource and Key are JSON strings.
type EffectText struct {
	Kind          EffectKind
	Resource, Key []byte
	Body          BodyText
	Attributes    []byte // an object; nil for none
}

// A BodyForm says which member of a body's JSON form has the content.
type BodyForm byte

const (
	NoBody BodyForm = iota
	JSONBody
	TextBody
	Base64Body
)

// A BodyText is the JSON form of a body.
type BodyText struct {
	Form   BodyForm
	Text   []byte          // the member's value
	Leaves int             // of a JSONBody: the values in it that are neither lists nor objects with something in them
	Names  jsonval.NameSet // of members at any depth in a JSONBody
	// Members are those of a JSONBody that is an object.
	Members []MemberText
}

// A MemberText is a member of an object.
type MemberText struct {
	Start  int    // where its name begins in the object
	Name   []byte // as it is written, in quotes
	Value  []byte
	Leaves int             // in Value
	Names  jsonval.NameSet // of members in Value
}

// Read reads an outcome that is written as [Outcome.AppendJSON] writes it, give or take white space and order, and
// gives up on what is not. The memory of o is used again. Like may be another outcome of the same invocation, which
// often has the same bodies.
func (o *OutcomeText) Read(r *jsonval.Reader, like *OutcomeText) {
	*o = OutcomeText{Effects: o.Effects[:0], Body: o.Body.empty(), Result: o.Result.empty()}
	start := r.Next()
	var seen outcomeMembers
	r.Object(func(name []byte) {
		switch string(name) {
		case "status":
			seen.once(r, 0)
			o.Status = Status(r.TextOf(string(StatusOK), string(StatusFunctionError), string(StatusTimeout)))
		case "http":
			seen.once(r, 1)
			if o.HTTP = !r.Null(); o.HTTP {
				o.readAnswer(r, like)
			}
		case "result":
			seen.once(r, 2)
			o.Result.read(r, &like.Result)
		case "records":
			seen.once(r, 3)
			o.Records = r.RawUnlessNull()
		case "error":
			seen.once(r, 4)
			o.Error = r.RawUnlessNull()
		case "durationMs":
			seen.once(r, 5)
			o.DurationMS = r.Float()
		case "platformMs":
			seen.once(r, 6)
			o.PlatformMS = r.Float()
		case "initMs":
			seen.once(r, 7)
			o.InitMS = r.Float()
		case "billedMs":
			seen.once(r, 8)
			o.BilledMS = r.Float()
		case "memoryMb":
			seen.once(r, 9)
			o.MemoryMB = r.Float()
		case "attempts":
			seen.once(r, 10)
			o.Attempts = int(r.Int())
		case "tries":
			seen.once(r, 11)
			o.Tries = r.RawUnlessNull()
		case "effects":
			seen.once(r, 12)
			if o.Watched = !r.Null(); o.Watched {
				o.readEffects(r, like)
			}
		default:
			r.GiveUp()
		}
	})
	if r.Ok() {
		o.Raw = r.Data[start:r.At]
	}
}

// outcomeMembers are those of an object that were read. Of one that is there twice, encoding/json makes something of
// both.
type outcomeMembers uint32

func (m *outcomeMembers) once(r *jsonval.Reader, i int) {
	if *m&(1<<i) != 0 {
		r.GiveUp()
	}
	*m |= 1 << i
}

func (o *OutcomeText) readAnswer(r *jsonval.Reader, like *OutcomeText) {
	var seen outcomeMembers
	r.Object(func(name []byte) {
		switch string(name) {
		case "status":
			seen.once(r, 0)
			o.HTTPStatus = int(r.Int())
		case "headers":
			seen.once(r, 1)
			o.Headers = r.RawUnlessNull()
		case "cookies":
			seen.once(r, 2)
			o.Cookies = r.RawUnlessNull()
		case "body":
			seen.once(r, 3)
			o.Body.read(r, &like.Body)
		default:
			r.GiveUp()
		}
	})
}

// empty returns a body without anything, with the memory of b.
func (b *BodyText) empty() BodyText { return BodyText{Members: b.Members[:0]} }

func (b *BodyText) read(r *jsonval.Reader, like *BodyText) {
	if r.Null() {
		return
	}
	r.Object(func(name []byte) {
		if b.Form != NoBody {
			r.GiveUp()
			return
		}
		switch string(name) {
		case "json":
			b.Form = JSONBody
			b.readJSON(r, like)
		case "text":
			b.Form, b.Text = TextBody, r.RawText()
		case "base64":
			b.Form, b.Text = Base64Body, r.RawText()
		default:
			r.GiveUp()
		}
	})
	if b.Form == NoBody {
		r.GiveUp()
	}
}

// readJSON reads JSON. What is written as in another body was read before.
func (b *BodyText) readJSON(r *jsonval.Reader, like *BodyText) {
	start := r.Next()
	switch {
	case like.Form == JSONBody && r.Begins(like.Text):
		b.Leaves, b.Names = like.Leaves, like.Names
		b.Members = append(b.Members, like.Members...)
	case r.IsObject():
		r.Members(func(name []byte) {
			k := len(b.Members)
			b.Members = append(b.Members, MemberText{Start: r.At - start - len(name), Name: name})
			m := &b.Members[k]
			r.Colon()
			if k < len(like.Members) && bytes.Equal(name, like.Members[k].Name) && r.Begins(like.Members[k].Value) {
				m.Value, m.Leaves, m.Names = like.Members[k].Value, like.Members[k].Leaves, like.Members[k].Names
			} else {
				m.Value, m.Leaves = r.RawLeaves(&m.Names)
			}
			b.Leaves += m.Leaves
			b.Names.Add(name[1 : len(name)-1])
			b.Names |= m.Names
		})
		b.Leaves = max(b.Leaves, 1)
	default:
		b.Text, b.Leaves = r.RawLeaves(&b.Names)
		return
	}
	if r.Ok() {
		b.Text = r.Data[start:r.At:r.At]
	}
}

func (o *OutcomeText) readEffects(r *jsonval.Reader, like *OutcomeText) {
	r.Array(func() {
		k := len(o.Effects)
		if k < cap(o.Effects) {
			o.Effects = o.Effects[:k+1] // with memory of an earlier one
		} else {
			o.Effects = append(o.Effects, EffectText{})
		}
		e := &o.Effects[k]
		*e = EffectText{Body: e.Body.empty()}
		var seen outcomeMembers
		var none BodyText
		same := &none
		if k < len(like.Effects) {
			same = &like.Effects[k].Body
		}
		r.Object(func(name []byte) {
			switch string(name) {
			case "kind":
				seen.once(r, 0)
				e.Kind = EffectKind(r.TextOf(string(ObjectPut), string(ObjectDelete), string(MessageSend)))
			case "resource":
				seen.once(r, 1)
				e.Resource = r.RawText()
			case "key":
				seen.once(r, 2)
				e.Key = r.RawText()
			case "body":
				seen.once(r, 3)
				e.Body.read(r, same)
			case "attributes":
				seen.once(r, 4)
				e.Attributes = r.RawUnlessNull()
			default:
				r.GiveUp()
			}
		})
	})
}
