package emulator

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// version is an entry of /services/data.
type version struct {
	Label   string `json:"label"`
	URL     string `json:"url"`
	Version string `json:"version"`
}

// versions are those the org serves. Three releases make a year: v31 was
// Summer '14.
func versions() []version {
	seasons := [3]string{"Spring", "Summer", "Winter"}
	list := make([]version, 0, MaxVersion-MinVersion+1)
	for n := MinVersion; n <= MaxVersion; n++ {
		year := 14 + (n-30)/3
		if seasons[n%3] == "Winter" {
			year++
		}
		number := strconv.Itoa(n) + ".0"
		list = append(list, version{
			Label: seasons[n%3] + " '" + strconv.Itoa(year), URL: "/services/data/v" + number, Version: number,
		})
	}
	return list
}

func (s *Server) serveResources(c *call) error {
	if c.r.Method != http.MethodGet {
		return errMethod(c.r.Method, "GET,HEAD")
	}
	list := map[string]string{"identity": baseURL(c.r) + "/id/" + s.orgID + "/" + c.user.id}
	for _, name := range []string{"sobjects", "query", "queryAll", "limits", "jobs"} {
		list[name] = c.base() + "/" + name
	}
	c.answer(http.StatusOK, list)
	return nil
}

func (s *Server) serveLimits(c *call) error {
	if c.r.Method != http.MethodGet {
		return errMethod(c.r.Method, "GET,HEAD")
	}
	c.answer(http.StatusOK, c.org.limits.all())
	return nil
}

// objectSummary is an object in /sobjects.
type objectSummary struct {
	Name        string            `json:"name"`
	Label       string            `json:"label"`
	LabelPlural string            `json:"labelPlural"`
	KeyPrefix   string            `json:"keyPrefix"`
	Custom      bool              `json:"custom"`
	Createable  bool              `json:"createable"`
	Updateable  bool              `json:"updateable"`
	Deletable   bool              `json:"deletable"`
	Queryable   bool              `json:"queryable"`
	URLs        map[string]string `json:"urls"`
}

func (c *call) summary(o *object) objectSummary {
	url := c.base() + "/sobjects/" + o.Name
	return objectSummary{
		Name: o.Name, Label: o.Label, LabelPlural: o.LabelPlural, KeyPrefix: o.KeyPrefix, Custom: o.Custom,
		Createable: o.Createable, Updateable: o.Updateable, Deletable: o.Deletable, Queryable: o.Queryable,
		URLs: map[string]string{"sobject": url, "describe": url + "/describe", "rowTemplate": url + "/{ID}"},
	}
}

// serveObjects answers everything under /sobjects.
func (s *Server) serveObjects(c *call, parts []string) error {
	if len(parts) == 0 {
		return s.serveGlobalDescribe(c)
	}
	o, ok := c.org.schema[fold(parts[0])]
	if !ok {
		return errNotFound()
	}
	switch {
	case len(parts) == 1:
		return s.serveObject(c, o)
	case len(parts) == 2 && parts[1] == "describe":
		return s.serveDescribe(c, o)
	case len(parts) == 2:
		return s.serveRecord(c, o, parts[1])
	case len(parts) == 3:
		return s.serveByKey(c, o, parts[1], parts[2])
	}
	return errNotFound()
}

func (s *Server) serveGlobalDescribe(c *call) error {
	if c.r.Method != http.MethodGet {
		return errMethod(c.r.Method, "GET,HEAD")
	}
	list := make([]objectSummary, 0, len(c.org.schema))
	for _, name := range slices.Sorted(maps.Keys(c.org.schema)) {
		list = append(list, c.summary(c.org.schema[name]))
	}
	c.answer(http.StatusOK, struct {
		Encoding     string          `json:"encoding"`
		MaxBatchSize int             `json:"maxBatchSize"`
		Objects      []objectSummary `json:"sobjects"`
	}{"UTF-8", chunkRows, list})
	return nil
}

// serveDescribe answers an object's describe as it was given, and 304 to who
// has it already: it changes only by [Server.Alter].
func (s *Server) serveDescribe(c *call, o *object) error {
	if c.r.Method != http.MethodGet {
		return errMethod(c.r.Method, "GET,HEAD")
	}
	if since, err := http.ParseTime(c.r.Header.Get("If-Modified-Since")); err == nil &&
		!c.org.changed.Truncate(time.Second).After(since) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	c.w.Header().Set("Last-Modified", c.org.changed.UTC().Format(http.TimeFormat))
	c.answer(http.StatusOK, json.RawMessage(o.raw))
	return nil
}
