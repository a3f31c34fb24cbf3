package emulator

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// apiError is an answer that refuses. Bulk API 2.0 prints the code first, the
// rest of the REST API the message.
type apiError struct {
	status  int
	code    string
	message string
	fields  []string
	bulk    bool
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.code, e.message) }

func refuse(status int, code, format string, args ...any) error {
	return &apiError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func refuseBulk(status int, code, format string, args ...any) error {
	return &apiError{status: status, code: code, message: fmt.Sprintf(format, args...), bulk: true}
}

func errNotFound() error {
	return refuseBulk(http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
}

func errMethod(method, allowed string) error {
	return refuse(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED",
		"HTTP Method '%s' not allowed. Allowed are %s", method, allowed)
}

func errSession() error {
	return refuse(http.StatusUnauthorized, "INVALID_SESSION_ID", "Session expired or invalid")
}

// MarshalJSON prints the array that error answers are.
func (e *apiError) MarshalJSON() ([]byte, error) {
	if e.bulk {
		return json.Marshal([]any{struct {
			Code    string   `json:"errorCode"`
			Message string   `json:"message"`
			Fields  []string `json:"fields,omitempty"`
		}{e.code, e.message, e.fields}})
	}
	return json.Marshal([]any{struct {
		Message string   `json:"message"`
		Code    string   `json:"errorCode"`
		Fields  []string `json:"fields,omitempty"`
	}{e.message, e.code, e.fields}})
}

// answerJSON writes a value as the body of an answer, compressed if the client
// takes gzip, indented if it asks for that.
func answerJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	var body []byte
	var err error
	if r.Header.Get("X-PrettyPrint") == "1" {
		body, err = json.MarshalIndent(v, "", "  ")
	} else {
		body, err = json.Marshal(v)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	out, finish := compressed(w, r)
	w.WriteHeader(status)
	_, _ = out.Write(body)
	finish()
}

// compressed returns where to write a body: through gzip if the client asked
// for it. Other encodings are ignored (REST guide, "Compression Headers").
func compressed(w http.ResponseWriter, r *http.Request) (out interface{ Write([]byte) (int, error) }, finish func()) {
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		return w, func() {}
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Add("Vary", "Accept-Encoding")
	z := gzip.NewWriter(w)
	return z, func() { _ = z.Close() }
}

// timestamp prints as the API prints dates.
type timestamp time.Time

// MarshalJSON prints UTC with milliseconds and an offset without a colon.
func (t timestamp) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Time(t).UTC().Format(stamp))
}

// versionNumber prints as a JSON number with one place: 66.0.
type versionNumber string

// MarshalJSON prints the number as it is.
func (v versionNumber) MarshalJSON() ([]byte, error) { return []byte(v), nil }
