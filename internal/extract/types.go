package extract

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// valueType is how values of a Postgres type are read and written.
type valueType struct {
	format int16   // in which they come over the wire
	encode encoder // what Salesforce gets
	text   bool    // may hold anything, so it is checked and quoted

	// Of types that can be keys only:
	key    encoder // what Postgres reads back as the same value
	equals equals  // the form in which equal values have equal bytes
}

// equals appends a form of a value that is the same for values that Postgres
// holds equal.
type equals func(dst, raw []byte) []byte

// OIDs that pgtype does not name (src/include/catalog/pg_type.dat).
const (
	moneyOID  = 790
	timetzOID = 1266
	xmlOID    = 142
)

// builtinType returns how a built-in type is handled; ok is false for one that is
// not supported, or not built in.
func builtinType(oid uint32) (t valueType, ok bool) {
	const text, binary = pgtype.TextFormatCode, pgtype.BinaryFormatCode
	switch oid {
	case pgtype.BoolOID:
		return valueType{binary, appendBool, false, appendBool, sameBytes}, true
	case pgtype.Int2OID:
		return valueType{binary, appendInt2, false, appendInt2, sameBytes}, true
	case pgtype.Int4OID:
		return valueType{binary, appendInt4, false, appendInt4, sameBytes}, true
	case pgtype.Int8OID:
		return valueType{binary, appendInt8, false, appendInt8, sameBytes}, true
	case pgtype.OIDOID:
		return valueType{binary, appendOID, false, appendOID, sameBytes}, true
	case pgtype.Float4OID:
		return valueType{binary, appendFloat4, false, keyFloat4, sameText(keyFloat4)}, true
	case pgtype.Float8OID:
		return valueType{binary, appendFloat8, false, keyFloat8, sameText(keyFloat8)}, true
	case pgtype.NumericOID:
		return valueType{binary, appendNumeric, false, keyNumeric, sameNumeric}, true
	case pgtype.DateOID:
		return valueType{binary, appendDate, false, keyDate, sameBytes}, true
	case pgtype.TimestampOID, pgtype.TimestamptzOID:
		return valueType{binary, appendTimestamp, false, keyTimestamp, sameBytes}, true
	case pgtype.TimeOID:
		return valueType{binary, appendTime, false, keyTime, sameBytes}, true
	case pgtype.UUIDOID:
		return valueType{binary, appendUUID, false, appendUUID, sameBytes}, true
	case pgtype.ByteaOID:
		return valueType{binary, appendBase64, false, keyBytea, sameBytes}, true
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.NameOID, pgtype.UnknownOID:
		return textType(), true
	case pgtype.BPCharOID:
		return valueType{binary, appendChar, true, appendChar, sameText(appendChar)}, true
	case pgtype.JSONOID:
		return valueType{binary, appendText, true, nil, nil}, true
	case pgtype.QCharOID, pgtype.JSONBOID, pgtype.InetOID, pgtype.CIDROID, pgtype.MacaddrOID, pgtype.Macaddr8OID,
		pgtype.IntervalOID, pgtype.TSVectorOID, xmlOID:
		return valueType{text, appendText, true, appendText, sameBytes}, true
	}
	return valueType{}, false
}

// textType is a type whose binary form is its text, as is that of every enum.
func textType() valueType {
	return valueType{pgtype.BinaryFormatCode, appendText, true, appendText, sameBytes}
}

func sameBytes(dst, raw []byte) []byte { return append(dst, raw...) }

func sameText(key encoder) equals {
	return func(dst, raw []byte) []byte {
		dst, _ = key(dst, raw)
		return dst
	}
}

// sameNumeric leaves out how many decimals are shown: 1.0 = 1.00.
func sameNumeric(dst, raw []byte) []byte {
	if len(raw) < numericHead {
		return append(dst, raw...)
	}
	return append(append(dst, raw[:6]...), raw[numericHead:]...)
}

// typeInfo is what the catalog says about a type.
type typeInfo struct {
	OID      uint32
	Name     string // of the type alone
	SQLName  string // as SQL writes it, in full
	Kind     string // pg_type.typtype
	Category string // pg_type.typcategory
	Element  uint32
	Base     uint32
}

// catalog is the types of a query's columns, and those they are made of.
type catalog map[uint32]typeInfo

// loadTypes reads the types of fields from the catalog.
func loadTypes(ctx context.Context, conn *pgx.Conn, fields []pgconn.FieldDescription) (catalog, error) {
	oids := make([]uint32, len(fields))
	for i, field := range fields {
		oids[i] = field.DataTypeOID
	}
	rows, err := conn.Query(ctx, `
		WITH RECURSIVE used AS (
			SELECT t.* FROM pg_type t WHERE t.oid = ANY ($1::oid[])
			UNION
			SELECT t.* FROM pg_type t JOIN used u ON t.oid IN (u.typelem, u.typbasetype)
		)
		SELECT oid, typname, format_type(oid, -1), typtype::text, typcategory::text, typelem, typbasetype FROM used`, oids)
	if err != nil {
		return nil, fmt.Errorf("read the types of the query's columns: %w", plain(err))
	}
	infos, err := pgx.CollectRows(rows, pgx.RowToStructByPos[typeInfo])
	if err != nil {
		return nil, fmt.Errorf("read the types of the query's columns: %w", plain(err))
	}
	types := make(catalog, len(infos))
	for _, info := range infos {
		types[info.OID] = info
	}
	return types, nil
}

// resolve returns how a type is handled; ok is false when it is not.
func (c catalog) resolve(oid uint32) (t valueType, ok bool) {
	if t, ok := builtinType(oid); ok {
		return t, true
	}
	info := c[oid]
	switch {
	case info.Kind == "e":
		return textType(), true
	case info.Kind == "d":
		return c.resolve(info.Base)
	case info.Kind == "b" && info.Name == "citext":
		t := textType()
		t.equals = appendFolded
		return t, true
	case info.Category == "A":
		element, ok := c.resolve(info.Element)
		if !ok || element.format != pgtype.BinaryFormatCode {
			return valueType{}, false
		}
		return valueType{format: pgtype.BinaryFormatCode, encode: arrayOf(element.encode), text: true}, true
	}
	return valueType{}, false
}

// castFor is a cast of a column whose type is not supported to one that is.
func (c catalog) castFor(column string, oid uint32) string {
	name := pgx.Identifier{column}.Sanitize()
	switch info := c[oid]; {
	case oid == moneyOID:
		return name + "::numeric"
	case oid == timetzOID:
		return "(" + name + " AT TIME ZONE 'UTC')::time"
	case info.Kind == "r":
		return "lower(" + name + ")"
	case info.Kind == "c":
		return "(" + name + ").field"
	case info.Category == "A":
		return name + "::text[]"
	default:
		return name + "::text"
	}
}
