package reconcile

import "unicode/utf8"

// nullMarker is what stands in a chunk's CSV for "clear this field" (Bulk API 2.0 guide, "Valid CSV
// Record Rows").
const nullMarker = "#N/A"

// appendPayload appends the JSON object that says what was sent: header to text, null for a field to
// clear. A field that was left empty, which Salesforce leaves alone, is left out.
func appendPayload[T ~string | ~[]byte](dst []byte, header []string, values []T) []byte {
	dst = append(dst, '{')
	first := true
	for i, name := range header {
		if i >= len(values) || len(values[i]) == 0 {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendJSON(dst, name)
		dst = append(dst, ':')
		if string(values[i]) == nullMarker {
			dst = append(dst, "null"...)
		} else {
			dst = appendJSON(dst, values[i])
		}
	}
	return append(dst, '}')
}

// appendJSON appends s as a JSON string. Invalid UTF-8 becomes U+FFFD, and a NUL, which jsonb cannot
// hold, is dropped.
func appendJSON[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	from := 0 // of what stands as it is
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			continue
		}
		if s[i] >= utf8.RuneSelf {
			return append(appendRunes(dst, string(s[from:])), '"')
		}
		dst = appendEscape(append(dst, s[from:i]...), s[i])
		from = i + 1
	}
	return append(append(dst, s[from:]...), '"')
}

// appendRunes is the slow way, for text that is not ASCII.
func appendRunes(dst []byte, s string) []byte {
	for _, r := range s {
		if r < ' ' || r == '"' || r == '\\' {
			dst = appendEscape(dst, byte(r))
		} else {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// appendEscape appends an ASCII character that cannot stand in JSON as it is.
func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case 0:
		return dst
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
