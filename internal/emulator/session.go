package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// sessions are the tokens the org has given out.
type sessions struct {
	mu       sync.Mutex
	now      func() time.Time
	lifetime time.Duration
	random   *rand.Rand
	live     map[string]session
	refresh  map[string]grant
}

// session is what an access token stands for.
type session struct {
	user    *user
	app     string
	expires time.Time
}

// grant is what a refresh token stands for.
type grant struct{ clientID, username string }

func newSessions(seed int64, now func() time.Time, lifetime time.Duration) *sessions {
	return &sessions{
		now: now, lifetime: lifetime, random: newRandom(seed, 2),
		live: map[string]session{}, refresh: map[string]grant{},
	}
}

// keep takes an app's refresh tokens in.
func (s *sessions) keep(a App) {
	for token, username := range a.RefreshTokens {
		s.refresh[token] = grant{a.ClientID, username}
	}
}

// open returns a new access token: the org's id, an exclamation mark, and
// characters that mean nothing.
func (s *sessions) open(orgID string, u *user, app string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := orgID[:idShort] + "!AQ" + s.letters(92)
	s.live[token] = session{user: u, app: app, expires: s.now().Add(s.lifetime)}
	return token
}

// rotate replaces a refresh token by a new one.
func (s *sessions) rotate(old string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := "5Aep861" + s.letters(80)
	s.refresh[token] = s.refresh[old]
	delete(s.refresh, old)
	return token
}

func (s *sessions) letters(n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte(idDigits[s.random.IntN(len(idDigits))])
	}
	return b.String()
}

func (s *sessions) find(token string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.live[token]
	if ok && !s.now().Before(found.expires) {
		delete(s.live, token)
		ok = false
	}
	return found, ok
}

func (s *sessions) granted(refresh string) (grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.refresh[refresh]
	return g, ok
}

// revoke ends a token of either kind; false if it is none.
func (s *sessions) revoke(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, access := s.live[token]
	_, refresh := s.refresh[token]
	delete(s.live, token)
	delete(s.refresh, token)
	return access || refresh
}

func (s *sessions) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.live)
}

func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}

// signature proves to the app's holder that the identity URL is Salesforce's.
func signature(secret, id, issuedAt string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id + issuedAt))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
