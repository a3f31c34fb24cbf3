package extract_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/extract"
)

func text(s string) *string { return &s }

func TestRejections(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	s := spec(`VALUES
		(1, 'fits 😀😀', 1.5::numeric, 'x'),
		(2, 'does not fit', NULL, ''),
		(3, NULL, 'NaN', E'a\r\nb'),
		(4, 'ok', 2, '#N/A')`, 3)
	s.Columns[0].MaxChars = 7
	chunks, err := stream(t.Context(), conn, s)
	if err != nil {
		t.Fatal(err)
	}
	want := []rejection{
		{
			"2", "STRING_TOO_LONG", "value has 12 characters, the field holds 7", "F1",
			map[string]*string{"F1": text("does not fit"), "F2": nil, "F3": text("")},
		},
		{
			"3", "INVALID_NUMBER", "value is NaN, which is no number in Salesforce", "F2",
			map[string]*string{"F1": nil, "F2": text("NaN"), "F3": text("a\nb")},
		},
		{
			"4", "NULL_MARKER_TEXT", "text is exactly #N/A, which Salesforce takes for a null and not for a text", "F3",
			map[string]*string{"F1": text("ok"), "F2": text("2"), "F3": text("#N/A")},
		},
	}
	if diff := cmp.Diff(want, chunks[0].rejected); diff != "" {
		t.Errorf("rejections (-want +got):\n%s", diff)
	}
	wantChunk := extract.Chunk{High: []string{"4"}, Rows: 1, Rejected: 3, Bytes: int64(len("F1,F2,F3\nfits 😀😀,1.5,x\n"))}
	if diff := cmp.Diff(wantChunk, chunks[0].Chunk); diff != "" {
		t.Errorf("chunk (-want +got):\n%s", diff)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	for name, test := range map[string]struct {
		values   string
		maxBytes int64
		want     rejection
	}{
		"field": {
			"'a', repeat('é', 131073)", 10_000_000,
			rejection{
				"1", "RECORD_TOO_LARGE", "value has 131073 characters, Salesforce takes at most 131072 in a field", "F2",
				map[string]*string{"F1": text("a"), "F2": text(strings.Repeat("é", 1000) + "… (cut here; the value has 131073 characters)")},
			},
		},
		"field limit":             {"'a', repeat('é', 131072)", 10_000_000, rejection{}},
		"field limit with quotes": {`repeat('"', 131072), 'b'`, 10_000_000, rejection{}},
		"record": {
			"repeat('a', 131072), repeat('b', 131072), repeat('c', 131072), repeat('d', 10000)", 10_000_000,
			rejection{
				"1", "RECORD_TOO_LARGE", "the record has 403216 characters, Salesforce takes at most 400000", "",
				map[string]*string{
					"F1": text(strings.Repeat("a", 1000) + "… (cut here; the value has 131072 characters)"),
					"F2": text(strings.Repeat("b", 1000) + "… (cut here; the value has 131072 characters)"),
					"F3": text(strings.Repeat("c", 1000) + "… (cut here; the value has 131072 characters)"),
					"F4": text(strings.Repeat("d", 1000) + "… (cut here; the value has 10000 characters)"),
				},
			},
		},
		"chunk": {
			"'12345678', '12345'", 20,
			rejection{
				"1", "RECORD_TOO_LARGE", "the record and the CSV's header have 21 bytes, a chunk holds 20", "",
				map[string]*string{"F1": text("12345678"), "F2": text("12345")},
			},
		},
		"chunk limit": {"'12345678', '1234'", 20, rejection{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := spec("SELECT 1, "+test.values, strings.Count(test.values, ", '")+strings.Count(test.values, ", repeat")+1)
			s.MaxBytes = test.maxBytes
			chunks, err := stream(t.Context(), conn, s)
			if err != nil {
				t.Fatal(err)
			}
			var got rejection
			if len(chunks[0].rejected) > 0 {
				got = chunks[0].rejected[0]
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("rejection (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDuplicateExternalIDs(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	const rows = `VALUES (1, 'A-1'), (2, 'a-1'), (3, ' A-1 '), (4, NULL), (5, NULL), (6, ''), (7, ''), (8, 'É'), (9, 'é')`
	for name, test := range map[string]struct {
		fold bool
		want []string
	}{
		"by case":   {false, []string{"3"}},
		"case fold": {true, []string{"2", "3", "9"}},
	} {
		s := spec(rows, 1)
		s.ExternalID, s.FoldExternalID = 0, test.fold
		chunks, err := stream(t.Context(), conn, s)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range chunks[0].rejected {
			got = append(got, r.Key)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: rejected (-want +got):\n%s", name, diff)
		}
		first := chunks[0].rejected[0]
		if first.Code != "DUPLICATE_EXTERNAL_ID" || first.Field != "F1" || !strings.HasPrefix(first.Message, "row 1 has the same external id") {
			t.Errorf("%s: %+v", name, first)
		}
		// Each chunk is a job of its own.
		s.MaxRows = 1
		chunks, err = stream(t.Context(), conn, s)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range chunks {
			if len(c.rejected) > 0 {
				t.Errorf("%s: rejected across chunks: %+v", name, c.rejected)
			}
		}
	}
}

func TestDuplicateExternalIDsOfManyRows(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	s := spec("SELECT i, i % 5000 FROM generate_series(1, 20000) i", 1)
	s.ExternalID, s.MaxRows = 0, 1_000_000
	chunks, err := stream(t.Context(), conn, s)
	if err != nil {
		t.Fatal(err)
	}
	if c := chunks[0]; c.Rows != 5000 || c.Rejected != 15000 {
		t.Errorf("%d rows and %d rejected, want 5000 and 15000", c.Rows, c.Rejected)
	}
}

func TestExternalIDThatIsTheKey(t *testing.T) {
	t.Parallel()
	conn := connect(t, "")
	for fold, want := range map[bool]int64{false: 0, true: 1} {
		s := spec("VALUES ('a', 1), ('A', 2)", 1)
		s.Columns[0].Index = 0
		s.ExternalID, s.FoldExternalID = 0, fold
		chunks, err := stream(t.Context(), conn, s)
		if err != nil {
			t.Fatal(err)
		}
		if got := chunks[0].Rejected; got != want {
			t.Errorf("folding %v: %d rejected, want %d", fold, got, want)
		}
	}
}
