package project

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/joho/godotenv"
)

// readEnv reads a .env file; none is fine. Its parser quotes the text it cannot
// read, which may be a secret, so its words are never passed on.
func readEnv(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the variables: %w", err)
	}
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	values, err := godotenv.UnmarshalBytes(text)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: this line cannot be read: each line is NAME=value; put a value that holds spaces, # or quotes into single quotes", path, badLine(text))
	}
	return values, nil
}

// badLine is the line that follows the longest part of the file that can be
// read.
func badLine(text []byte) int {
	lines := bytes.SplitAfter(text, []byte("\n"))
	for n := len(lines) - 1; n > 0; n-- {
		if _, err := godotenv.UnmarshalBytes(bytes.Join(lines[:n], nil)); err == nil {
			return n + 1
		}
	}
	return 1
}
