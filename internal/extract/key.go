package extract

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// KeyCondition returns the SQL condition for the rows whose key is greater than
// low and not greater than high, and its arguments, which are numbered from
// firstArg. A nil bound is none; with neither, the condition is empty. The types
// are the key's SQL types; the bounds are the texts of a Chunk.
func KeyCondition(keyExprs, keyTypes, low, high []string, firstArg int) (sql string, args []any) {
	var conditions []string
	for _, bound := range []struct {
		operator string
		values   []string
	}{{">", low}, {"<=", high}} {
		if bound.values == nil {
			continue
		}
		params := make([]string, len(bound.values))
		for i, value := range bound.values {
			params[i] = "$" + strconv.Itoa(firstArg+len(args)) + "::text::" + keyTypes[i]
			args = append(args, value)
		}
		conditions = append(conditions, tuple(keyExprs)+" "+bound.operator+" "+tuple(params))
	}
	return strings.Join(conditions, " AND "), args
}

// KeyIn returns the SQL condition for the rows that have one of the keys, and its
// arguments: one array per column, numbered from firstArg, however many keys.
func KeyIn(keyExprs, keyTypes []string, keys [][]string, firstArg int) (sql string, args []any) {
	selects, arrays, names := make([]string, len(keyExprs)), make([]string, len(keyExprs)), make([]string, len(keyExprs))
	for i := range keyExprs {
		names[i] = "key" + strconv.Itoa(i+1)
		selects[i] = "wanted." + names[i] + "::" + keyTypes[i]
		arrays[i] = "$" + strconv.Itoa(firstArg+i) + "::text[]"
		values := make([]string, len(keys))
		for j, key := range keys {
			values[j] = key[i]
		}
		args = append(args, values)
	}
	sql = fmt.Sprintf("%s IN (SELECT %s FROM unnest(%s) AS wanted (%s))", tuple(keyExprs),
		strings.Join(selects, ", "), strings.Join(arrays, ", "), strings.Join(names, ", "))
	return sql, args
}

// tuple is a row of SQL expressions, or the expression itself when it is one.
func tuple(exprs []string) string {
	if len(exprs) == 1 {
		return exprs[0]
	}
	return "(" + strings.Join(exprs, ", ") + ")"
}

// EncodeKey makes one text of a key: of a key of one column, its text; of several,
// a JSON array of strings. Equal keys have equal texts.
func EncodeKey(parts []string) string {
	if len(parts) == 1 {
		return parts[0]
	}
	text := []byte{'['}
	for i, part := range parts {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendJSONString(text, []byte(part))
	}
	return string(append(text, ']'))
}

// DecodeKey splits a text of EncodeKey into the n columns of the key.
func DecodeKey(s string, n int) ([]string, error) {
	if n == 1 {
		return []string{s}, nil
	}
	var parts []string
	if err := json.Unmarshal([]byte(s), &parts); err != nil {
		return nil, fmt.Errorf("key %q is no JSON array of %d strings: %w", s, n, err)
	}
	if len(parts) != n {
		return nil, fmt.Errorf("key %q has %d columns, want %d", s, len(parts), n)
	}
	return parts, nil
}

// appendJSONString appends s, which is valid UTF-8, as a JSON string.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	from := 0
	for i, c := range s {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}
