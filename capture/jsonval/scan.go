package jsonval

// maxSkip is how deep what is skipped may nest.
const maxSkip = 500

// Valid reports whether data is one JSON value, as [encoding/json.Valid] does, in a fraction of its time.
func Valid(data []byte) bool {
	_, _, _, ok := only(data)
	return ok
}

// AppendCompact appends the JSON text data without the white space between its parts, byte for byte as
// [encoding/json.Compact] does. ok is false, and dst as it was, when data is not one JSON value.
func AppendCompact(dst, data []byte) (_ []byte, ok bool) {
	start, end, spaced, ok := only(data)
	if !ok {
		return dst, false
	}
	data = data[start:end]
	if !spaced {
		return append(dst, data...), true
	}
	for i := 0; i < len(data); i = SkipSpace(data, i) {
		part := i
		for i < len(data) && data[i] > ' ' {
			if data[i] == '"' {
				i = skipText(data, i+1)
			} else {
				i++
			}
		}
		dst = append(dst, data[part:i]...)
	}
	return dst, true
}

// only scans the one value that data is, with white space around it.
func only(data []byte) (start, end int, spaced, ok bool) {
	start = SkipSpace(data, 0)
	end, _, spaced = scan(data, start, maxDepth, false, nil)
	return start, end, spaced, end > 0 && SkipSpace(data, end) == len(data)
}

// End returns where the JSON value ends that data begins with, behind white space. ok is false when there is none.
func End(data []byte) (end int, ok bool) {
	end, _, _ = scan(data, SkipSpace(data, 0), maxDepth, false, nil)
	return end, end > 0
}

// Skip returns where the JSON value ends that data begins with, and how many values it holds that are neither lists
// nor objects with something in them. It keeps nothing, so that it takes a fraction of the time of [Parse]. Ok is
// false where data does not begin with a JSON value, or with one that nests deeper than 500 levels.
func Skip(data []byte) (end, leaves int, ok bool) {
	end, leaves = skip(data, 0, nil)
	return end, leaves, end > 0
}

// SkipNames is Skip, and adds the names of members to names.
func SkipNames(data []byte, names *NameSet) (end, leaves int, ok bool) {
	end, leaves = skip(data, 0, names)
	return end, leaves, end > 0
}

// skip is Skip for the value at i. Names may be nil.
func skip(data []byte, i int, names *NameSet) (end, leaves int) {
	if i < len(data) && (data[i] == '{' || data[i] == '[') {
		end, leaves, _ = scan(data, i, maxSkip, false, names)
		return end, leaves
	}
	return skipLeaf(data, i), 1
}

// SkipMembers is Skip for what is left of an object from the name of a member on, or from its closing brace on. Where
// there are no members, there is one leaf.
func SkipMembers(data []byte) (end, leaves int, ok bool) {
	if i := SkipSpace(data, 0); i < len(data) && data[i] == '}' {
		return i + 1, 1, true
	}
	end, leaves, _ = scan(data, 0, maxSkip, true, nil)
	return end, leaves, end > 0
}

// bad is where a value ends that is none.
const bad = -1

// levels is how many lists and objects one scan keeps in mind.
const levels = 62

// scan reads the value at i, or, with inside, what is left of an object whose next member is at i. It returns the
// index behind it, or bad, how many leaves it has as Skip counts them, and whether there is white space in it. Lists
// and objects nest room deep at most. The names of members are added to names, unless that is nil.
//
// It is one loop, as calls would take as long as the rest: a round is a value, with its name before it and the comma
// behind it. Open has a bit for each list and object that is open, the innermost last: 1 for an object. The bit above
// them all tells how many they are.
func scan(data []byte, i, room int, inside bool, names *NameSet) (end, leaves int, spaced bool) {
	data = data[:len(data):len(data)] // one limit is enough to be checked
	base := uint64(2) << (levels - min(room, levels))
	open := base
	if inside {
		open = open<<1 | 1
	}
	leaves = 1 // and one more for each comma
	for {
		if open&1 != 0 {
			if uint(i) >= uint(len(data)) || data[i] != '"' {
				var c byte
				if i, c = next(data, i, &spaced); c != '"' {
					return bad, 0, false
				}
			}
			i++
			name := i
			i += plain(data, i)
			if uint(i) < uint(len(data)) && data[i] == '"' {
				if names != nil {
					*names |= NameOf(data[name:i])
				}
				i++
			} else if i = skipText(data, i); i < 0 {
				return bad, 0, false
			} else if names != nil {
				names.Add(data[name : i-1])
			}
			if uint(i) >= uint(len(data)) || data[i] != ':' {
				var c byte
				if i, c = next(data, i, &spaced); c != ':' {
					return bad, 0, false
				}
			}
			i++
		}
		if uint(i) >= uint(len(data)) {
			return bad, 0, false
		}
		c := data[i]
		if c <= ' ' {
			i, c = next(data, i, &spaced)
		}
		switch {
		case c == '"':
			i++
			i += plain(data, i)
			if uint(i) < uint(len(data)) && data[i] == '"' {
				i++
			} else if i = skipText(data, i); i < 0 {
				return bad, 0, false
			}
		case c-'1' <= '9'-'1':
			i++
			for uint(i) < uint(len(data)) && data[i]-'0' <= 9 {
				i++
			}
			if uint(i) < uint(len(data)) && (data[i] == '.' || data[i]|0x20 == 'e') {
				if i = skipFraction(data, i); i < 0 {
					return bad, 0, false
				}
			}
		case c == '{' || c == '[':
			if open>>63 != 0 {
				end, n, s := scanDeep(data, i, room-levels, names)
				if end < 0 {
					return bad, 0, false
				}
				i, leaves, spaced = end, leaves+n-1, spaced || s
				break
			}
			i++
			after := byte(0)
			if uint(i) < uint(len(data)) {
				after = data[i]
			}
			if after <= ' ' {
				i, after = next(data, i, &spaced)
			}
			if after == c+2 { // it is closed at once
				i++
				break
			}
			open = open<<1 | uint64(c>>5&1)
			continue
		default:
			if i = skipLeaf(data, i); i < 0 {
				return bad, 0, false
			}
		}
		for {
			if open == base {
				return i, leaves, spaced
			}
			if uint(i) >= uint(len(data)) {
				return bad, 0, false
			}
			c := data[i]
			if c <= ' ' {
				i, c = next(data, i, &spaced)
			}
			i++
			if c == ',' {
				break
			}
			if c != ']'+byte(open&1)<<5 {
				return bad, 0, false
			}
			open >>= 1
		}
		leaves++
	}
}

// scanDeep scans what is nested deeper than one scan keeps in mind.
func scanDeep(data []byte, i, room int, names *NameSet) (end, leaves int, spaced bool) {
	if room <= 0 {
		return bad, 0, false
	}
	return scan(data, i, room, false, names)
}

// next returns where the first byte from i on is that is no white space, and that byte, or 0 at the end.
func next(data []byte, i int, spaced *bool) (int, byte) {
	*spaced = true
	if i = SkipSpace(data, i); i < len(data) {
		return i, data[i]
	}
	return i, 0
}
