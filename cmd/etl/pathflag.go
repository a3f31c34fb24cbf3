package main

import "errors"

// pathFlag is the value of a flag that names something to write. The empty one, which is what a variable
// that is not set leaves, is a mistake: it would silently write nothing.
type pathFlag struct{ to *string }

func (f pathFlag) Set(path string) error {
	if path == "" {
		return errors.New("want a name, got nothing")
	}
	*f.to = path
	return nil
}

func (f pathFlag) String() string {
	if f.to == nil {
		return ""
	}
	return *f.to
}

func (f pathFlag) Type() string { return "string" }
