package reconcile

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A number has one canonical form however it is written, and different numbers have different ones.
func TestNumbersAreComparedAsNumbers(t *testing.T) {
	t.Parallel()
	number := rapid.StringMatching(`-?[0-9]{1,6}(\.[0-9]{1,4})?([eE]-?[0-9])?`)
	rapid.Check(t, func(rt *rapid.T) {
		a, b := number.Draw(rt, "a"), number.Draw(rt, "b")
		x, okX := new(big.Rat).SetString(a)
		y, okY := new(big.Rat).SetString(b)
		if !okX || !okY {
			rt.Skip("not a number after all")
		}
		same := bytes.Equal(appendCanonical(nil, []byte(a)), appendCanonical(nil, []byte(b)))
		if same != (x.Cmp(y) == 0) {
			rt.Fatalf("%s and %s: %s and %s", a, b, appendCanonical(nil, []byte(a)), appendCanonical(nil, []byte(b)))
		}
	})
}

func TestCanonicalForms(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "#N/A": "", "  ": "", " Ab ": "ab", "0": "0", "-0.00": "0", "1e400": "1e400", "1e99999": "1e99999", ".": ".", "-": "-", "e5": "e5",
		"2024-01-01T00:00:00Z": "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.500+0000": "2024-01-01T00:00:00.5Z",
		"2024-01-01T00:00:00.000+05:30": "2024-01-01T00:00:00+05:30", "2024-01-01": "2024-01-01", "1.2.3": "1.2.3",
	} {
		if got := string(appendCanonical(nil, []byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestSplitReadsWhatACSVWriterWrites(t *testing.T) {
	t.Parallel()
	var s splitter
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.SliceOfN(rapid.StringMatching(`[a",\n é]{0,6}`), 2, 5).Draw(rt, "values")
		var line bytes.Buffer
		w := csv.NewWriter(&line)
		if err := w.Write(want); err != nil {
			rt.Fatal(err)
		}
		w.Flush()
		got := s.split(line.Bytes())
		if len(got) != len(want) {
			rt.Fatalf("%q: %d fields, want %d", line.String(), len(got), len(want))
		}
		for i := range got {
			if string(got[i]) != want[i] {
				rt.Fatalf("%q: field %d is %q, want %q", line.String(), i, got[i], want[i])
			}
		}
	})
}

func FuzzSplitNeverPanics(f *testing.F) {
	f.Add([]byte("a,\"b\"\"c\",\n"))
	f.Add([]byte("\"unclosed"))
	f.Fuzz(func(_ *testing.T, record []byte) {
		var s splitter
		s.split(record)
	})
}

func FuzzPayloadIsJSON(f *testing.F) {
	f.Add("Name", "a\x00\"\\\n\u2028\xff")
	f.Fuzz(func(t *testing.T, name, value string) {
		text := appendPayload(nil, []string{name, "Last"}, []string{value, "x"})
		var back map[string]*string
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		clean := strings.ReplaceAll(strings.ToValidUTF8(value, "\uFFFD"), "\x00", "")
		if value != "" && value != "#N/A" && name != "Last" && name == strings.ToValidUTF8(name, "") && !strings.Contains(name, "\x00") {
			if got := back[name]; got == nil || fmt.Sprint([]rune(*got)) != fmt.Sprint([]rune(strings.ToValidUTF8(clean, "\uFFFD"))) && len(*got) < len(clean) {
				t.Errorf("%q: got %v from %s", value, got, text)
			}
		}
	})
}
