package project

import (
	"errors"
	"regexp"
	"strings"
)

// checkSecret refuses a secret that stands in etl.yaml in clear text: that
// file goes into version control.
func checkSecret(raw string) error {
	if path, ok := strings.CutPrefix(raw, fromFile); ok && path != "" {
		return nil
	}
	inside, wholly := strings.CutPrefix(raw, "${")
	inside, closed := strings.CutSuffix(inside, "}")
	_, operator, rest := variable(inside).parts()
	if !wholly || !closed || strings.Contains(inside, "}") || operator == ":-" && rest != "" {
		return errors.New("a secret does not belong into this file: put it into a variable and write ${NAME}, or into a file of its own and write file:/path")
	}
	return nil
}

// checkPassword refuses a connection string with a password in clear text,
// be it a URL or a list of key=value, or the default of a variable.
func checkPassword(raw string) error {
	for _, v := range variables(raw) {
		if _, operator, rest := v.parts(); operator == ":-" {
			if err := checkPassword(rest); err != nil {
				return err
			}
		}
		// From here on only its place matters, not the signs in its default.
		raw = strings.ReplaceAll(raw, "${"+string(v)+"}", "${NAME}")
	}
	for _, password := range passwords(raw) {
		if password != "" && checkSecret(password) != nil {
			return errors.New("a password does not belong into this file: put it, or the whole connection string, into a variable and write ${NAME}")
		}
	}
	return nil
}

// passwords are the places of a connection string where a password stands.
func passwords(dsn string) []string {
	var found []string
	if _, rest, isURL := strings.Cut(dsn, "://"); isURL {
		authority := rest
		if end := strings.IndexAny(rest, "/?#"); end >= 0 {
			authority = rest[:end]
		}
		if at := strings.LastIndex(authority, "@"); at >= 0 {
			_, password, _ := strings.Cut(authority[:at], ":")
			found = append(found, password)
		}
	}
	assigned := regexp.MustCompile(`(?i)password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]*)`)
	for _, match := range assigned.FindAllStringSubmatch(dsn, -1) {
		found = append(found, strings.Trim(match[1], "'"))
	}
	return found
}
