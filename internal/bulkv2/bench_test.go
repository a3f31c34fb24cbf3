package bulkv2_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"bulkhead/internal/bulkv2"
)

// fileBody is a body as runs send it: a file.
type fileBody struct {
	path string
	size int64
}

func (f fileBody) Open() (io.ReadCloser, error) { return os.Open(f.path) }
func (f fileBody) Size() int64                  { return f.size }

// BenchmarkUpload puts a chunk of 28 MB to a server that throws it away.
func BenchmarkUpload(b *testing.B) {
	content := bytes.Repeat([]byte("a record of this length and no other, again and again\n"), 520_000)
	body := fileBody{filepath.Join(b.TempDir(), "chunk.csv"), int64(len(content))}
	if err := os.WriteFile(body.path, content, 0o600); err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	}))
	b.Cleanup(srv.Close)
	c, err := bulkv2.New(bulkv2.Config{HTTP: srv.Client(), InstanceURL: srv.URL})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(body.size)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Upload(b.Context(), jobID, body); err != nil {
			b.Fatal(err)
		}
	}
}
