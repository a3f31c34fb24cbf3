package spool

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// Writer writes one chunk. It is for one goroutine. Every Writer ends with
// Commit or Abort; after an error only Abort makes sense.
type Writer struct {
	spool *Spool
	name  string
	path  string // of the finished files, less their endings

	csv, keys *sumFile
	rejected  *sumFile // nil until there is a rejection
	headerLen int64
	info      Info // its CRC is set by Commit
	scratch   []byte
	done      bool
}

// Info is what a finished chunk holds. Bytes and CRC32C are of the CSV, header
// included.
type Info struct {
	Rows, Rejected, Bytes int64
	CRC32C                uint32
}

// Rejection is a source row that was refused before upload.
type Rejection struct {
	Key     string          `json:"key"`
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Field   string          `json:"field,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"` // the record as a JSON object
}

// newWriter makes the temporary files, that of the CSV first: see createFile.
func newWriter(s *Spool, name, path string, header []byte) (*Writer, error) {
	w := &Writer{spool: s, name: name, path: path, headerLen: int64(len(header))}
	err := s.makeDirs(filepath.Dir(path))
	if err != nil {
		return nil, w.wrap(writeError(s.dir, 0, 0, err))
	}
	if w.csv, err = w.create(csvExt, bufferSize); err != nil {
		return nil, w.wrap(err)
	}
	if w.keys, err = w.create(keysExt, bufferSize/4); err != nil {
		return nil, w.wrap(errors.Join(err, w.Abort()))
	}
	if _, err := w.csv.Write(header); err != nil {
		return nil, w.wrap(errors.Join(err, w.Abort()))
	}
	w.info.Bytes = w.headerLen
	return w, nil
}

// Append adds a record, its line end included, and the key of its source row.
// It keeps neither slice.
func (w *Writer) Append(key, record []byte) error {
	if len(record) == 0 || record[len(record)-1] != '\n' {
		return w.wrap(fmt.Errorf("record %d does not end its line", w.info.Rows+1))
	}
	if _, err := w.csv.Write(record); err != nil {
		return w.wrap(err)
	}
	w.scratch = binary.AppendUvarint(w.scratch[:0], uint64(len(record)))
	w.scratch = binary.AppendUvarint(w.scratch, uint64(len(key)))
	w.scratch = append(w.scratch, key...)
	if _, err := w.keys.Write(w.scratch); err != nil {
		return w.wrap(err)
	}
	w.info.Rows++
	w.info.Bytes += int64(len(record))
	return nil
}

// Reject adds a row that is not to be uploaded.
func (w *Writer) Reject(r Rejection) error {
	if w.rejected == nil {
		var err error
		if w.rejected, err = w.create(rejectedExt, bufferSize/4); err != nil {
			return w.wrap(err)
		}
	}
	line := json.NewEncoder(w.rejected)
	line.SetEscapeHTML(false) // only people and we read it
	if err := line.Encode(r); err != nil {
		return w.wrap(fmt.Errorf("rejected row %q: %w", r.Key, err))
	}
	w.info.Rejected++
	return nil
}

// Bytes is the length of the CSV so far, header included.
func (w *Writer) Bytes() int64 { return w.info.Bytes }

// Rows is how many records were appended.
func (w *Writer) Rows() int64 { return w.info.Rows }

// Rejected is how many rows were rejected.
func (w *Writer) Rejected() int64 { return w.info.Rejected }

// Commit finishes the chunk. When it returns nil, the chunk survives a crash of
// the machine; when it does not, the chunk is gone as after Abort.
func (w *Writer) Commit() (Info, error) {
	if w.done {
		return Info{}, w.wrap(errors.New("already committed or aborted"))
	}
	size, err := w.finish()
	if err != nil {
		return Info{}, w.wrap(errors.Join(err, w.Abort()))
	}
	w.done = true
	w.spool.hold(w.name, size)
	return w.info, nil
}

// Abort removes what was written. After Commit it does nothing, so that it can
// be deferred.
func (w *Writer) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	var errs []error
	for _, part := range w.parts() {
		// The chunk's own names too, in case Commit failed half way; what had
		// them before us is gone since Create.
		for _, path := range []string{w.path + part.ext, w.path + part.ext + tmpExt} {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		_ = part.file.disk.file.Close() // a second time after a failed Commit, at worst
	}
	return errors.Join(errs...)
}

// part is one of a chunk's files.
type part struct {
	file *sumFile
	ext  string
}

// parts are the files of the chunk that were made, the CSV last: its lock covers
// the others, and its name makes them a chunk.
func (w *Writer) parts() []part {
	all := []part{{w.rejected, rejectedExt}, {w.keys, keysExt}, {w.csv, csvExt}}
	return slices.DeleteFunc(all, func(p part) bool { return p.file == nil })
}

// finish makes the files durable under their temporary names, renames them, and
// makes the names durable. It returns the bytes of all files.
func (w *Writer) finish() (int64, error) {
	if err := w.seal(); err != nil {
		return 0, err
	}
	var size int64
	for _, part := range w.parts() {
		if err := part.file.sync(); err != nil {
			return 0, err
		}
		if err := publish(part.file.disk.file, w.path+part.ext+tmpExt, w.path+part.ext); err != nil {
			return 0, err
		}
		size += part.file.disk.bytes
	}
	return size, w.syncDirs()
}

// seal writes what can only be known at the end.
func (w *Writer) seal() error {
	if err := w.csv.Flush(); err != nil {
		return err
	}
	if err := w.keys.Flush(); err != nil {
		return err
	}
	w.info.CRC32C = w.csv.disk.crc
	foot := footer{
		headerBytes: w.headerLen,
		csvBytes:    w.info.Bytes,
		rows:        w.info.Rows,
		rejected:    w.info.Rejected,
		csvCRC:      w.info.CRC32C,
		keysCRC:     w.keys.disk.crc,
	}
	_, err := w.keys.Write(foot.encode())
	return err
}

// syncDirs makes the names of the chunk and of its directories durable.
func (w *Writer) syncDirs() error {
	for dir := filepath.Dir(w.path); ; dir = filepath.Dir(dir) {
		if err := syncDir(dir); err != nil {
			return err
		}
		if dir == w.spool.dir || len(dir) < len(w.spool.dir) {
			return nil
		}
	}
}

// create makes a temporary file of this chunk.
func (w *Writer) create(ext string, buffer int) (*sumFile, error) {
	f, err := w.spool.createFile(w.path + ext + tmpExt)
	if err != nil {
		return nil, writeError(w.spool.dir, 0, 0, err)
	}
	return newSumFile(f, w.spool.dir, buffer), nil
}

func (w *Writer) wrap(err error) error {
	return fmt.Errorf("spool %q: %w", w.name, err)
}

// syncDir makes the entries of a directory durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it has no such call; NTFS journals its directories
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
