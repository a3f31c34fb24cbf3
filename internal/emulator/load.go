package emulator

import (
	"strings"
	"time"
)

// loader saves records as a job's operation says, in chunks of 200, as
// Salesforce does. It belongs to one goroutine.
type loader struct {
	store       *store
	table       *table
	op          operation
	columns     []column
	key         *field // of an upsert; nil when it goes by Id
	keyAt       int    // the key's column, or -1
	idAt        int    // the Id column, or -1
	user        int32
	now         func() time.Time
	maxRecords  int64 // of storage; 0 is no limit
	keepNumbers bool
	discard     bool // keeps no record

	draft   draft
	parents []int32        // of the chunk's relationship columns, row by row
	related int            // how many columns those are
	keys    map[string]int // keys of the chunk, and how often they came
}

// parent places that are none.
const (
	parentNotGiven  = -1
	parentNotFound  = -2
	parentAmbiguous = -3
)

// record is one row of a chunk, and what became of it.
type record struct {
	cells   []string // one per column; nil when the row could not be read
	number  int64    // in the job, from 0
	err     *rowError
	row     int32 // in the table
	created bool
}

func newLoader(s *store, t *table, op operation, key *field, columns []column) *loader {
	l := &loader{store: s, table: t, op: op, key: key, columns: columns, keyAt: -1, idAt: -1, keys: map[string]int{}}
	for i, c := range columns {
		if c.parent == nil && c.field.source == sourceID {
			l.idAt = i
		}
		if c.parent == nil && c.field == key {
			l.keyAt = i
		}
		if c.parent != nil {
			l.related++
		}
	}
	l.draft = newDraft(t.object)
	return l
}

// load saves a chunk under the store's lock. Rows that have an error already
// are left as they are.
func (l *loader) load(chunk []record) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	at := l.now().UnixMilli()
	l.refuseTwins(chunk)
	// Every parent is looked for before anything is saved: records of one
	// chunk do not see each other.
	l.findParents(chunk)
	for i := range chunk {
		r := &chunk[i]
		if r.err != nil {
			continue
		}
		switch l.op {
		case opInsert:
			r.err = l.insert(r, i, at)
		case opUpdate:
			r.err = l.updateByID(r, i, at)
		case opUpsert:
			r.err = l.upsert(r, i, at)
		case opDelete:
			r.err = l.remove(r, rowRecycled, at)
		case opHardDelete:
			r.err = l.remove(r, rowGone, at)
		}
	}
}

// refuseTwins refuses all rows of a chunk that share an external id, and the
// later ones of those that share an Id.
func (l *loader) refuseTwins(chunk []record) {
	at := l.keyAt
	if l.key == nil {
		at = l.idAt
	}
	if at < 0 || l.op == opInsert {
		return
	}
	clear(l.keys)
	twins := false
	for i := range chunk {
		if key := l.twinKey(&chunk[i], at); key != "" {
			l.keys[key]++
			twins = twins || l.keys[key] > 1
		}
	}
	if !twins {
		return
	}
	seen := map[string]bool{}
	for i := range chunk {
		key := l.twinKey(&chunk[i], at)
		switch {
		case key == "" || l.keys[key] < 2:
		case l.key != nil:
			chunk[i].err = errTwiceInChunk(chunk[i].cells[at])
		case seen[key]:
			chunk[i].err = errIDTwice(key)
		}
		seen[key] = true
	}
}

func (l *loader) twinKey(r *record, at int) string {
	if r.err != nil || r.cells[at] == "" || r.cells[at] == nullMarker {
		return ""
	}
	value := r.cells[at]
	if l.key == nil {
		id, _ := canonicalID(value)
		return id
	}
	value, ok := l.key.deserialize(value)
	if !ok || value == "" {
		return ""
	}
	return l.table.indexes[l.key.slot].key(value)
}

// findParents resolves the relationship columns of a chunk.
func (l *loader) findParents(chunk []record) {
	l.parents = l.parents[:0]
	for i := range chunk {
		for c := range l.columns {
			if col := &l.columns[c]; col.parent != nil {
				l.parents = append(l.parents, findParent(col, &chunk[i], c))
			}
		}
	}
}

func findParent(col *column, r *record, at int) int32 {
	if r.err != nil || r.cells[at] == "" || r.cells[at] == nullMarker {
		return parentNotGiven
	}
	value, ok := col.key.deserialize(r.cells[at])
	if !ok {
		return parentNotFound
	}
	n, ok, more := col.parent.indexes[col.key.slot].find(value)
	switch {
	case !ok:
		return parentNotFound
	case len(more) > 0:
		return parentAmbiguous
	}
	return n
}

func (l *loader) insert(r *record, i int, at int64) *rowError {
	if l.idAt >= 0 && r.cells[l.idAt] != "" && r.cells[l.idAt] != nullMarker && l.op == opInsert {
		return errInsertWithID()
	}
	d := &l.draft
	d.reset()
	if err := l.fill(r, i, -1); err != nil {
		return err
	}
	d.addDefaults(l.store.users[l.user], l.table.next())
	if err := d.missing(); err != nil {
		return err
	}
	if d.err != nil {
		return d.err
	}
	if err := l.unique(-1); err != nil {
		return err
	}
	if l.maxRecords > 0 && l.store.records >= l.maxRecords {
		return errStorage()
	}
	r.created = true
	if l.discard {
		r.row = l.table.pass()
		return nil
	}
	r.row = l.table.insert(row{values: d.pack(), created: at, modified: at, createdBy: l.user, changeBy: l.user})
	l.store.records++
	return nil
}

func (l *loader) updateByID(r *record, i int, at int64) *rowError {
	n, err := l.target(r)
	if err != nil {
		return err
	}
	return l.update(r, i, n, at)
}

// target finds the record that the Id column names.
func (l *loader) target(r *record) (int32, *rowError) {
	if l.idAt < 0 || r.cells[l.idAt] == "" || r.cells[l.idAt] == nullMarker {
		return 0, errNotSpecified("Id")
	}
	value := r.cells[l.idAt]
	id, ok := canonicalID(value)
	if !ok || !strings.HasPrefix(id, l.table.object.KeyPrefix) {
		return 0, errMalformedID(l.columns[l.idAt].field, value)
	}
	n, ok := l.table.find(id)
	switch {
	case !ok:
		return 0, errCrossReference()
	case l.table.rows[n].state != rowLive:
		return 0, errDeleted()
	}
	return n, nil
}

func (l *loader) update(r *record, i int, n int32, at int64) *rowError {
	d := &l.draft
	d.reset()
	d.recall(l.table.rows[n].values)
	if err := l.fill(r, i, n); err != nil {
		return err
	}
	if err := d.missing(); err != nil {
		return err
	}
	if d.err != nil {
		return d.err
	}
	if err := l.unique(n); err != nil {
		return err
	}
	l.table.replace(n, d.pack(), at, l.user)
	r.row = n
	return nil
}

func (l *loader) upsert(r *record, i int, at int64) *rowError {
	if l.key == nil {
		if l.idAt < 0 {
			return errNotSpecified("Id")
		}
		if r.cells[l.idAt] == "" || r.cells[l.idAt] == nullMarker {
			return l.insert(r, i, at)
		}
		return l.updateByID(r, i, at)
	}
	if l.keyAt < 0 || r.cells[l.keyAt] == "" || r.cells[l.keyAt] == nullMarker {
		return errNotSpecified(l.key.Name)
	}
	if l.idAt >= 0 && r.cells[l.idAt] != "" {
		return errBothReferences(l.key, r.cells[l.keyAt], r.cells[l.idAt])
	}
	value, ok := l.key.deserialize(r.cells[l.keyAt])
	switch {
	case !ok:
		return errDeserialize(l.keyAt, r.cells[l.keyAt], l.key)
	case value == "":
		return errNotSpecified(l.key.Name)
	}
	n, found, more := l.table.indexes[l.key.slot].find(value)
	switch {
	case !found:
		return l.insert(r, i, at)
	case len(more) > 0:
		ids := []string{l.table.id(n)}
		for _, m := range more {
			ids = append(ids, l.table.id(m))
		}
		return errSeveralFound(l.key, ids)
	}
	return l.update(r, i, n, at)
}

func (l *loader) remove(r *record, state rowState, at int64) *rowError {
	n, err := l.target(r)
	if err != nil {
		return err
	}
	if !l.table.object.Deletable {
		return errNoAccess()
	}
	r.row = n
	l.store.remove(l.table, n, state, at, l.user)
	return nil
}

// remove takes a record and, as master-detail relationships say, its children.
func (s *store) remove(t *table, n int32, state rowState, at int64, user int32) {
	if t.rows[n].state == rowLive {
		s.records--
	}
	t.remove(n, state, at, user)
	id := t.id(n)
	for _, child := range s.tables {
		for _, f := range child.object.indexed {
			if !f.CascadeDelete || !refersTo(f, t.object.Name) {
				continue
			}
			first, ok, more := child.indexes[f.slot].find(id)
			if !ok {
				continue
			}
			for _, c := range append([]int32{first}, more...) {
				s.remove(child, c, state, at, user)
			}
		}
	}
}

func refersTo(f *field, object string) bool {
	for _, target := range f.ReferenceTo {
		if strings.EqualFold(target, object) {
			return true
		}
	}
	return false
}

// unique refuses a value that another record has already.
func (l *loader) unique(self int32) *rowError {
	for slot, f := range l.table.object.indexed {
		if !f.Unique || l.draft.marks[f.position] != markSet {
			continue
		}
		if n, ok, _ := l.table.indexes[slot].find(l.draft.values[f.position]); ok && n != self {
			return errNotUnique(f, l.table.id(n))
		}
	}
	return nil
}
