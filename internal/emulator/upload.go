package emulator

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
)

// createMultipart takes job and content in one request; the job is closed by
// it (Bulk API 2.0 guide, "Create a Job", multipart).
func (s *Server) createMultipart(c *call, boundary string) error {
	parts := multipart.NewReader(c.r.Body, boundary)
	part, err := parts.NextPart()
	if err != nil || part.FormName() != "job" {
		return invalidJob("Multipart request must start with a part named job")
	}
	j, err := s.newJob(c, part)
	if err != nil {
		return err
	}
	part, err = parts.NextPart()
	if err == nil && part.FormName() != "content" {
		err = errors.New("unexpected part")
	}
	if err != nil {
		return errors.Join(invalidJob("Multipart request must have a part named content"), c.org.jobs.delete(j))
	}
	size, err := j.receive(part, s.cfg.Limits.MultipartChars)
	if err != nil {
		return errors.Join(refusedContent(err, s.cfg.Limits.MultipartChars), c.org.jobs.delete(j))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.puts, j.size = 1, size
	s.start(c.org, j)
	c.answer(http.StatusOK, j.brief())
	return nil
}

// errTooBig is content beyond its limit.
var errTooBig = errors.New("content too big")

// receive streams content into the job's file and returns its size.
func (j *job) receive(body io.Reader, limit int64) (int64, error) {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return 0, err
	}
	f, err := os.CreateTemp(j.dir, "upload-")
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, io.LimitReader(body, limit+1))
	if err == nil && n > limit {
		err = errTooBig
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), j.path(fileContent))
	}
	if err != nil {
		return 0, errors.Join(err, os.Remove(f.Name()))
	}
	return n, nil
}

func refusedContent(err error, limit int64) error {
	if errors.Is(err, errTooBig) {
		return refuseBulk(http.StatusBadRequest, "CLIENTINPUTERROR",
			"ClientInputError : The content of the job exceeds the maximum of %d bytes", limit)
	}
	return refuseBulk(http.StatusBadRequest, "CLIENTINPUTERROR", "ClientInputError : %v", err)
}

// upload takes a job's content. There is one upload a job.
func (s *Server) upload(c *call, j *job) error {
	mediaType, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || mediaType != "text/csv" {
		return refuse(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE",
			"Content type %q is not supported, text/csv is expected", c.r.Header.Get("Content-Type"))
	}
	if s.cfg.Modes.RefuseGzipUpload && c.r.Header.Get("Content-Encoding") != "" {
		return refuse(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "Content encoding is not supported")
	}
	if err := s.mayChange(c, j); err != nil {
		return err
	}
	if err := j.mayUpload(s.cfg.Modes.SecondPut); err != nil {
		return err
	}
	limit := s.cfg.Limits.ContentBytes / 4 * 3 // base64 makes four bytes of three
	size, err := j.receive(c.r.Body, limit)
	if err != nil {
		return refusedContent(err, limit)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.state != stateOpen {
		return errJobState("Uploading data to a job in state %s is not allowed", j.state)
	}
	j.puts++
	j.size = size
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

func (j *job) mayUpload(mode SecondPut) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.state != stateOpen:
		return errJobState("Uploading data to a job in state %s is not allowed", j.state)
	case j.puts > 0 && mode == SecondPutRefused:
		return refuseBulk(http.StatusBadRequest, "BULK_API_ERROR", "%s", j.severalContents())
	}
	return nil
}

// severalContents is Salesforce's message, word for word.
func (j *job) severalContents() string {
	//nolint:misspell // Salesforce's own spelling
	return "Found multipe contents for job: <" + j.id[:idShort] + ">, please 'Close' / 'Abort' / 'Delete' the current Job " +
		"then create a new Job and make sure you only do 'PUT' once on a given Job."
}

func errJobState(format string, args ...any) error {
	return refuseBulk(http.StatusBadRequest, "INVALIDJOBSTATE", format, args...)
}

// mayChange lets a job be changed by who created it, and by who may manage
// data integrations.
func (s *Server) mayChange(c *call, j *job) error {
	if c.user.id != j.user.id && c.user.NoManageData {
		return refuseBulk(http.StatusBadRequest, "INVALIDUSER", "InvalidUser : The job was created by another user: %s", j.user.id)
	}
	return nil
}
