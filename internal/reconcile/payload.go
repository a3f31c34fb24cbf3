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
	const hex = "0123456789abcdef"
	text := string(s)
	dst = append(dst, '"')
	for i := 0; i < len(text); {
		c := text[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(text[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		}
		i++
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == 0:
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
