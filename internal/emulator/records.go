package emulator

import (
	"encoding/json"
	"net/http"
	"strings"
)

func (s *Server) serveObject(c *call, o *object) error {
	if c.r.Method == http.MethodPost {
		return s.writeRecord(c, o, opInsert, nil, "")
	}
	if c.r.Method != http.MethodGet {
		return errMethod(c.r.Method, "GET,HEAD,POST")
	}
	c.answer(http.StatusOK, struct {
		Describe objectSummary     `json:"objectDescribe"`
		Recent   []json.RawMessage `json:"recentItems"`
	}{c.summary(o), []json.RawMessage{}})
	return nil
}

// serveRecord answers /sobjects/{Object}/{id}.
func (s *Server) serveRecord(c *call, o *object, id string) error {
	switch c.r.Method {
	case http.MethodGet:
		t, n, err := c.org.store.live(o, id)
		if err != nil {
			return err
		}
		return c.answerRecord(t, n)
	case http.MethodPatch:
		return s.writeRecord(c, o, opUpdate, nil, id)
	case http.MethodDelete:
		return s.writeRecord(c, o, opDelete, nil, id)
	}
	return errMethod(c.r.Method, "DELETE,GET,HEAD,PATCH")
}

// serveByKey answers /sobjects/{Object}/{field}/{value}.
func (s *Server) serveByKey(c *call, o *object, name, value string) error {
	f, ok := o.field(name)
	if !ok || !f.finds() {
		return refuse(http.StatusNotFound, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: %s", name)
	}
	if f.source == sourceID {
		return s.serveRecord(c, o, value)
	}
	rows := c.org.store.byKey(o, f, value)
	switch {
	case len(rows) > 1:
		urls := make([]string, len(rows))
		for i, id := range rows {
			urls[i] = c.base() + "/sobjects/" + o.Name + "/" + id
		}
		c.answer(http.StatusMultipleChoices, urls)
		return nil
	case c.r.Method == http.MethodPatch:
		return s.writeRecord(c, o, opUpsert, f, value)
	case len(rows) == 0:
		return errNotFound()
	}
	return s.serveRecord(c, o, rows[0])
}

// live finds the record of an id that is not deleted.
func (s *store) live(o *object, id string) (*table, int32, error) {
	t, _ := s.table(o.Name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	full, ok := canonicalID(id)
	if !ok {
		return nil, 0, errNotFound()
	}
	n, ok := t.find(full)
	switch {
	case !ok:
		return nil, 0, errNotFound()
	case t.rows[n].state != rowLive:
		return nil, 0, refuse(http.StatusNotFound, "ENTITY_IS_DELETED", "entity is deleted")
	}
	return t, n, nil
}

// byKey lists the ids of the records with a value.
func (s *store) byKey(o *object, f *field, value string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, _ := s.table(o.Name)
	value, ok := f.deserialize(value)
	if !ok {
		return nil
	}
	n, ok, more := t.indexes[f.slot].find(value)
	if !ok {
		return nil
	}
	ids := []string{t.id(n)}
	for _, m := range more {
		ids = append(ids, t.id(m))
	}
	return ids
}

func (c *call) answerRecord(t *table, n int32) error {
	fields := t.object.shown()
	if names := c.r.URL.Query().Get("fields"); names != "" {
		fields = nil
		for name := range strings.SplitSeq(names, ",") {
			f, ok := t.object.field(strings.TrimSpace(name))
			if !ok {
				return refuse(http.StatusBadRequest, "INVALID_FIELD", "No such column '%s' on sobject of type %s", name, t.object.Name)
			}
			fields = append(fields, f)
		}
	}
	s := c.org.store
	s.mu.RLock()
	dst := appendAttributes(nil, t, n, c.base())
	for _, f := range fields {
		v, ok := s.value(t, n, f)
		dst = appendField(append(dst, ','), f, v, ok)
	}
	s.mu.RUnlock()
	c.answer(http.StatusOK, json.RawMessage(append(dst, '}')))
	return nil
}

// saveResult is what a created or upserted record answers.
type saveResult struct {
	ID      string     `json:"id"`
	Success bool       `json:"success"`
	Errors  []struct{} `json:"errors"`
	Created *bool      `json:"created,omitempty"`
}

// writeRecord saves one record as a job would, and answers as REST does. at is
// its id, or for an upsert the value of its key.
func (s *Server) writeRecord(c *call, o *object, op operation, key *field, at string) error {
	row, columns, err := c.readRecord(o, op, key, at)
	if err != nil {
		return err
	}
	t, _ := c.org.store.table(o.Name)
	l := newLoader(c.org.store, t, op, key, columns)
	l.user, l.now, l.maxRecords = c.user.number, s.clock.Now, s.cfg.Limits.StorageRecords
	l.discard = s.cfg.Discard
	chunk := []record{row}
	l.load(chunk)
	saved := chunk[0]
	if saved.err != nil {
		status := http.StatusBadRequest
		if saved.err.code == "ENTITY_IS_DELETED" || op != opInsert && saved.err.code == "INVALID_CROSS_REFERENCE_KEY" && len(saved.err.fields) == 0 {
			status = http.StatusNotFound
		}
		return &apiError{status: status, code: saved.err.code, message: saved.err.message, fields: saved.err.fields}
	}
	c.answerSaved(t, saved, op)
	return nil
}

func (c *call) answerSaved(t *table, saved record, op operation) {
	result := saveResult{ID: t.id(saved.row), Success: true, Errors: []struct{}{}}
	if op == opUpsert && major(c.version) >= 46 {
		result.Created = &saved.created
	}
	switch {
	case saved.created:
		c.w.Header().Set("Location", c.base()+"/sobjects/"+t.object.Name+"/"+result.ID)
		c.answer(http.StatusCreated, result)
	case result.Created != nil:
		c.answer(http.StatusOK, result)
	default:
		c.w.WriteHeader(http.StatusNoContent)
	}
}

// readRecord turns a JSON body into a row and its columns.
func (c *call) readRecord(o *object, op operation, key *field, at string) (record, []column, error) {
	var row record
	var columns []column
	if op != opDelete {
		var body map[string]any
		decoder := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, 50<<20))
		decoder.UseNumber()
		if err := decoder.Decode(&body); err != nil {
			return row, nil, refuse(http.StatusBadRequest, "JSON_PARSER_ERROR", "%v", err)
		}
		for name, value := range body {
			if err := c.addCell(o, &row, &columns, name, value); err != nil {
				return row, nil, err
			}
		}
	}
	name := "Id"
	if key != nil {
		name = key.Name
	}
	if at == "" {
		return row, columns, nil
	}
	f, _ := o.field(name)
	for _, col := range columns {
		if col.field == f && col.parent == nil {
			return row, nil, &apiError{
				status: http.StatusBadRequest, code: "INVALID_FIELD", fields: []string{f.Name},
				message: "The " + f.Name + " field should not be specified in the sobject data.",
			}
		}
	}
	return record{cells: append(row.cells, at)}, append(columns, column{header: name, field: f}), nil
}

// addCell adds a value of a JSON body. An object is a parent given by its
// external id.
func (c *call) addCell(o *object, row *record, columns *[]column, name string, value any) error {
	if name == "attributes" {
		return nil
	}
	if nested, ok := value.(map[string]any); ok {
		for key, v := range nested {
			if key != "attributes" {
				return c.addCell(o, row, columns, name+"."+key, v)
			}
		}
	}
	col, err := c.org.store.resolveColumn(o, name)
	if err != nil {
		return refuse(http.StatusBadRequest, "INVALID_FIELD", "No such column '%s' on sobject of type %s", name, o.Name)
	}
	text := nullMarker
	switch v := value.(type) {
	case string:
		if text = v; v == "" {
			text = nullMarker // REST clears a field with an empty text
		}
	case json.Number:
		text = v.String()
	case bool:
		text = boolText(v)
	}
	row.cells = append(row.cells, text)
	*columns = append(*columns, col)
	return nil
}
