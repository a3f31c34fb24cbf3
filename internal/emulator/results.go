package emulator

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
)

// serveResults streams one of a job's three results.
func (s *Server) serveResults(c *call, j *job, kind string) error {
	j.mu.Lock()
	current, header, spans := j.state, j.header, slices.Clone(j.spans)
	sizes := map[string]int64{"successfulresults": j.saved, "failedresults": j.refused}
	lag := j.lagging(kind)
	j.mu.Unlock()
	switch {
	case current == stateOpen, current == stateUploadComplete,
		current == stateInProgress && s.cfg.Modes.EarlyResults == EarlyResultsRefused:
		return errJobState("Results of a job in state %s are not available", current)
	}
	s.traffic.onDownload(kind)
	c.w.Header().Set("Content-Type", "text/csv; charset=UTF-8")
	out, finish := compressed(c.w, c.r)
	defer finish()
	// Nothing can be refused any more: what fails now cuts the answer short.
	d := j.dialect()
	if _, err := out.Write(resultHeader(d, kind, header)); err != nil || lag {
		return nil
	}
	var err error
	switch kind {
	case "successfulresults":
		err = j.copyResults(out, fileSuccessful, sizes[kind])
	case "failedresults":
		err = j.copyResults(out, fileFailed, sizes[kind])
	default:
		if current.ended() {
			err = j.copyUnprocessed(out, spans)
		}
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// resultHeader is the uploaded header as it was written, behind the columns
// that Salesforce adds, which are always quoted.
func resultHeader(d dialect, kind string, header []byte) []byte {
	var line []byte
	switch kind {
	case "successfulresults":
		line = append(line, `"sf__Id"`...)
		line = append(line, d.delimiter)
		line = append(line, `"sf__Created"`...)
	case "failedresults":
		line = append(line, `"sf__Id"`...)
		line = append(line, d.delimiter)
		line = append(line, `"sf__Error"`...)
	}
	if len(line) > 0 && len(header) > 0 {
		line = append(line, d.delimiter)
	}
	line = append(line, header...)
	return append(line, d.lineEnd()...)
}

// copyResults streams what a results file held when the request came.
func (j *job) copyResults(out io.Writer, name string, size int64) error {
	f, err := j.open(name)
	if f == nil || err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(out, io.LimitReader(f, size))
	return err
}

// copyUnprocessed prints the records that no batch got to, from the content.
func (j *job) copyUnprocessed(out io.Writer, spans []span) error {
	f, err := j.open(fileContent)
	if f == nil || err != nil {
		return err
	}
	defer f.Close()
	buffered := bufio.NewWriterSize(out, csvBuffer)
	p := printer{dialect: j.dialect(), out: buffered}
	for _, part := range spans {
		if part.done == part.rows {
			continue
		}
		if _, err := f.Seek(part.offset, io.SeekStart); err != nil {
			return err
		}
		if err := p.print(newCSVReader(f, part.offset), part); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// printer prints uploaded records with all values quoted.
type printer struct {
	dialect dialect
	out     *bufio.Writer
	line    []byte
	text    []byte
	ends    []int
}

// print skips what a batch has done and prints the rest of it.
func (p *printer) print(r *csvReader, part span) error {
	for n := 0; n < part.rows; {
		raw, err := r.next()
		if err != nil && !errors.Is(err, errOpenQuote) {
			return err
		}
		record, _ := p.dialect.cutEnd(raw, r.atEnd())
		if len(record) == 0 {
			continue
		}
		if n++; n <= part.done {
			continue
		}
		// The job may have failed for the wrong line ends.
		record = bytes.TrimSuffix(record, []byte{'\r'})
		if err := p.printRecord(record); err != nil {
			return err
		}
	}
	return nil
}

func (p *printer) printRecord(raw []byte) error {
	p.text, p.ends, _ = split(p.text[:0], p.ends[:0], raw, p.dialect.delimiter)
	p.line = p.line[:0]
	start := 0
	for i, end := range p.ends {
		if i > 0 {
			p.line = append(p.line, p.dialect.delimiter)
		}
		p.line = appendQuoted(p.line, string(p.text[start:end]))
		start = end
	}
	p.line = append(p.line, p.dialect.lineEnd()...)
	_, err := p.out.Write(p.line)
	return err
}
