package emulator

import "bytes"

// dialect is how a job's CSV is written.
type dialect struct {
	delimiter byte
	crlf      bool
}

// delimiterOf finds a delimiter by the name that a job gives it (Bulk API 2.0 guide, "Create a
// Job").
func delimiterOf(name string) (byte, bool) {
	switch name {
	case "COMMA":
		return ',', true
	case "BACKQUOTE":
		return '`', true
	case "CARET":
		return '^', true
	case "PIPE":
		return '|', true
	case "SEMICOLON":
		return ';', true
	case "TAB":
		return '\t', true
	}
	return 0, false
}

func (d dialect) lineEnd() string {
	if d.crlf {
		return "\r\n"
	}
	return "\n"
}

// endingName is the setting's name in messages.
func (d dialect) endingName() string {
	if d.crlf {
		return "CRLF"
	}
	return "LF"
}

// cutEnd checks a record's line breaks against the setting and takes the CR of
// its end off. Salesforce refuses the other kind anywhere in the file, inside
// quotes too. The last record of a file may go without a line break.
func (d dialect) cutEnd(record []byte, last bool) ([]byte, bool) {
	if !d.crlf {
		return record, bytes.IndexByte(record, '\r') < 0
	}
	trimmed, found := bytes.CutSuffix(record, []byte{'\r'})
	if !found && !last {
		return record, false
	}
	for rest := trimmed; ; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			return trimmed, true
		}
		if i == 0 || rest[i-1] != '\r' {
			return trimmed, false
		}
		rest = rest[i+1:]
	}
}
