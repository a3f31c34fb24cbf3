package reconcile

import "strings"

// RowError is the sf__Error of one record, split.
type RowError struct {
	Code    string // REQUIRED_FIELD_MISSING; empty when the text has no code in front
	Message string
	Fields  []string // may be empty
}

// SplitError splits an sf__Error: `CODE:message:Field1,Field2 --` where Salesforce names fields,
// `CODE:message:--` where it does not. The message may itself hold colons, commas and line breaks,
// and is in the running user's language. Nothing is lost: a text in another form is the message.
func SplitError(text string) RowError {
	rest := strings.TrimSpace(text)
	var e RowError
	if code, after, ok := strings.Cut(rest, ":"); ok && isCode(code) {
		e.Code, rest = code, after
	} else if isCode(rest) && strings.Contains(rest, "_") {
		return RowError{Code: rest}
	}
	if body, ok := strings.CutSuffix(rest, "--"); ok {
		body = strings.TrimRight(body, " ")
		if i := strings.LastIndexByte(body, ':'); i >= 0 {
			if fields, ok := fieldNames(body[i+1:]); ok {
				e.Fields, body = fields, body[:i]
			}
		}
		rest = body
	}
	e.Message = strings.TrimSpace(rest)
	return e
}

func isCode(s string) bool {
	for _, r := range s {
		if (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' {
			return false
		}
	}
	return s != ""
}

// fieldNames reads the list behind the last colon; an empty list is fine, anything that is no list of
// API names is part of the message.
func fieldNames(list string) ([]string, bool) {
	list = strings.TrimSpace(list)
	if list == "" {
		return nil, true
	}
	names := strings.Split(list, ",")
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
		if !isFieldName(names[i]) {
			return nil, false
		}
	}
	return names, true
}

func isFieldName(s string) bool {
	for _, r := range s {
		if (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '.' {
			return false
		}
	}
	return s != "" && (s[0] < '0' || s[0] > '9')
}
