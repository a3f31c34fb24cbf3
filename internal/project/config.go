package project

import (
	"strings"
	"time"

	"bulkhead/internal/yamlfile"
)

// maxSpoolBytes bounds spool.max_bytes: a thousand terabytes is a slip.
const maxSpoolBytes = 1_000_000_000_000_000

// state.wait is bounded: less than a second is no patience, and a run that waits
// for more than a day is better resumed.
const (
	minStateWait = time.Second
	maxStateWait = 24 * time.Hour
)

// read decodes etl.yaml, where there is one.
func (p *Project) read() error {
	if p.File == "" {
		return nil
	}
	text, err := yamlfile.Read(p.File)
	if err != nil {
		return err
	}
	if yamlfile.Blank(text) {
		return nil
	}
	doc := yamlfile.Parse(p.File, text)
	root := doc.Root().Mapping()
	p.sources = readGroup(root.Get("sources").Hush(), readSource)
	p.orgs = readGroup(root.Get("orgs").Hush(), readOrg)
	p.readSpool(root.Get("spool"))
	p.limits.read(root.Get("limits"))
	p.readState(root.Get("state"))
	root.Close("x-")
	return doc.Err()
}

// readGroup decodes the sources or the orgs, which the user names.
func readGroup(v yamlfile.Value, read func(yamlfile.Value) []setting) group {
	var g group
	for _, e := range v.Mapping().Entries() {
		if strings.TrimSpace(e.Key) == "" {
			e.Value.Problem("has no name: pipelines refer to it by one")
		}
		g = append(g, member{e.Key, read(e.Value)})
	}
	return g
}

func readSource(v yamlfile.Value) []setting {
	m := v.Mapping()
	url := read(m.Require("url", "where the database is, such as ${WAREHOUSE_URL}"), "url")
	url.required, url.mayBeFile = true, true
	m.Close()
	url.check(m.Get("url"), checkPassword)
	return []setting{url}
}

func readOrg(v yamlfile.Value) []setting {
	m := v.Mapping()
	var settings []setting
	for _, key := range []string{"login_url", "auth", "client_id", "username", "private_key_file", "instance_url", "api_version"} {
		if value := m.Get(key); value.Exists() {
			s := read(value, key)
			s.check(value, nil)
			settings = append(settings, s)
		}
	}
	for _, key := range []string{"client_secret", "refresh_token", "access_token"} {
		if value := m.Get(key); value.Exists() {
			s := read(value, key)
			s.mayBeFile, s.required = true, true
			s.check(value, checkSecret)
			settings = append(settings, s)
		}
	}
	m.Close()
	if v.IsMapping() && len(settings) == 0 {
		v.Problem("says nothing about the org: give at least how to log in, such as client_id and client_secret")
	}
	return settings
}

func (p *Project) readSpool(v yamlfile.Value) {
	m := v.Mapping()
	if dir := m.Get("dir"); dir.Exists() {
		s := read(dir, "dir")
		value, err := p.resolve(s)
		if err != nil {
			dir.Problem("%v", err)
		}
		p.spoolDir = value
	}
	if most := m.Get("max_bytes"); most.Exists() {
		p.spoolMaxBytes = most.Bytes(1, maxSpoolBytes)
	}
	m.Close()
}

func (p *Project) readState(v yamlfile.Value) {
	m := v.Mapping()
	p.stateWait = m.Get("wait").Duration(DefaultStateWait, minStateWait, maxStateWait)
	m.Close()
}

// read takes a setting as it stands. The version of an API looks like a number
// to YAML, and means the text.
func read(v yamlfile.Value, key string) setting {
	s := setting{key: key, at: v.Pos(), path: v.Path()}
	if text, kind, ok := v.Scalar(); ok && key == "api_version" && (kind == "float" || kind == "int") {
		s.raw = text
		if !strings.Contains(text, ".") {
			s.raw += ".0"
		}
		return s
	}
	s.raw = v.NonEmpty()
	return s
}

// check reports what can be said about a setting before its variables are set.
func (s setting) check(v yamlfile.Value, also func(raw string) error) {
	if s.raw == "" {
		return
	}
	err := checkVariables(s.raw)
	if err == nil && also != nil {
		err = also(s.raw)
	}
	if err != nil {
		v.Problem("%v", err)
	}
}
