package bulkv2_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bulkhead/internal/bulkv2"
)

// oneByOne is a reader that returns a byte at a time.
func oneByOne(s string) io.Reader { return iotest.OneByteReader(strings.NewReader(s)) }

// readAll reads results to their end. The first line is the header.
func readAll(r *bulkv2.Results) (lines [][]string, err error) {
	if h := r.Header(); h != nil {
		lines = append(lines, h)
	}
	for r.Next() {
		lines = append(lines, append([]string(nil), r.Record()...))
	}
	return lines, r.Err()
}

const failedHeader = `"sf__Id","sf__Error",Name,Note` + "\n"

func TestResultsAreReadLeniently(t *testing.T) {
	t.Parallel()
	header := []string{"sf__Id", "sf__Error", "Name", "Note"}
	for _, tt := range []struct {
		name, text string
		want       [][]string
	}{
		{"nothing", "", nil},
		{"only line ends", "\r\n\n", nil},
		{"header alone", failedHeader, [][]string{header}},
		{"header without line end", strings.TrimSuffix(failedHeader, "\n"), [][]string{header}},
		{"a record", failedHeader + "\"1\",\"X:y:--\",\"a\",\"b\"\n", [][]string{header, {"1", "X:y:--", "a", "b"}}},
		{"no line end at the end", failedHeader + `"1","e","a","b"`, [][]string{header, {"1", "e", "a", "b"}}},
		{"byte order mark", "\xEF\xBB\xBF" + failedHeader, [][]string{header}},
		{"CRLF", strings.ReplaceAll(failedHeader+"\"1\",\"e\",\"a\",b\n", "\n", "\r\n"), [][]string{header, {"1", "e", "a", "b"}}},
		{"line ends inside are kept", failedHeader + "\"1\",\"a\r\nb\rc\nd\",\"\r\n\",\"\n\"\n", [][]string{header, {"1", "a\r\nb\rc\nd", "\r\n", "\n"}}},
		{"doubled quotes", failedHeader + `"1","say ""hi""","""","""a"` + "\n", [][]string{header, {"1", `say "hi"`, `"`, `"a`}}},
		{"empty values", failedHeader + `"","",,""` + "\n", [][]string{header, {"", "", "", ""}}},
		{"delimiters inside", failedHeader + `"1","a,b","c,","` + "\n,\"\n", [][]string{header, {"1", "a,b", "c,", "\n,"}}},
		{"blank lines between", failedHeader + "\n\"1\",\"e\",\"a\",\"b\"\n\n\r\n", [][]string{header, {"1", "e", "a", "b"}}},
		{"quotes not doubled", failedHeader + `"1","bad "value" here","a","b"` + "\n", [][]string{header, {"1", `bad "value" here`, "a", "b"}}},
		{"quote not doubled before the end", failedHeader + `"1","bad "value"","a","b"` + "\n", [][]string{header, {"1", `bad "value"`, "a", "b"}}},
		{"quote not doubled before a comma", failedHeader + `"1","bad "value", here","a","b"` + "\n", [][]string{header, {"1", `bad "value", here`, "a", "b"}}},
		{"two of them, and another record", failedHeader + `"1","x "y", "z", w","a","b"` + "\n" + `"2","e","a","b"` + "\n", [][]string{header, {"1", `x "y", "z", w`, "a", "b"}, {"2", "e", "a", "b"}}},
		{"one stray quote", failedHeader + `"1","5" pipe","a","b"` + "\n" + `"2","e","a","b"` + "\n", [][]string{header, {"1", `5" pipe`, "a", "b"}, {"2", "e", "a", "b"}}},
		{"quote inside a bare value", failedHeader + `1,e,5" pipe,b` + "\n", [][]string{header, {"1", "e", `5" pipe`, "b"}}},
		{"one column", "Id\n\"a\"\n\"\"\n", [][]string{{"Id"}, {"a"}, {""}}},
		{"without sf__Id, of old versions", "\"sf__Error\",Name\n\"e\",\"a\"\n", [][]string{{"sf__Error", "Name"}, {"e", "a"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for how, r := range map[string]io.Reader{"at once": strings.NewReader(tt.text), "byte by byte": oneByOne(tt.text)} {
				got, err := readAll(bulkv2.ReadResults(r, bulkv2.ResultsOptions{}))
				if err != nil {
					t.Errorf("%s: %v", how, err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
			}
		})
	}
}

func TestResultsThatCannotBeReadAreAnError(t *testing.T) {
	t.Parallel()
	good := `"1","e","a","b"` + "\n"
	for _, tt := range []struct {
		name, text string
		read       int // records before the error
		truncated  bool
		message    string
	}{
		{"cut within a value", failedHeader + good + `"2","e","a`, 1, true, "record 2: ends within a quoted value: unexpected EOF"},
		{"cut between values", failedHeader + good + `"2","e"`, 1, true, "record 2: ends after 2 of 4 values: unexpected EOF"},
		{"cut after a comma", failedHeader + good + `"2",`, 1, true, "record 2: ends after 2 of 4 values: unexpected EOF"},
		{"cut within the header", `"sf__Id","sf__Er`, 0, true, "header: ends within a quoted value: unexpected EOF"},
		{"too few values", failedHeader + "\"1\",\"e\"\n" + good, 0, false, "record 1: 2 values, want 4"},
		{"too many values", failedHeader + good + "\"2\",\"e\",\"a\",\"b\",\"c\"\n" + good, 1, false, "record 2: 5 values, want 4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := bulkv2.ReadResults(oneByOne(tt.text), bulkv2.ResultsOptions{})
			n := 0
			for r.Next() {
				n++
			}
			var broken *bulkv2.ResultsError
			if !errors.As(r.Err(), &broken) || broken.Truncated != tt.truncated || bulkv2.Retryable(r.Err()) != tt.truncated || n != tt.read {
				t.Fatalf("got %v after %d records", r.Err(), n)
			}
			if r.Err().Error() != tt.message {
				t.Errorf("got %q, want %q", r.Err(), tt.message)
			}
			if r.Next() {
				t.Error("goes on after an error")
			}
		})
	}
}

func TestADownloadThatBreaksOffIsAnError(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, cut(200, failedHeader+"\"1\",\"e\",\"a\",\"b\"\n"))
	res, err := c.FailedResults(t.Context(), jobID)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Close()
	lines, err := readAll(res)
	if len(lines) != 2 || !errors.Is(err, io.ErrUnexpectedEOF) || !bulkv2.Retryable(err) {
		t.Errorf("got %d lines, %v", len(lines), err)
	}
	if want := "job " + jobID + ": failedResults: record 2: unexpected EOF"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestResultsAreAskedForAndUnpacked(t *testing.T) {
	t.Parallel()
	text := failedHeader + "\"1\",\"e\",\"a\",\"b\"\n"
	zipped := func(s string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, s)
		_ = z.Close()
		return b.String()
	}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		lines  int
		broken bool
	}{
		{"plain", reply(200, text, "Content-Type", "text/csv; charset=UTF-8"), 2, false},
		{"gzip", reply(200, zipped(text), "Content-Type", "text/csv", "Content-Encoding", "gzip"), 2, false},
		{"gzip cut short", reply(200, zipped(text)[:len(zipped(text))-4], "Content-Type", "text/csv", "Content-Encoding", "gzip"), 2, true},
		{"empty gzip", reply(200, "", "Content-Type", "text/csv", "Content-Encoding", "gzip"), 0, false},
		{"204", reply(204, ""), 0, false},
		{"empty", reply(200, "", "Content-Type", "text/csv"), 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, srv := serve(t, reply(502, "<html>"), reset, tt.answer)
			res, err := c.UnprocessedRecords(t.Context(), jobID)
			if err != nil {
				t.Fatal(err)
			}
			lines, err := readAll(res)
			if len(lines) != tt.lines || (err != nil) != tt.broken || res.Close() != nil {
				t.Errorf("got %q, %v", lines, err)
			}
			if r := srv.request(2); r.Header.Get("Accept-Encoding") != "gzip" || !strings.HasSuffix(r.URI, "/unprocessedrecords") {
				t.Errorf("asked for %s with Accept-Encoding %q", r.URI, r.Header.Get("Accept-Encoding"))
			}
		})
	}
}

func TestResultsThatAreNoCSVAreAnError(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"a page":     reply(200, "<html>", "Content-Type", "text/html"),
		"JSON":       reply(200, "[]", "Content-Type", "application/json;charset=UTF-8"),
		"compressed": reply(200, "x", "Content-Type", "text/csv", "Content-Encoding", "br"),
	} {
		c, srv := serve(t, answer)
		if _, err := c.SuccessfulResults(t.Context(), jobID); err == nil || !bulkv2.Retryable(err) || len(srv.seen()) != 3 {
			t.Errorf("%s: %v after %d requests", name, err, len(srv.seen()))
		}
	}
	c, _ := serve(t, refuse(404, "NOT_FOUND", "x"))
	if _, err := c.SuccessfulResults(t.Context(), jobID); !bulkv2.NotFound(err) {
		t.Errorf("got %v", err)
	}
}

func TestResultsOfAJobWithAnotherDelimiter(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]string{
		bulkv2.Tab: "\t", bulkv2.Pipe: "|", bulkv2.Semicolon: ";", bulkv2.Caret: "^", bulkv2.Backquote: "`", bulkv2.Comma: ",",
	} {
		c, _ := serve(t, reply(200, strings.Join([]string{`"sf__Id"`, `"sf__Created"`, "Name\n\"1\"", `"true"`, `"a` + d + `b"` + "\n"}, d)))
		res, err := c.Results(t.Context(), jobID, bulkv2.Successful, bulkv2.ResultsOptions{ColumnDelimiter: name})
		if err != nil {
			t.Fatal(err)
		}
		lines, err := readAll(res)
		if diff := cmp.Diff([][]string{{"sf__Id", "sf__Created", "Name"}, {"1", "true", "a" + d + "b"}}, lines); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		if res.Column("NAME") != 2 || res.Column(bulkv2.ColumnError) != -1 {
			t.Errorf("%s: Column finds %d and %d", name, res.Column("NAME"), res.Column(bulkv2.ColumnError))
		}
		_ = res.Close()
	}
	c, srv := serve(t, reply(500, ""))
	if _, err := c.Results(t.Context(), jobID, bulkv2.Successful, bulkv2.ResultsOptions{ColumnDelimiter: ","}); err == nil || len(srv.seen()) > 0 {
		t.Errorf("an unknown delimiter: %v", err)
	}
}

func TestValuesStayAfterTheNextRecord(t *testing.T) {
	t.Parallel()
	r := bulkv2.ReadResults(strings.NewReader(failedHeader+"\"1\",\"e\",\"a\",\"b\"\n\"2\",\"f\",\"c\",\"d\"\n"), bulkv2.ResultsOptions{})
	r.Next()
	first := r.Record()[2]
	r.Next()
	if first != "a" {
		t.Errorf("the value has become %q", first)
	}
}

// TestWhatAWriterQuotesTheReaderReturns is the property that matters: no value is changed on the way.
func TestWhatAWriterQuotesTheReaderReturns(t *testing.T) {
	t.Parallel()
	value := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.SampledFrom([]rune("\",\r\n a")), 0, 8, -1))
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(1, 5).Draw(t, "columns")
		want := rapid.SliceOfN(rapid.SliceOfN(value, columns, columns), 1, 10).Draw(t, "records")
		for i := range columns {
			want[0][i] = fmt.Sprintf("column%d", i)
		}
		all := rapid.Bool().Draw(t, "quote all")
		text := write(want, all, rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "line end"))
		size := rapid.IntRange(1, 64).Draw(t, "read size")
		got, err := readAll(bulkv2.ReadResults(&chunked{text, size}, bulkv2.ResultsOptions{}))
		if err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got) of %q:\n%s", text, diff)
		}
	})
}

// write quotes all values, or those only that need it.
func write(records [][]string, all bool, lineEnd string) string {
	var b strings.Builder
	for i, r := range records {
		for j, v := range r {
			if j > 0 {
				b.WriteByte(',')
			}
			if i > 0 && (all || len(r) == 1 || strings.ContainsAny(v, "\",\r\n")) {
				v = `"` + strings.ReplaceAll(v, `"`, `""`) + `"`
			}
			b.WriteString(v)
		}
		b.WriteString(lineEnd)
	}
	return b.String()
}

// chunked is a reader that returns so many bytes at a time.
type chunked struct {
	text string
	size int
}

func (c *chunked) Read(p []byte) (int, error) {
	if c.text == "" {
		return 0, io.EOF
	}
	n := copy(p, c.text[:min(c.size, len(c.text))])
	c.text = c.text[n:]
	return n, nil
}

// FuzzResults checks that the reader ends, returns whole records only, and reads the same however the bytes arrive; and
// that what encoding/csv accepts is read alike.
func FuzzResults(f *testing.F) {
	f.Add([]byte(failedHeader+"\"1\",\"a \"\"b\"\"\r\n\",\"c\",\"d\"\n"), 7)
	f.Add([]byte("\xEF\xBB\xBF\"a\",b\r\n\"x \"y\", z\",\"1\"\r\n"), 1)
	f.Add([]byte("a\n\"\"\n\n"), 2)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		size = max(1, min(size, 100))
		got, err := readAll(bulkv2.ReadResults(bytes.NewReader(text), bulkv2.ResultsOptions{}))
		again, againErr := readAll(bulkv2.ReadResults(&chunked{string(text), size}, bulkv2.ResultsOptions{}))
		if diff := cmp.Diff(got, again); diff != "" || fmt.Sprint(err) != fmt.Sprint(againErr) {
			t.Fatalf("%v, in parts of %d bytes %v:\n%s", err, size, againErr, diff)
		}
		for _, record := range got {
			if len(record) != len(got[0]) {
				t.Fatalf("a record of %d values under a header of %d", len(record), len(got[0]))
			}
		}
		if bytes.Contains(text, []byte("\r")) || bytes.HasPrefix(text, []byte("\xEF\xBB\xBF")) {
			return // encoding/csv changes these
		}
		if want, strictErr := csv.NewReader(bytes.NewReader(text)).ReadAll(); strictErr == nil {
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Fatalf("encoding/csv reads it otherwise, %v (-want +got):\n%s", err, diff)
			}
		}
	})
}

func BenchmarkResults(b *testing.B) {
	record := `"0038d00000AbCdEAAV","REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --","4711","Ada","","ada@example.org","12 Main Street","1234.50"` + "\n"
	text := []byte(`"sf__Id","sf__Error",Legacy_Id__c,FirstName,LastName,Email,Street,Amount` + "\n" + strings.Repeat(record, 50_000))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r := bulkv2.ReadResults(bytes.NewReader(text), bulkv2.ResultsOptions{})
		n := 0
		for r.Next() {
			n++
		}
		if n != 50_000 || r.Err() != nil {
			b.Fatal(n, r.Err())
		}
	}
}
