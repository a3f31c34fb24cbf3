package extract

import (
	"encoding/binary"
	"math"
	"strconv"
)

// An encoder appends a value's text to dst, unquoted. It returns why the value
// cannot be sent, or nil; then what it appended is for people to see. It must not
// allocate unless it gives a reason.
type encoder func(dst, raw []byte) ([]byte, *reason)

// reason says why a value or a record is rejected.
type reason struct{ code, message string }

// The codes of rejections. They stand in the reconciliation table beside
// Salesforce's own codes.
const (
	codeInvalidNumber       = "INVALID_NUMBER"
	codeInvalidText         = "INVALID_TEXT"
	codeInvalidDate         = "INVALID_DATE"
	codeInvalidTime         = "INVALID_TIME"
	codeInvalidMultiselect  = "INVALID_MULTISELECT"
	codeNullMarkerText      = "NULL_MARKER_TEXT"
	codeStringTooLong       = "STRING_TOO_LONG"
	codeRecordTooLarge      = "RECORD_TOO_LARGE"
	codeDuplicateExternalID = "DUPLICATE_EXTERNAL_ID"
)

// malformed is the reason for raw bytes that are no value of their type, which no
// Postgres sends.
func malformed(dst []byte, code, typ string) ([]byte, *reason) {
	return dst, &reason{code, "the database sent bytes that are no " + typ + "; this is a bug, please report it"}
}

func appendBool(dst, raw []byte) ([]byte, *reason) {
	if len(raw) != 1 {
		return malformed(dst, codeInvalidText, "boolean")
	}
	return strconv.AppendBool(dst, raw[0] != 0), nil
}

func appendInt2(dst, raw []byte) ([]byte, *reason) {
	if len(raw) != 2 {
		return malformed(dst, codeInvalidNumber, "smallint")
	}
	return strconv.AppendInt(dst, int64(int16(binary.BigEndian.Uint16(raw))), 10), nil
}

func appendInt4(dst, raw []byte) ([]byte, *reason) {
	if len(raw) != 4 {
		return malformed(dst, codeInvalidNumber, "integer")
	}
	return strconv.AppendInt(dst, int64(int32(binary.BigEndian.Uint32(raw))), 10), nil
}

func appendInt8(dst, raw []byte) ([]byte, *reason) {
	if len(raw) != 8 {
		return malformed(dst, codeInvalidNumber, "bigint")
	}
	return strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(raw)), 10), nil
}

func appendOID(dst, raw []byte) ([]byte, *reason) {
	if len(raw) != 4 {
		return malformed(dst, codeInvalidNumber, "oid")
	}
	return strconv.AppendUint(dst, uint64(binary.BigEndian.Uint32(raw)), 10), nil
}

func appendFloat4(dst, raw []byte) ([]byte, *reason) {
	if len(raw) != 4 {
		return malformed(dst, codeInvalidNumber, "real")
	}
	return appendFloat(dst, float64(math.Float32frombits(binary.BigEndian.Uint32(raw))), 32)
}

func appendFloat8(dst, raw []byte) ([]byte, *reason) {
	if len(raw) != 8 {
		return malformed(dst, codeInvalidNumber, "double precision")
	}
	return appendFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(raw)), 64)
}

// appendFloat appends the shortest decimal that reads back as f, never with an
// exponent.
func appendFloat(dst []byte, f float64, bits int) ([]byte, *reason) {
	switch {
	case math.IsNaN(f):
		return notFinite(dst, "NaN")
	case math.IsInf(f, 0):
		return notFinite(dst, infinity(f < 0))
	case f == 0:
		return append(dst, '0'), nil // also for -0
	}
	return strconv.AppendFloat(dst, f, 'f', -1, bits), nil
}

// keyFloat4 and keyFloat8 append what Postgres reads back as the same value.
func keyFloat4(dst, raw []byte) ([]byte, *reason) {
	dst, _ = appendFloat4(dst, raw)
	return dst, nil
}

func keyFloat8(dst, raw []byte) ([]byte, *reason) {
	dst, _ = appendFloat8(dst, raw)
	return dst, nil
}

func infinity(negative bool) string {
	if negative {
		return "-Infinity"
	}
	return "Infinity"
}

// notFinite appends a value that is no number and says so.
func notFinite(dst []byte, value string) ([]byte, *reason) {
	return append(dst, value...), &reason{codeInvalidNumber, "value is " + value + ", which is no number in Salesforce"}
}

// The head of a binary numeric is four 16-bit words (src/backend/utils/adt/
// numeric.c, numeric_send): how many digits of base 10,000 follow, the power of
// 10,000 of the first, the sign, and how many decimals are shown.
const (
	numericHead     = 8
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericPosInf   = 0xD000
	numericNegInf   = 0xF000
)

// appendNumeric appends a numeric as Postgres writes it: all digits, no exponent.
func appendNumeric(dst, raw []byte) ([]byte, *reason) {
	if len(raw) < numericHead || len(raw) != numericHead+2*int(binary.BigEndian.Uint16(raw)) {
		return malformed(dst, codeInvalidNumber, "numeric")
	}
	switch binary.BigEndian.Uint16(raw[4:]) {
	case numericNaN:
		return notFinite(dst, "NaN")
	case numericPosInf:
		return notFinite(dst, infinity(false))
	case numericNegInf:
		return notFinite(dst, infinity(true))
	case numericNegative:
		dst = append(dst, '-')
	}
	weight := int(int16(binary.BigEndian.Uint16(raw[2:])))
	decimals := int(binary.BigEndian.Uint16(raw[6:]))
	digits := raw[numericHead:]

	dst = appendIntegerPart(dst, digits, weight)
	if decimals == 0 {
		return dst, nil
	}
	dst = append(dst, '.')
	for power := -1; decimals > 0; power-- {
		var group [4]byte
		putGroup(&group, groupAt(digits, weight, power))
		n := min(decimals, 4)
		dst = append(dst, group[:n]...)
		decimals -= n
	}
	return dst, nil
}

// appendIntegerPart appends the digits before the decimal point, without leading
// zeros.
func appendIntegerPart(dst, digits []byte, weight int) []byte {
	if weight < 0 {
		return append(dst, '0')
	}
	dst = strconv.AppendUint(dst, uint64(groupAt(digits, weight, weight)), 10)
	for power := weight - 1; power >= 0; power-- {
		var group [4]byte
		putGroup(&group, groupAt(digits, weight, power))
		dst = append(dst, group[:]...)
	}
	return dst
}

// groupAt is the digit of base 10,000 at a power of it; those not sent are zero.
func groupAt(digits []byte, weight, power int) uint16 {
	i := 2 * (weight - power)
	if i < 0 || i >= len(digits) {
		return 0
	}
	return binary.BigEndian.Uint16(digits[i:])
}

func putGroup(group *[4]byte, n uint16) {
	group[0], group[1], group[2], group[3] = '0'+byte(n/1000%10), '0'+byte(n/100%10), '0'+byte(n/10%10), '0'+byte(n%10)
}

// keyNumeric appends what Postgres reads back as the same value.
func keyNumeric(dst, raw []byte) ([]byte, *reason) {
	dst, _ = appendNumeric(dst, raw)
	return dst, nil
}
