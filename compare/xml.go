package compare

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"tandem/capture/jsonval"
)

const (
	maxXMLDepth = 500
	maxXMLNodes = 500_000 // elements and attributes
)

var (
	errXMLTooLarge  = errors.New("XML with too many elements, or nested too deep")
	errXMLTwice     = errors.New("XML with an attribute twice")
	errXMLRoot      = errors.New("XML without one root element")
	errXMLInstructs = errors.New("XML with a document type or instructions for applications")
)

// parseXML reads an XML document as a tree in which what means nothing is gone: prefixes of namespaces, the order of
// attributes, comments, CDATA sections and entities as ways to write text, and white space between elements where no
// text is among them and xml:space does not keep it.
//
// An element is an object. The member with its local name has its content: a text, or a list of elements and texts.
// "@xmlns" has its namespace where it is another than that of the element around it, and "@name" an attribute.
// "@xmlns:p" has what the prefix p stands for where texts or attributes of the element seem to use it, as xsi:type
// does. A document type is refused, so no entity but the five that XML knows is ever expanded, and nothing is
// fetched.
func parseXML(text []byte) (jsonval.Value, error) {
	p := xmlParser{dec: xml.NewDecoder(bytes.NewReader(text))}
	p.dec.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // it is decoded
	var root *jsonval.Value
	for {
		token, err := p.dec.Token()
		if errors.Is(err, io.EOF) {
			if root == nil {
				return jsonval.Value{}, errXMLRoot
			}
			return *root, nil
		}
		if err != nil {
			return jsonval.Value{}, fmt.Errorf("reading XML: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if root != nil {
				return jsonval.Value{}, errXMLRoot
			}
			v, err := p.element(t, "", false, 0)
			if err != nil {
				return jsonval.Value{}, err
			}
			root = &v
		case xml.CharData:
			if !blank(t) {
				return jsonval.Value{}, errXMLRoot
			}
		case xml.ProcInst:
			if t.Target != "xml" {
				return jsonval.Value{}, errXMLInstructs
			}
		case xml.Directive:
			return jsonval.Value{}, errXMLInstructs
		}
	}
}

type xmlParser struct {
	dec    *xml.Decoder
	nodes  int
	scopes []xml.Attr // the prefixes that are declared, the innermost last
}

// element reads on after a start tag. Around is the namespace of the element around it, and keep whether white space
// is to be kept.
func (p *xmlParser) element(start xml.StartElement, around string, keep bool, depth int) (jsonval.Value, error) {
	p.nodes += 1 + len(start.Attr)
	if depth > maxXMLDepth || p.nodes > maxXMLNodes {
		return jsonval.Value{}, errXMLTooLarge
	}
	v := object(1 + len(start.Attr))
	v.Add(start.Name.Local, jsonval.Value{})
	if start.Name.Space != around {
		v.Add("@xmlns", jsonval.Text(start.Name.Space))
	}
	outer := len(p.scopes)
	defer func() { p.scopes = p.scopes[:outer] }()
	for _, a := range start.Attr {
		switch {
		case a.Name.Space == "xmlns":
			p.scopes = append(p.scopes, a)
			continue
		case a.Name.Space == "" && a.Name.Local == "xmlns":
			continue
		}
		name := "@" + a.Name.Local
		if a.Name.Space != "" {
			name = "@{" + a.Name.Space + "}" + a.Name.Local
		}
		if a.Name.Space == "http://www.w3.org/XML/1998/namespace" && a.Name.Local == "space" {
			keep = a.Value == "preserve"
		}
		if _, twice := v.Get(name); twice {
			return v, errXMLTwice
		}
		v.Add(name, jsonval.Text(a.Value))
	}
	var err error
	if v.Elems[0], err = p.content(start.Name.Space, keep, depth); err != nil {
		return v, err
	}
	p.addPrefixes(&v)
	return v, nil
}

// addPrefixes adds what those prefixes stand for that texts of the element may use.
func (p *xmlParser) addPrefixes(v *jsonval.Value) {
	if len(p.scopes) == 0 {
		return
	}
	var texts []string
	for _, e := range slices.Concat(v.Elems, v.Elems[0].Elems) {
		if e.Kind == jsonval.String && strings.Contains(e.Text, ":") {
			texts = append(texts, e.Text)
		}
	}
	for _, scope := range slices.Backward(p.scopes) {
		uses := func(text string) bool { return strings.Contains(text, scope.Name.Local+":") }
		name := "@xmlns:" + scope.Name.Local
		if _, inner := v.Get(name); !inner && slices.ContainsFunc(texts, uses) {
			v.Add(name, jsonval.Text(scope.Value))
		}
	}
}

// content reads up to the end tag.
func (p *xmlParser) content(space string, keep bool, depth int) (jsonval.Value, error) {
	list := jsonval.Value{Kind: jsonval.Array}
	var text strings.Builder
	mixed := false
	flush := func() {
		if text.Len() > 0 {
			list.Elems = append(list.Elems, jsonval.Text(text.String()))
			mixed = mixed || !blank([]byte(text.String()))
			text.Reset()
		}
	}
	for {
		token, err := p.dec.Token()
		if err != nil {
			return list, fmt.Errorf("reading XML: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			flush()
			child, err := p.element(t, space, keep, depth+1)
			if err != nil {
				return list, err
			}
			list.Elems = append(list.Elems, child)
		case xml.CharData:
			text.Write(t)
		case xml.ProcInst, xml.Directive:
			return list, errXMLInstructs
		case xml.EndElement:
			if len(list.Elems) == 0 {
				return jsonval.Text(text.String()), nil
			}
			flush()
			if !mixed && !keep {
				list.Elems = onlyElements(list.Elems)
			}
			return list, nil
		}
	}
}

func onlyElements(content []jsonval.Value) []jsonval.Value {
	kept := content[:0]
	for _, v := range content {
		if v.Kind == jsonval.Object {
			kept = append(kept, v)
		}
	}
	return kept
}

// blank reports whether text is nothing but what XML calls white space.
func blank(text []byte) bool { return len(bytes.Trim(text, " \t\r\n")) == 0 }
