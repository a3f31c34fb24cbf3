package project

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"bulkhead/internal/yamlfile"
)

// setting is one value of etl.yaml before its variables are looked up.
type setting struct {
	key       string
	raw       string
	mayBeFile bool // file:/path is read
	required  bool // may not turn out empty
	at        yamlfile.Pos
	path      string
}

// fromFile begins a setting whose value stands in a file of its own, as
// systemd, Kubernetes and Vault's agent hand out secrets.
const fromFile = "file:"

// resolve looks up the variables of a setting, and reads its file.
func (p *Project) resolve(s setting) (string, error) {
	value, err := expand(s.raw, p.lookup)
	if err != nil {
		return "", err
	}
	// Only what the file itself says names a file: the value of a variable does
	// not, however it begins.
	if s.mayBeFile && strings.HasPrefix(s.raw, fromFile) {
		value, err = readSecret(p.absolute(strings.TrimPrefix(value, fromFile)))
		if err != nil {
			return "", err
		}
	}
	if s.required && value == "" {
		return "", errors.New("is empty")
	}
	return value, nil
}

// readSecret reads a file that holds one value.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the file it names: %w", err)
	}
	defer f.Close()
	const most = 64 << 10
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return "", fmt.Errorf("read the file it names: %w", err)
	}
	if len(text) > most {
		return "", fmt.Errorf("read the file it names: %s is larger than %d bytes, so it holds no secret", path, most)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// expand puts in the values of variables: ${NAME}, which must be set;
// ${NAME:-default} and ${NAME:?message}, for when it is not set or empty. $${
// stands for ${ itself. A dollar sign before anything else is a dollar sign.
func expand(text string, lookup func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			b.WriteString(text)
			return b.String(), nil
		}
		if literal, doubled := strings.CutSuffix(before, "$"); doubled {
			b.WriteString(literal + "${")
			text = rest
			continue
		}
		b.WriteString(before)
		inside, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", errors.New("a ${ is not closed: write ${NAME}, or $${ for the characters themselves")
		}
		value, err := variable(inside).value(lookup)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = after
	}
}

// variable is what stands between ${ and }.
type variable string

// parts are the name, the operator (:- or :? or nothing) and what follows it.
func (v variable) parts() (name, operator, rest string) {
	name, rest, found := strings.Cut(string(v), ":")
	if !found {
		return name, "", ""
	}
	if rest == "" {
		return name, ":", ""
	}
	return name, ":" + rest[:1], rest[1:]
}

// check reports what is wrong with how a variable is written.
func (v variable) check() error {
	name, operator, _ := v.parts()
	for i, r := range name {
		if r != '_' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r))) {
			name = ""
			break
		}
	}
	if name == "" || operator != "" && operator != ":-" && operator != ":?" {
		return errors.New("a variable is written ${NAME}, ${NAME:-default} or ${NAME:?message}, its name in letters, digits and underscores")
	}
	return nil
}

func (v variable) value(lookup func(string) (string, bool)) (string, error) {
	if err := v.check(); err != nil {
		return "", err
	}
	name, operator, rest := v.parts()
	value, set := lookup(name)
	switch {
	case value != "" || set && operator == "":
		return value, nil
	case operator == ":-":
		return rest, nil
	case operator == ":?" && rest != "":
		return "", fmt.Errorf("the variable %s is not set: %s", name, rest)
	}
	return "", fmt.Errorf("the variable %s is not set: set it in the environment or in %s", name, EnvFile)
}

// variables are those that a text holds, as far as it can be read.
func variables(text string) []variable {
	var found []variable
	for {
		before, rest, ok := strings.Cut(text, "${")
		if !ok {
			return found
		}
		if strings.HasSuffix(before, "$") {
			text = rest
			continue
		}
		inside, after, closed := strings.Cut(rest, "}")
		if !closed {
			return found
		}
		found = append(found, variable(inside))
		text = after
	}
}

// checkVariables reports what is wrong with how a text uses variables.
func checkVariables(text string) error {
	_, err := expand(text, func(string) (string, bool) { return "set", true })
	return err
}
