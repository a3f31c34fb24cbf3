package emulator

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// draft is a record being put together: the stored values, if there are any,
// and over them what the upload says. One is used for record after record.
type draft struct {
	object  *object
	values  []string // by field position
	marks   []mark
	err     *rowError // the first value that its field does not take
	readers []*field  // fields that were given and cannot be written
	buf     []byte
}

// mark tells where a value of a draft comes from.
type mark uint8

const (
	markNone mark = iota
	markKept      // stored before
	markSet       // given now
	markNull      // cleared now
)

func newDraft(o *object) draft {
	return draft{object: o, values: make([]string, len(o.Fields)), marks: make([]mark, len(o.Fields))}
}

func (d *draft) reset() {
	clear(d.marks)
	d.err, d.readers = nil, d.readers[:0]
}

// recall starts from what a record holds.
func (d *draft) recall(packed string) {
	for packed != "" {
		position, value, rest := nextValue(packed)
		d.values[position], d.marks[position] = value, markKept
		packed = rest
	}
}

func (d *draft) set(f *field, value string) {
	d.values[f.position], d.marks[f.position] = value, markSet
}

func (d *draft) null(f *field) { d.marks[f.position] = markNull }

// addDefaults fills in what an insert did not say.
func (d *draft) addDefaults(user string, seq int64) {
	for _, f := range d.object.defaults {
		if d.marks[f.field.position] == markNone {
			d.set(f.field, f.value)
		}
	}
	if owner, ok := d.object.byName["ownerid"]; ok && d.marks[owner.position] == markNone {
		d.set(owner, user)
	}
	for _, f := range d.object.autoNumbers {
		number := strconv.FormatInt(seq, 10)
		d.set(f, strings.Repeat("0", max(0, 8-len(number)))+number)
	}
}

// missing refuses a record without its required fields.
func (d *draft) missing() *rowError {
	var without []*field
	for _, f := range d.object.required {
		if m := d.marks[f.position]; m == markNone || m == markNull {
			without = append(without, f)
		}
	}
	if len(without) > 0 {
		return errMissing(without)
	}
	return nil
}

// pack returns the draft in the form it is stored in.
func (d *draft) pack() string {
	d.buf = d.buf[:0]
	for i, m := range d.marks {
		if m != markKept && m != markSet {
			continue
		}
		if d.object.Fields[i].kind == kindBoolean && d.values[i] == "false" {
			continue
		}
		d.buf = appendValue(d.buf, i, d.values[i])
	}
	return string(d.buf)
}

// fill reads a row of the upload into the draft. n is the record it changes, or
// -1. Values that are none of their type and parents that do not exist come
// first, since Salesforce meets them before it saves anything.
func (l *loader) fill(r *record, at int, n int32) *rowError {
	relation := 0
	related := l.parents[at*l.related:]
	for c := range l.columns {
		col := &l.columns[c]
		parent := int32(parentNotGiven)
		if col.parent != nil {
			parent = related[relation]
			relation++
		}
		if c == l.idAt || r.cells[c] == "" {
			continue
		}
		if err := l.fillCell(r.cells[c], c, parent, n); err != nil {
			return err
		}
	}
	if len(l.draft.readers) > 0 {
		return errNotWritable(l.draft.readers)
	}
	return nil
}

func (l *loader) fillCell(cell string, at int, parent, n int32) *rowError {
	col := &l.columns[at]
	f, d := col.field, &l.draft
	if cell == nullMarker {
		if l.writable(f, n) {
			d.null(f)
		}
		return nil
	}
	value, err := l.read(cell, at, parent)
	if err != nil {
		return err
	}
	if n >= 0 && l.op == opUpsert && !f.Updateable && f.Createable && f.kind == kindReference {
		// An upsert may repeat the parent of a detail, not change it.
		if d.marks[f.position] == markKept && d.values[f.position] != value && d.err == nil {
			d.err = errReparent(f, value)
		}
		return nil
	}
	if !l.writable(f, n) {
		return nil
	}
	if value == "" {
		d.null(f) // nothing but blanks
		return nil
	}
	if err := l.check(f, value); err != nil && d.err == nil {
		d.err = err
	}
	d.set(f, value)
	return nil
}

// read turns a cell into the value its field shall have.
func (l *loader) read(cell string, at int, parent int32) (string, *rowError) {
	col := &l.columns[at]
	if col.parent == nil {
		value, ok := col.field.deserialize(cell)
		if !ok {
			return "", errDeserialize(at, cell, col.field)
		}
		return value, nil
	}
	switch parent {
	case parentNotFound, parentNotGiven:
		return "", errForeignKey(cell, col.parent.object, col.key)
	case parentAmbiguous:
		return "", errForeignKeyAmbiguous(cell, col.parent.object, col.key)
	}
	id := col.parent.id(parent)
	if d := &l.draft; d.marks[col.field.position] == markSet {
		return "", errBothReferences(col.field, cell, d.values[col.field.position])
	}
	return id, nil
}

// writable notes a field that the operation may not write. The key of an
// upsert is no write of it.
func (l *loader) writable(f *field, n int32) bool {
	if n < 0 && f.Createable || n >= 0 && f.Updateable {
		return true
	}
	if n >= 0 && f == l.key {
		return false
	}
	l.draft.readers = append(l.draft.readers, f)
	return false
}

// check tells whether a field takes a value of its type.
func (l *loader) check(f *field, value string) *rowError {
	switch f.kind {
	case kindReference:
		return l.checkReference(f, value)
	case kindPicklist:
		if _, ok := f.picks[value]; f.RestrictedPick && !ok {
			return errPicklist(f, value)
		}
	case kindMultipick:
		return checkMultipick(f, value)
	case kindEmail:
		if !validEmail(value) {
			return errEmail(f, value)
		}
	case kindInt, kindDouble:
		return checkRange(f, value)
	case kindBoolean, kindDate, kindDatetime, kindTime:
		return nil
	}
	if f.Length > 0 && len(value) > f.Length && utf8.RuneCountInString(value) > f.Length {
		return errTooLong(f, value)
	}
	return nil
}

// checkReference tells whether an id refers to something. Objects that the org
// has no describe of, such as record types and profiles, are taken on trust.
func (l *loader) checkReference(f *field, value string) *rowError {
	id, ok := canonicalID(value)
	if !ok {
		return errMalformedID(f, value)
	}
	if f.Name == "RecordTypeId" {
		if len(l.table.object.types) > 0 && !l.table.object.types[id] {
			return errRecordType(f, value)
		}
		return nil
	}
	known := false
	for _, target := range f.ReferenceTo {
		t, ok := l.store.table(target)
		if !ok {
			continue
		}
		if strings.HasPrefix(id, t.object.KeyPrefix) {
			return l.checkParent(t, f, id)
		}
		known = true
	}
	if known && len(f.ReferenceTo) == 1 {
		return errMalformedID(f, value)
	}
	return nil
}

func (l *loader) checkParent(t *table, f *field, id string) *rowError {
	n, ok := t.find(id)
	switch {
	case !ok:
		return errCrossReference(f.Name)
	case t.rows[n].state != rowLive:
		return errDeleted()
	}
	return nil
}

func checkMultipick(f *field, value string) *rowError {
	if f.RestrictedPick {
		for pick := range strings.SplitSeq(value, ";") {
			if _, ok := f.picks[strings.TrimSpace(pick)]; !ok {
				return errPicklist(f, pick)
			}
		}
	}
	if f.Length > 0 && len(value) > f.Length {
		return errTooLong(f, value)
	}
	return nil
}

// checkRange counts the digits before the point.
func checkRange(f *field, value string) *rowError {
	allowed := f.Precision - f.Scale
	if f.kind == kindInt {
		allowed = f.Digits
	}
	whole, _, _ := strings.Cut(strings.TrimPrefix(value, "-"), ".")
	if allowed > 0 && whole != "0" && len(whole) > allowed {
		return errRange(f, value)
	}
	return nil
}

// validEmail is Salesforce's notion of an address: something before one @, a
// domain with a point after it, and none of the characters it forbids.
func validEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || len(local) > 64 || strings.Contains(domain, "@") {
		return false
	}
	dot := strings.LastIndexByte(domain, '.')
	if dot < 1 || dot == len(domain)-1 || strings.Contains(s, "..") || local[len(local)-1] == '.' {
		return false
	}
	for _, c := range s {
		if c <= ' ' || strings.ContainsRune(`()<>[]:;,\"`, c) {
			return false
		}
	}
	return true
}
