package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// vault knows the secrets of a test and finds them again, however they are
// written.
type vault struct {
	mu    sync.Mutex
	forms map[string]string // what to look for, and the secret's name
}

func newVault() *vault { return &vault{forms: map[string]string{}} }

// keep adds a secret and returns it.
func (v *vault) keep(name, secret string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	for how, form := range disguises(secret) {
		if len(form) >= 8 { // shorter ones are found in anything
			v.forms[form] = name + ", " + how
		}
	}
	return secret
}

// disguises are the forms in which a secret may turn up.
func disguises(secret string) map[string]string {
	quoted, _ := json.Marshal(secret)
	var unescaped bytes.Buffer
	encoder := json.NewEncoder(&unescaped)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(secret)
	inside := func(s string) string { s = strings.TrimSpace(s); return s[1 : len(s)-1] }
	forms := map[string]string{
		"plain": secret, "in a query": url.QueryEscape(secret), "in a path": url.PathEscape(secret), "in HTML": html.EscapeString(secret),
		"in userinfo": strings.TrimPrefix(url.UserPassword("", secret).String(), ":"),
		"in JSON":     inside(string(quoted)), "in plain JSON": inside(unescaped.String()), "in Go": inside(strconv.Quote(secret)),
		"in hex": hex.EncodeToString([]byte(secret)), "in a Postgres string": strings.ReplaceAll(secret, "'", "''"),
	}
	// In base64 a text looks different at each of three places; what stands at
	// its ends depends on its neighbours.
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		for shift := range 3 {
			encoded := encoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + secret))
			first, last := (shift*8+5)/6, (shift+len(secret))*8/6
			forms[name+" at "+strconv.Itoa(shift)] = encoded[first:last]
		}
	}
	return forms
}

// search fails the test if a text holds a secret.
func (v *vault) search(t *testing.T, where, text string) {
	t.Helper()
	for _, name := range v.found(text) {
		t.Errorf("%s: shows the %s:\n%.2000s", where, name, text)
	}
}

func (v *vault) found(text string) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var names []string
	for form, name := range v.forms {
		if strings.Contains(text, form) {
			names = append(names, name)
		}
	}
	return names
}

// searchFolder looks into every file below dir, but those in which the secrets
// were given.
func (v *vault) searchFolder(t *testing.T, dir string, given ...string) (files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		for _, g := range given {
			if path == g {
				return nil
			}
		}
		text, err := os.ReadFile(path)
		files++
		v.search(t, path, path+"\n"+string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// front stands before an org and takes note of what is secret in logins: the
// assertions that come in, and the tokens that go out.
func (v *vault) front(t *testing.T, org http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/services/oauth2/token" {
			org.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			t.Error(err)
		}
		for _, name := range []string{"assertion", "client_secret", "refresh_token"} {
			if form.Has(name) {
				v.keep(name+" of a login", form.Get(name))
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		org.ServeHTTP(answer, r)
		var tokens map[string]string
		if json.Unmarshal(answer.Body.Bytes(), &tokens) == nil {
			for _, name := range []string{"access_token", "refresh_token"} {
				if tokens[name] != "" {
					v.keep(name+" that the org gave out", tokens[name])
				}
			}
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestVaultFindsWhatIsHidden(t *testing.T) {
	t.Parallel()
	const hidden = `pl4nted/p+w & "x" <ü>'`
	v := newVault()
	v.keep("secret", hidden)
	quoted, err := json.Marshal(map[string]string{"a": hidden})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"x" + hidden, "?a=" + url.QueryEscape(hidden), url.PathEscape(hidden), string(quoted), strconv.Quote(hidden), html.EscapeString(hidden),
		(&url.URL{Scheme: "postgres", User: url.UserPassword("u", hidden), Host: "h"}).String(),
		base64.StdEncoding.EncodeToString([]byte(hidden)), base64.StdEncoding.EncodeToString([]byte("u:" + hidden + "!")),
		base64.URLEncoding.EncodeToString([]byte("user:" + hidden)), hex.EncodeToString([]byte("a" + hidden)),
	} {
		if len(v.found(text)) == 0 {
			t.Errorf("not found in %s", text)
		}
	}
	if found := v.found("pl4nted is no secret by itself"); len(found) != 0 {
		t.Errorf("found %q", found)
	}
}
