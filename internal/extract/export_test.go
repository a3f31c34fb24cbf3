package extract

import "github.com/jackc/pgx/v5/pgconn"

// RowEncoder makes records of raw rows without a database.
type RowEncoder struct {
	rows *rowEncoder
	keys *keyReader
}

// NewRowEncoder returns the encoder of a spec over columns of built-in types.
func NewRowEncoder(spec Spec, oids ...uint32) (*RowEncoder, error) {
	fields := make([]pgconn.FieldDescription, len(oids))
	for i, oid := range oids {
		fields[i].DataTypeOID = oid
	}
	q, err := newQuery(nil, spec, fields, nil)
	if err != nil {
		return nil, err
	}
	return &RowEncoder{newRowEncoder(q), newKeyReader(q)}, nil
}

// Encode returns a row's record and key, or the code of its rejection.
func (e *RowEncoder) Encode(row [][]byte) (record, key []byte, code string, err error) {
	if err := e.keys.read(row); err != nil {
		return nil, nil, "", err
	}
	record, why := e.rows.encode(row)
	if why.reason != nil {
		return nil, nil, why.code, nil
	}
	return record, e.keys.text, "", nil
}
