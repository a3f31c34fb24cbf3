package extract

import (
	"encoding/binary"
	"math"
	"strconv"
)

// The years that Salesforce stores (Salesforce Help, "Custom Field Types": dates
// from 1700-01-01 to 4000-12-31).
const (
	minYear = 1700
	maxYear = 4000
)

// Postgres counts days and microseconds from 2000-01-01; its infinities are the
// ends of the range.
const (
	epochDays    = 10957 // from 1970-01-01 to 2000-01-01
	microsPerDay = 24 * 60 * 60 * 1_000_000
)

// appendDate appends a date as yyyy-MM-dd.
func appendDate(dst, raw []byte) ([]byte, *reason) {
	return dateAs(dst, raw, true)
}

// keyDate appends what Postgres reads back as the same date.
func keyDate(dst, raw []byte) ([]byte, *reason) {
	dst, _ = dateAs(dst, raw, false)
	return dst, nil
}

func dateAs(dst, raw []byte, limited bool) ([]byte, *reason) {
	if len(raw) != 4 {
		return malformed(dst, codeInvalidDate, "date")
	}
	days := int32(binary.BigEndian.Uint32(raw))
	if days == math.MaxInt32 || days == math.MinInt32 {
		return infiniteDate(dst, days < 0)
	}
	year, month, day := civil(days)
	if limited && (year < minYear || year > maxYear) {
		dst = appendYMD(dst, year, month, day)
		return outOfRange(appendEra(dst, year))
	}
	return appendEra(appendYMD(dst, year, month, day), year), nil
}

// appendTimestamp appends a timestamp, taken as UTC if it has no time zone, as
// yyyy-MM-ddTHH:mm:ssZ, with milliseconds when there are any. What is finer is cut
// off, as Salesforce keeps no more.
func appendTimestamp(dst, raw []byte) ([]byte, *reason) {
	if len(raw) != 8 {
		return malformed(dst, codeInvalidDate, "timestamp")
	}
	micros := int64(binary.BigEndian.Uint64(raw))
	if micros == math.MaxInt64 || micros == math.MinInt64 {
		return infiniteDate(dst, micros < 0)
	}
	days, rest := floorDays(micros)
	year, month, day := civil(days)
	if year < minYear || year > maxYear {
		dst, _ = keyTimestamp(dst, raw)
		return outOfRange(dst)
	}
	dst = append(appendYMD(dst, year, month, day), 'T')
	dst = appendHMS(dst, rest)
	if millis := rest / 1000 % 1000; millis != 0 {
		dst = appendMillis(dst, millis)
	}
	return append(dst, 'Z'), nil
}

// keyTimestamp appends what Postgres reads back as the same instant: with its
// microseconds, and with a zone, which a timestamp without one ignores.
func keyTimestamp(dst, raw []byte) ([]byte, *reason) {
	if len(raw) != 8 {
		return malformed(dst, codeInvalidDate, "timestamp")
	}
	micros := int64(binary.BigEndian.Uint64(raw))
	if micros == math.MaxInt64 || micros == math.MinInt64 {
		dst, _ = infiniteDate(dst, micros < 0)
		return dst, nil
	}
	days, rest := floorDays(micros)
	year, month, day := civil(days)
	dst = append(appendYMD(dst, year, month, day), ' ')
	dst = appendMicros(appendHMS(dst, rest), rest%1_000_000)
	return appendEra(append(dst, "+00"...), year), nil
}

// appendTime appends a time of day as HH:mm:ss.SSSZ, the form of Salesforce's time
// fields.
func appendTime(dst, raw []byte) ([]byte, *reason) {
	if len(raw) != 8 {
		return malformed(dst, codeInvalidTime, "time")
	}
	micros := int64(binary.BigEndian.Uint64(raw))
	if micros >= microsPerDay {
		return append(dst, "24:00:00"...), &reason{codeInvalidTime, "value is 24:00:00; Salesforce's times end at 23:59:59.999"}
	}
	return append(appendMillis(appendHMS(dst, micros), micros/1000%1000), 'Z'), nil
}

// keyTime appends what Postgres reads back as the same time.
func keyTime(dst, raw []byte) ([]byte, *reason) {
	if len(raw) != 8 {
		return malformed(dst, codeInvalidTime, "time")
	}
	micros := int64(binary.BigEndian.Uint64(raw))
	return appendMicros(appendHMS(dst, micros), micros%1_000_000), nil
}

func infiniteDate(dst []byte, negative bool) ([]byte, *reason) {
	value := "infinity"
	if negative {
		value = "-infinity"
	}
	return append(dst, value...), &reason{codeInvalidDate, "value is " + value + ", which is no date in Salesforce"}
}

func outOfRange(dst []byte) ([]byte, *reason) {
	return dst, &reason{codeInvalidDate, "Salesforce stores dates from 1700-01-01 to 4000-12-31 only"}
}

// floorDays splits microseconds into days and what is left of the last, also
// before the epoch.
func floorDays(micros int64) (days int32, rest int64) {
	whole, rest := micros/microsPerDay, micros%microsPerDay
	if rest < 0 {
		whole, rest = whole-1, rest+microsPerDay
	}
	return int32(whole), rest
}

// civil returns the date that is days after 2000-01-01 in the Gregorian calendar, by the algorithm of
// Neri and Schneider ("Euclidean affine functions and their application to calendar algorithms",
// 2022): years begin in March, so that the leap day comes last.
func civil(days int32) (year, month, day int64) {
	// From 0000-03-01, moved by whole cycles of 400 years so that it is never negative: Postgres' dates
	// begin in 4714 BC.
	const cycles, cycle = 12, 146_097
	n := 4*uint64(int64(days)+epochDays+719_468+cycles*cycle) + 3
	century, ofCentury := n/cycle, uint32(n%cycle)|3
	product := 2_939_745 * uint64(ofCentury)
	ofYear := uint32(product) / 2_939_745 / 4
	scaled := 2_141*ofYear + 197_913
	year, month, day = int64(100*century+product>>32)-400*cycles, int64(scaled>>16), int64(scaled&0xffff/2_141)+1
	if ofYear >= 306 {
		year, month = year+1, month-12
	}
	return year, month, day
}

// pairsOfDigits is the two digits of each number below 100.
const pairsOfDigits = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849" +
	"5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"

// twoDigits is n, which is below 100, in two digits.
func twoDigits(n int64) string {
	return pairsOfDigits[2*n : 2*n+2]
}

// appendYMD appends yyyy-MM-dd. The year 0 is 1 BC, as Postgres writes it.
func appendYMD(dst []byte, year, month, day int64) []byte {
	if year <= 0 {
		year = 1 - year
	}
	if year < 10_000 {
		dst = append(append(dst, twoDigits(year/100)...), twoDigits(year%100)...)
	} else {
		dst = strconv.AppendInt(dst, year, 10)
	}
	m, d := twoDigits(month), twoDigits(day)
	return append(dst, '-', m[0], m[1], '-', d[0], d[1])
}

// appendEra appends what tells years before Christ.
func appendEra(dst []byte, year int64) []byte {
	if year <= 0 {
		return append(dst, " BC"...)
	}
	return dst
}

// appendHMS appends HH:mm:ss of the microseconds since midnight.
func appendHMS(dst []byte, micros int64) []byte {
	seconds := micros / 1_000_000
	h, m, s := twoDigits(seconds/3600), twoDigits(seconds/60%60), twoDigits(seconds%60)
	return append(dst, h[0], h[1], ':', m[0], m[1], ':', s[0], s[1])
}

func appendMillis(dst []byte, millis int64) []byte {
	return append(dst, '.', '0'+byte(millis/100), '0'+byte(millis/10%10), '0'+byte(millis%10))
}

// appendMicros appends the fraction of a second in microseconds, if there is one.
func appendMicros(dst []byte, micros int64) []byte {
	if micros == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := int64(100_000); unit > 0; unit /= 10 {
		dst = append(dst, '0'+byte(micros/unit%10))
	}
	return dst
}
