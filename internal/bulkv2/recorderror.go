package bulkv2

import "strings"

// RecordError is the value of sf__Error, taken apart.
type RecordError struct {
	Code    string   // such as REQUIRED_FIELD_MISSING; empty when the text does not have the usual form
	Message string   // in the language of the user that loads
	Fields  []string // the API names that Salesforce gives, seldom more than one
}

// ParseRecordError takes apart a value of sf__Error: CODE:message:Field1,Field2 --. The message may itself hold colons,
// commas and line breaks, so the code is what stands before the first colon, and the fields what stands after the last.
func ParseRecordError(text string) RecordError {
	code, rest, found := strings.Cut(text, ":")
	if !found || !isCode(code) {
		return RecordError{Message: text}
	}
	e := RecordError{Code: code, Message: rest}
	body, closed := strings.CutSuffix(strings.TrimRight(rest, " \r\n"), "--")
	if !closed {
		return e
	}
	if i := strings.LastIndexByte(body, ':'); i >= 0 {
		if fields, ok := fieldNames(body[i+1:]); ok {
			e.Message, e.Fields = body[:i], fields
		}
	}
	return e
}

func isCode(s string) bool {
	for _, r := range s {
		if r != '_' && (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// fieldNames reads a list of API names, which may be empty.
func fieldNames(s string) ([]string, bool) {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, true
	}
	names := strings.Split(s, ",")
	for i, n := range names {
		names[i] = strings.TrimSpace(n)
		if names[i] == "" || strings.ContainsFunc(names[i], notInName) {
			return nil, false
		}
	}
	return names, true
}

func notInName(r rune) bool {
	return r != '_' && r != '.' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
}
