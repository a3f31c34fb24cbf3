package emulator

import (
	"crypto/rsa"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// oauthError is a refusal of the token endpoint: an object, unlike the API's.
type oauthError struct {
	Status      int    `json:"-"`
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *oauthError) Error() string { return e.Code + ": " + e.Description }

func refuseOAuth(code, description string) error {
	return &oauthError{http.StatusBadRequest, code, description}
}

const (
	grantClient  = "client_credentials"
	grantJWT     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	grantRefresh = "refresh_token"
	scope        = "api web id refresh_token"
)

// tokenAnswer is what a login gets. There is no expires_in.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Signature    string `json:"signature,omitempty"`
	Scope        string `json:"scope"`
	InstanceURL  string `json:"instance_url"`
	ID           string `json:"id"`
	TokenType    string `json:"token_type"`
	IssuedAt     string `json:"issued_at,omitempty"`
}

// serveOAuth answers everything under /services/oauth2/.
func (s *Server) serveOAuth(w http.ResponseWriter, r *http.Request, path string) {
	switch path {
	case "token":
		s.serveToken(w, r)
	case "revoke":
		s.serveRevoke(w, r)
	case "userinfo":
		s.serveIdentity(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache, no-store")
	w.Header().Set("Pragma", "no-cache")
	if r.Method != http.MethodPost {
		answerJSON(w, r, http.StatusBadRequest, refuseOAuth("invalid_request", "must use HTTP POST"))
		return
	}
	answer, err := s.login(r)
	var refused *oauthError
	switch {
	case errors.As(err, &refused):
		answerJSON(w, r, refused.Status, refused)
	case err != nil:
		answerJSON(w, r, http.StatusBadRequest, refuseOAuth("invalid_request", err.Error()))
	default:
		answerJSON(w, r, http.StatusOK, answer)
	}
}

func (s *Server) login(r *http.Request) (*tokenAnswer, error) {
	r.Body = http.MaxBytesReader(nil, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		return nil, refuseOAuth("invalid_request", "malformed body")
	}
	switch r.PostForm.Get("grant_type") {
	case "":
		return nil, refuseOAuth("invalid_request", "missing required parameter: grant_type")
	case grantClient:
		return s.loginClient(r)
	case grantJWT:
		return s.loginJWT(r)
	case grantRefresh:
		return s.loginRefresh(r)
	case "password":
		// Blocked by default in orgs made since Summer '23.
		return nil, refuseOAuth("invalid_grant", "authentication failure")
	}
	return nil, refuseOAuth("unsupported_grant_type", "grant type not supported")
}

// client is who asks: by form fields or HTTP Basic.
func (s *Server) client(r *http.Request) (App, string, error) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	app, ok := s.app(id)
	if !ok {
		return App{}, "", refuseOAuth("invalid_client_id", "client identifier invalid")
	}
	return app, secret, nil
}

func (s *Server) app(id string) (App, bool) {
	i := slices.IndexFunc(s.cfg.Apps, func(a App) bool { return a.ClientID == id })
	if i < 0 {
		return App{}, false
	}
	return s.cfg.Apps[i], true
}

func (s *Server) loginClient(r *http.Request) (*tokenAnswer, error) {
	app, secret, err := s.client(r)
	switch {
	case err != nil:
		return nil, err
	case secret != app.ClientSecret || secret == "":
		return nil, refuseOAuth("invalid_client", "invalid client credentials")
	case app.RunAs == "":
		return nil, refuseOAuth("invalid_grant", "no client credentials user enabled")
	}
	answer, err := s.admit(r, app, app.RunAs)
	if err != nil {
		return nil, err
	}
	s.sign(answer, app)
	return answer, nil
}

func (s *Server) loginRefresh(r *http.Request) (*tokenAnswer, error) {
	app, secret, err := s.client(r)
	if err != nil {
		return nil, err
	}
	if secret != "" && secret != app.ClientSecret {
		return nil, refuseOAuth("invalid_client", "invalid client credentials")
	}
	token := r.PostForm.Get("refresh_token")
	sessions := s.current().sessions
	g, ok := sessions.granted(token)
	if !ok || g.clientID != app.ClientID {
		return nil, refuseOAuth("invalid_grant", "expired access/refresh token")
	}
	answer, err := s.admit(r, app, g.username)
	if err != nil {
		return nil, err
	}
	if app.RotateRefreshTokens {
		answer.RefreshToken = sessions.rotate(token)
	}
	s.sign(answer, app)
	return answer, nil
}

// loginJWT checks an assertion as RFC 7523 and Salesforce's help say: the key
// of the app, who it is for, and seconds, not milliseconds, in exp.
func (s *Server) loginJWT(r *http.Request) (*tokenAnswer, error) {
	assertion := r.PostForm.Get("assertion")
	if assertion == "" {
		return nil, refuseOAuth("invalid_grant", "invalid assertion")
	}
	var claims jwt.RegisteredClaims
	var app App
	_, err := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation()).
		ParseWithClaims(assertion, &claims, func(*jwt.Token) (any, error) {
			var known bool
			if app, known = s.app(claims.Issuer); !known {
				return nil, refuseOAuth("invalid_client_id", "client identifier invalid")
			}
			return publicKey(app)
		})
	var refused *oauthError
	if errors.As(err, &refused) {
		return nil, refused
	}
	if err != nil {
		return nil, refuseOAuth("invalid_grant", "invalid assertion")
	}
	if err := s.checkClaims(r, claims); err != nil {
		return nil, err
	}
	if _, ok := s.current().userNamed(claims.Subject); !ok {
		return nil, refuseOAuth("invalid_grant", "user hasn't approved this consumer")
	}
	return s.admit(r, app, claims.Subject)
}

func publicKey(app App) (*rsa.PublicKey, error) {
	if len(app.PublicKey) == 0 {
		return nil, refuseOAuth("invalid_grant", "invalid assertion")
	}
	return jwt.ParseRSAPublicKeyFromPEM(app.PublicKey)
}

func (s *Server) checkClaims(r *http.Request, claims jwt.RegisteredClaims) error {
	now := s.clock.Now()
	exp := claims.ExpiresAt
	switch {
	case exp == nil, !now.Before(exp.Time), exp.After(now.Add(s.cfg.Assertion)):
		return refuseOAuth("invalid_grant", "expired authorization code")
	case claims.Subject == "":
		return refuseOAuth("invalid_grant", "invalid assertion")
	}
	allowed := append([]string{
		s.URL(), baseURL(r), "https://login.salesforce.com", "https://test.salesforce.com",
	}, s.cfg.Audiences...)
	for _, aud := range claims.Audience {
		if slices.Contains(allowed, strings.TrimSuffix(aud, "/")) {
			return nil
		}
	}
	return refuseOAuth("invalid_grant", "audience is invalid")
}

// admit opens a session for a user whom the app is approved for.
func (s *Server) admit(r *http.Request, app App, username string) (*tokenAnswer, error) {
	o := s.current()
	u, ok := o.userNamed(username)
	if !ok {
		return nil, refuseOAuth("invalid_grant", "authentication failure")
	}
	if len(app.Users) > 0 && !slices.Contains(app.Users, u.Username) {
		return nil, refuseOAuth("invalid_app_access", "user is not admin approved to access this app")
	}
	return &tokenAnswer{
		AccessToken: o.sessions.open(s.orgID, u, app.ClientID),
		Scope:       scope,
		InstanceURL: baseURL(r),
		ID:          baseURL(r) + "/id/" + s.orgID + "/" + u.id,
		TokenType:   "Bearer",
	}, nil
}

// sign adds what the JWT flow does not answer.
func (s *Server) sign(answer *tokenAnswer, app App) {
	answer.IssuedAt = strconv.FormatInt(s.clock.Now().UnixMilli(), 10)
	answer.Signature = signature(app.ClientSecret, answer.ID, answer.IssuedAt)
}

func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	token := r.FormValue("token")
	if !s.current().sessions.revoke(token) {
		answerJSON(w, r, http.StatusBadRequest, refuseOAuth("unsupported_token_type", "this token type is not supported"))
		return
	}
	w.WriteHeader(http.StatusOK)
}

// identity is the answer of the identity URL and of userinfo.
type identity struct {
	Sub              string            `json:"sub"`
	ID               string            `json:"id"`
	UserID           string            `json:"user_id"`
	OrganizationID   string            `json:"organization_id"`
	Username         string            `json:"username"`
	PreferredName    string            `json:"preferred_username"`
	Nickname         string            `json:"nickname"`
	Name             string            `json:"name"`
	DisplayName      string            `json:"display_name"`
	Email            string            `json:"email"`
	EmailVerified    bool              `json:"email_verified"`
	GivenName        string            `json:"given_name"`
	FamilyName       string            `json:"family_name"`
	FirstName        string            `json:"first_name"`
	LastName         string            `json:"last_name"`
	Active           bool              `json:"active"`
	UserType         string            `json:"user_type"`
	Language         string            `json:"language"`
	Locale           string            `json:"locale"`
	UTCOffset        int               `json:"utcOffset"`
	LastModifiedDate timestamp         `json:"last_modified_date"`
	IsAppInstalled   bool              `json:"is_app_installed"`
	URLs             map[string]string `json:"urls"`
}

func (s *Server) serveIdentity(w http.ResponseWriter, r *http.Request) {
	found, ok := s.session(r)
	if !ok {
		// These endpoints say so in plain text, unlike the API.
		http.Error(w, "Bad_OAuth_Token", http.StatusForbidden)
		return
	}
	u, base := found.user, baseURL(r)
	data := base + "/services/data/v{version}/"
	answerJSON(w, r, http.StatusOK, identity{
		Sub: base + "/id/" + s.orgID + "/" + u.id, ID: base + "/id/" + s.orgID + "/" + u.id,
		UserID: u.id, OrganizationID: s.orgID, Username: u.Username, PreferredName: u.Username,
		Nickname: u.Username, Name: strings.TrimSpace(u.FirstName + " " + u.LastName),
		DisplayName: strings.TrimSpace(u.FirstName + " " + u.LastName), Email: u.Email, EmailVerified: true,
		GivenName: u.FirstName, FamilyName: u.LastName, FirstName: u.FirstName, LastName: u.LastName,
		Active: true, UserType: "STANDARD", Language: "en_US", Locale: "en_US",
		LastModifiedDate: timestamp(s.started.Truncate(time.Millisecond)), IsAppInstalled: true,
		URLs: map[string]string{
			"rest": data, "sobjects": data + "sobjects/", "query": data + "query/", "search": data + "search/",
			"recent": data + "recent/", "tooling_rest": data + "tooling/", "profile": base + "/" + u.id,
			"custom_domain": base,
		},
	})
}

// session is that of the request's bearer token.
func (s *Server) session(r *http.Request) (session, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "OAuth") {
		return session{}, false
	}
	return s.current().sessions.find(strings.TrimSpace(token))
}

// baseURL is the host the client knows the org by.
func baseURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}
