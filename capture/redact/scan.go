package redact

import "bytes"

// A class says what may begin at a byte, or be around it.
type class uint16

const (
	equalsSign class = 1 << iota // of a name and its value
	colon                        // likewise, or of a URL
	tagStart                     // of an element of XML
	tagEnd                       // likewise
	jwtStart
	keyIDStart
	bearerStart
	pemStart
	atSign // of an e-mail address
	numberStart
	ibanStart
	addrStart
)

// classes tells what to look for at each byte. What begins with a letter or a digit counts only at the start of a
// word.
func classes(forms formSet) *[256]class {
	t := new([256]class)
	t['='], t[':'], t['<'], t['>'] = equalsSign, colon, tagStart, tagEnd
	t['e'], t['A'], t['-'] = jwtStart, keyIDStart, pemStart
	t['B'], t['b'] = bearerStart, bearerStart
	if forms.has(Email) {
		t['@'] |= atSign
	}
	for c := byte('0'); c <= '9'; c++ {
		if forms.has(Card) || forms.has(Phone) {
			t[c] |= numberStart
		}
		if forms.has(IP) {
			t[c] |= addrStart
		}
	}
	if forms.has(Phone) {
		t['+'] |= numberStart
	}
	for c := byte('A'); c <= 'Z'; c++ {
		if forms.has(IBAN) {
			t[c] |= ibanStart
		}
		if forms.has(IP) && c <= 'F' {
			t[c] |= addrStart
			t[c|0x20] |= addrStart
		}
	}
	return t
}

// scan finds what has to be replaced by its form, in text that has no structure, and by the names of names and
// values that are written into it. It adds edits of text.
func (p *pass) scan(text []byte) {
	s := scanner{pass: p, text: text, first: len(p.edits), tag: -1}
	table := p.redactor.classes
	if p.binary {
		table = p.redactor.binary
	}
	for s.i < len(text) {
		c := table[text[s.i]]
		if c == 0 || !s.found(c) {
			s.i++
		}
	}
	if p.keys || p.keyID {
		s.secretKeys()
	}
	p.loose = p.loose || len(p.edits) > s.first
}

// A scanner is at one byte of a text.
type scanner struct {
	*pass
	text  []byte
	i     int
	first int   // of the edits that are its own
	done  int   // the end of the last edit
	value int   // the end of the parameter of a URL that was looked at last
	tag   int   // where the tag ends whose element is secret
	role  place // of that element
}

// found looks for what may be at s.i. If something was there it goes on behind it and returns true.
func (s *scanner) found(c class) bool {
	switch {
	case c&equalsSign != 0:
		return s.assignment()
	case c&colon != 0:
		return s.url() || s.field()
	case c&tagStart != 0:
		s.element()
		return false
	case c&tagEnd != 0:
		return s.i == s.tag && s.contentOf()
	case c&atSign != 0:
		return s.email()
	case c&pemStart != 0:
		return s.pem()
	}
	if s.i > 0 && isAlnum(s.text[s.i-1]) {
		return false
	}
	return c&jwtStart != 0 && s.jwt() || c&keyIDStart != 0 && s.accessKeyID() || c&bearerStart != 0 && s.bearer() ||
		c&numberStart != 0 && s.number() || c&ibanStart != 0 && s.iban() || c&addrStart != 0 && s.addr()
}

// behind goes on at end, and always returns true.
func (s *scanner) behind(end int) bool {
	s.i, s.done = end, end
	return true
}

// run returns the end of the bytes from start on that are, at most limit.
func (s *scanner) run(start, limit int, is func(byte) bool) int {
	end := min(len(s.text), start+limit)
	for i := start; i < end; i++ {
		if !is(s.text[i]) {
			return i
		}
	}
	return end
}

// before returns where what is before end ends, without up to two spaces.
func (s *scanner) before(end int) int {
	for n := 0; n < 2 && end > s.done && s.text[end-1] == ' '; n++ {
		end--
	}
	return end
}

// name returns the name that ends before end, which is empty if there is none.
func (s *scanner) name(end int) span {
	start := end
	for start > s.done && end-start < maxName && isNameChar(s.text[start-1]) {
		start--
	}
	return span{start, end}
}

func isNameChar(c byte) bool {
	return isAlnum(c) || c == '_' || c == '-' || c == '.' || c == '%' || c == '[' || c == ']'
}

func (s *scanner) lookup(name span) (place, bool) {
	if name.start == name.end {
		return place{}, false
	}
	var buf [maxName]byte
	pl, ok := s.redactor.lookup(normalize(&buf, s.text[name.start:name.end]), assignedNames)
	return pl, ok && pl.role != kept
}

// assignedNames are names that are secret where text gives them a value. Sources:
// https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string and
// https://learn.microsoft.com/rest/api/storageservices/create-service-sas.
var assignedNames = map[string]place{
	"sig":       {role: secret, kind: "form:sas"},
	"signature": {role: secret, kind: "name:signature"}, // of AWS4-HMAC-SHA256
}

// assignment looks at name=value, in a URL, a form, a connection string or a log.
func (s *scanner) assignment() bool {
	if s.azureKey() {
		return true
	}
	name := s.name(s.before(s.i))
	if name.start == name.end || s.i+1 < len(s.text) && (s.text[s.i+1] == '=' || s.text[s.i+1] == '>') {
		return false
	}
	if name.start > 0 && bytes.IndexByte([]byte("?&#"), s.text[name.start-1]) >= 0 {
		return s.urlParam(name)
	}
	if string(s.text[name.start:name.end]) == "name" {
		return s.formPart()
	}
	pl, ok := s.lookup(name)
	if !ok || string(s.text[name.start:name.end]) == "SharedAccessSignature" && s.hasSignature() {
		return false
	}
	return s.assigned(s.i+1, pl)
}

// urlParam looks at one parameter of a URL. Names and values that are not encoded are looked at where they are.
func (s *scanner) urlParam(name span) bool {
	if s.i > s.value {
		s.value = s.run(s.i+1, len(s.text), isParamChar)
		if bytes.IndexByte(s.text[name.start:s.value], '%') >= 0 {
			s.param(s.text, name.start, s.i, s.value)
			return s.behind(s.value)
		}
	}
	var buf [maxName]byte
	if _, ok := s.redactor.lookup(normalize(&buf, s.text[name.start:name.end]), secretParams); !ok {
		return false
	}
	before := len(s.edits)
	s.param(s.text, name.start, s.i, s.value)
	return len(s.edits) > before && s.behind(s.value)
}

// hasSignature reports whether the value is a shared access signature of which only sig is secret.
func (s *scanner) hasSignature() bool {
	end := s.run(s.i+1, 2048, func(c byte) bool { return !isSpace(c) && c != ';' && c != '"' })
	return bytes.Contains(s.text[s.i:end], []byte("sig="))
}

func isParamChar(c byte) bool {
	return !isSpace(c) && c != '&' && c != '#' && c != '"' && c != '\'' && c != '<' && c != '>' && c != '\\' && c != '`'
}

// assigned replaces the value that begins at start, maybe in quotes, or the values of the list that begins there.
func (s *scanner) assigned(start int, pl place) bool {
	isSpaceOr := func(other byte) func(byte) bool {
		return func(c byte) bool { return c == ' ' || c == other }
	}
	start = s.run(start, 8, isSpaceOr(' '))
	if start >= len(s.text) || s.text[start] != '[' {
		return s.assignedOne(start, pl)
	}
	found := false
	for next := s.run(start, 8, isSpaceOr('[')); s.assignedOne(next, pl); {
		found = true
		quotes := s.run(s.done, 8, isQuote)
		next = s.run(quotes, 8, isSpaceOr(','))
		if next == quotes || quotes > s.done && !bytes.Contains(s.text[quotes:next], []byte{','}) {
			break // the list has ended, or it never does
		}
	}
	return found
}

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '\\' }

// assignedOne replaces the value that begins at start, maybe in quotes.
func (s *scanner) assignedOne(start int, pl place) bool {
	quotes := s.run(start, 8, isQuote)
	is := func(c byte) bool { return isParamChar(c) && c != ';' }
	if quotes > start {
		quote := s.text[quotes-1]
		is = func(c byte) bool { return c != quote && c != '\\' && c != '\n' }
	} else if pl.role == authorization || pl.role == cookies || pl.role == setCookie {
		is = func(c byte) bool { return c != '\n' && c != '\r' && c != '"' && c != '\'' }
	}
	start = quotes
	end := s.run(start, len(s.text), is)
	for end > start && bytes.IndexByte([]byte(",.)]}"), s.text[end-1]) >= 0 {
		end--
	}
	if value := s.text[start:end]; len(value) == 0 || pl.role == secret && s.text[s.i] == ':' && isWord(value) {
		return false // "password: must be …"
	}
	before := len(s.edits)
	s.at(s.text[start:end], pl)
	shift(s.edits[before:], start)
	return s.behind(end)
}

// field looks at "name": value, as in JSON that is cut off, and at name: value, as in the headers of a message.
func (s *scanner) field() bool {
	end := s.i
	for end > s.done && s.i-end < 8 && bytes.IndexByte([]byte(`"'\`), s.text[end-1]) >= 0 {
		end--
	}
	name := s.name(end)
	pl, ok := s.lookup(name)
	if !ok || end == s.i && !s.startsLine(name.start) && !strongName(pl) && !s.quoted(s.i+1) {
		return false
	}
	return s.assigned(s.i+1, pl)
}

// quoted reports whether there is a text in quotes at i that is long enough for a secret: token: "…", as in GraphQL.
func (s *scanner) quoted(i int) bool {
	i = s.run(i, 2, func(c byte) bool { return c == ' ' })
	return i < len(s.text) && s.text[i] == '"' && s.run(i+1, 8, func(c byte) bool { return c != '"' && c != ' ' }) == i+9
}

// isWord reports whether v is a word of a sentence, in letters of which only the first may be a capital.
func isWord(v []byte) bool { return (isLower(v[0]) || isUpper(v[0])) && all(v[1:], isLower) }

func (s *scanner) startsLine(i int) bool { return i == 0 || s.text[i-1] == '\n' }

// strongName reports whether a name is followed by a secret even in a sentence: "password: …" is, "unexpected token:
// …" is not.
func strongName(pl place) bool { return pl.kind != "name:token" && pl.kind != "name:signature" }

// formPart looks at the value that follows name="password" in multipart/form-data.
func (s *scanner) formPart() bool {
	start := s.i + 1
	if start >= len(s.text) || s.text[start] != '"' {
		return false
	}
	name := span{start + 1, s.run(start+1, maxName, func(c byte) bool { return c != '"' && c != '\n' })}
	pl, ok := s.lookup(name)
	if !ok {
		return false
	}
	header := s.text[name.end:min(len(s.text), name.end+512)]
	blank := bytes.Index(header, []byte("\r\n\r\n"))
	if blank < 0 {
		return false
	}
	begin := name.end + blank + 4
	end := len(s.text)
	if i := bytes.Index(s.text[begin:], []byte("\r\n--")); i >= 0 {
		end = begin + i
	}
	before := len(s.edits)
	s.at(s.text[begin:end], pl)
	shift(s.edits[before:], begin)
	return s.behind(end)
}

// element looks at the beginning of <ns:name attribute="…">, and notes where its content begins if that is secret.
func (s *scanner) element() {
	name := span{s.i + 1, s.run(s.i+1, maxName, func(c byte) bool { return isNameChar(c) || c == ':' })}
	if prefix := bytes.LastIndexByte(s.text[name.start:name.end], ':'); prefix >= 0 {
		name.start += prefix + 1
	}
	pl, ok := s.lookup(name)
	if !ok {
		return
	}
	end := s.run(name.end, 2048, func(c byte) bool { return c != '<' && c != '>' })
	if end < len(s.text) && s.text[end] == '>' && s.text[end-1] != '/' {
		s.tag, s.role = end, pl
	}
}

// contentOf replaces the text of the element whose tag ends here.
func (s *scanner) contentOf() bool {
	const cdata = "<![CDATA["
	start := s.run(s.i+1, len(s.text), isSpace)
	end := cutAt(s.text, start, len(s.text), '<')
	if bytes.HasPrefix(s.text[start:], []byte(cdata)) {
		if start += len(cdata); bytes.Contains(s.text[start:], []byte("]]>")) {
			end = start + bytes.Index(s.text[start:], []byte("]]>"))
		} else {
			end = len(s.text)
		}
	}
	for end > start && isSpace(s.text[end-1]) {
		end--
	}
	if start == end {
		return false
	}
	before := len(s.edits)
	s.at(s.text[start:end], s.role)
	shift(s.edits[before:], start)
	return s.behind(end)
}

// url looks at the password in scheme://user:password@host, and at the token in scheme://token@host.
func (s *scanner) url() bool {
	if !bytes.HasPrefix(s.text[s.i:], []byte("://")) {
		return false
	}
	start := s.i + 3
	end := s.run(start, 1024, func(c byte) bool { return isParamChar(c) && c != '/' && c != '?' })
	at := bytes.LastIndexByte(s.text[start:end], '@')
	if at < 0 {
		return false
	}
	user := bytes.IndexByte(s.text[start:start+at], ':')
	if user < 0 && isOpaque(s.text[start:start+at]) {
		user = -1 // it is a token, and no name
	} else if user < 0 || user+1 == at {
		return false
	}
	before, raw := len(s.edits), s.text[start+user+1:start+at]
	password := queryEscaped.Decode(raw)
	s.replace(0, len(password), password, "form:url-password")
	queryEscaped.Outward(raw, s.edits[before:], start+user+1)
	return s.behind(start + at)
}
