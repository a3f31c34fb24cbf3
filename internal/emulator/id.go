package emulator

import "strings"

// Salesforce ids are 15 characters of base 62: a key prefix of three that names
// the object, two for the instance, one in reserve, nine counting up. The form
// of 18 adds a checksum of the letters' case, so that it survives being
// compared or stored without case.
const (
	idDigits   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	idChecksum = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
	idInstance = "Em0"
	idShort    = 15
	idLong     = 18
)

// appendID appends the 18 character id of the seq-th record under a prefix.
func appendID(dst []byte, prefix string, seq int64) []byte {
	start := len(dst)
	dst = append(dst, prefix...)
	dst = append(dst, idInstance...)
	var digits [9]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = idDigits[seq%62]
		seq /= 62
	}
	dst = append(dst, digits[:]...)
	for group := range 3 {
		dst = append(dst, checksum(dst[start+5*group:start+5*group+5]))
	}
	return dst
}

func makeID(prefix string, seq int64) string {
	return string(appendID(make([]byte, 0, idLong), prefix, seq))
}

// checksum tells which of five characters are upper case letters.
func checksum(five []byte) byte {
	bits := 0
	for i, c := range five {
		if c >= 'A' && c <= 'Z' {
			bits |= 1 << i
		}
	}
	return idChecksum[bits]
}

// canonicalID returns the 18 character form of an id of 15 or 18. Of a long
// one the checksum decides the case of the letters, as in Salesforce, so an id
// that a spreadsheet has folded is still the same id.
func canonicalID(s string) (string, bool) {
	if len(s) != idShort && len(s) != idLong {
		return "", false
	}
	var id [idLong]byte
	copy(id[:], s)
	for _, c := range id[:len(s)] {
		if !isAlphanumeric(c) {
			return "", false
		}
	}
	for group := range 3 {
		five := id[5*group : 5*group+5]
		if len(s) == idLong && !restoreCase(five, id[idShort+group]) {
			return "", false
		}
		id[idShort+group] = checksum(five)
	}
	if s == string(id[:]) {
		return s, true
	}
	return string(id[:]), true
}

// restoreCase gives five characters the case that their checksum says; false
// when a digit is where the checksum wants a letter.
func restoreCase(five []byte, sum byte) bool {
	if sum >= 'a' && sum <= 'z' {
		sum -= 'a' - 'A'
	}
	bits := strings.IndexByte(idChecksum, sum)
	if bits < 0 {
		return false
	}
	for i, c := range five {
		upper := bits&(1<<i) != 0
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		switch {
		case upper && !letter:
			return false
		case upper:
			five[i] = c &^ 0x20
		case letter:
			five[i] = c | 0x20
		}
	}
	return true
}

// idSequence returns the number within its object of a canonical id that this
// org has handed out.
func idSequence(id string) (int64, bool) {
	if len(id) != idLong || id[3:6] != idInstance {
		return 0, false
	}
	var seq int64
	for _, c := range []byte(id[6:idShort]) {
		seq = seq*62 + int64(strings.IndexByte(idDigits, c))
	}
	return seq, true
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}
