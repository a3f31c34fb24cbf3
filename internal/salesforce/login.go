package salesforce

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/jwt"
)

// assertionLife is how long a signed login is good for. Salesforce takes 3 to 5 minutes at most, by its own clock.
const assertionLife = 3 * time.Minute

// flow asks an org for a token by one of the OAuth flows.
type flow struct {
	name     string
	login    *url.URL
	timeout  time.Duration
	base     http.RoundTripper
	secrets  []string // that must not stand in an error
	ask      func(context.Context) (*oauth2.Token, error)
	fallback *url.URL // the instance, where the token's answer does not say
}

// newFlow prepares the flow that cfg names.
func newFlow(cfg Config) (*flow, error) {
	f := &flow{name: cfg.Auth, timeout: cfg.Timeout, base: cfg.Transport, secrets: []string{cfg.ClientSecret, cfg.RefreshToken, cfg.AccessToken}}
	var err error
	if cfg.Auth == AccessToken {
		f.login, err = parseHost("instance_url", cfg.InstanceURL)
		f.fallback = f.login
		f.ask = givenToken(cfg.AccessToken)
		return f, err
	}
	if f.login, err = parseHost("login_url", cfg.LoginURL); err != nil {
		return nil, err
	}
	tokenURL := f.login.JoinPath("/services/oauth2/token").String()
	switch cfg.Auth {
	case ClientCredentials:
		f.ask = (&clientcredentials.Config{
			ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret, TokenURL: tokenURL, AuthStyle: oauth2.AuthStyleInParams,
		}).Token
	case JWT:
		f.ask, err = signedLogin(cfg, f.login, tokenURL)
	case RefreshToken:
		f.ask = refreshing(cfg, tokenURL)
	}
	return f, err
}

// run logs in once.
func (f *flow) run(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	wire := &bound{ctx: ctx, base: f.base}
	client := &http.Client{
		Transport:     wire,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	token, err := f.ask(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return nil, f.loginError(ctx, wire.err, err)
	}
	s, err := f.session(token)
	if err != nil {
		return nil, &LoginError{Flow: f.name, Host: f.login.Host, Err: err}
	}
	return s, nil
}

func (f *flow) session(token *oauth2.Token) (*session, error) {
	s := &session{token: token.AccessToken, instance: f.fallback}
	if s.token == "" {
		return nil, errors.New("an answer without access_token")
	}
	s.identity, _ = token.Extra("id").(string)
	if s.instance != nil {
		return s, nil
	}
	address, _ := token.Extra("instance_url").(string)
	if address == "" {
		return nil, errors.New("an answer without instance_url")
	}
	var err error
	s.instance, err = parseHost("instance_url of the answer", address)
	return s, err
}

// bound gives the one request of a login its context, which x/oauth2's jwt flow lacks, and remembers why it got no
// answer, of which that flow keeps only the text.
type bound struct {
	ctx  context.Context //nolint:containedctx // that is what it is for
	base http.RoundTripper
	err  error
}

func (b *bound) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.base.RoundTrip(req.WithContext(b.ctx))
	b.err = err
	return resp, err
}

// givenToken is the flow of a token that came from elsewhere, such as `sf org display`. It cannot be renewed.
func givenToken(token string) func(context.Context) (*oauth2.Token, error) {
	var used sync.Once
	return func(context.Context) (*oauth2.Token, error) {
		var t *oauth2.Token
		used.Do(func() { t = &oauth2.Token{AccessToken: token} })
		if t == nil {
			return nil, errNotRenewable
		}
		return t, nil
	}
}

var errNotRenewable = errors.New("the org refused the access token, which has expired or was revoked, and a given token cannot be renewed")

// refreshing is the refresh token flow. An org that rotates refresh tokens answers with a new one, which replaces the
// one before in memory.
func refreshing(cfg Config, tokenURL string) func(context.Context) (*oauth2.Token, error) {
	var mu sync.Mutex
	refresh := cfg.RefreshToken
	app := &oauth2.Config{
		ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret,
		Endpoint: oauth2.Endpoint{TokenURL: tokenURL, AuthStyle: oauth2.AuthStyleInParams},
	}
	return func(ctx context.Context) (*oauth2.Token, error) {
		mu.Lock()
		defer mu.Unlock()
		token, err := app.TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
		if err == nil && token.RefreshToken != "" {
			refresh = token.RefreshToken
		}
		return token, err
	}
}

// signedLogin is the JWT bearer flow.
func signedLogin(cfg Config, login *url.URL, tokenURL string) (func(context.Context) (*oauth2.Token, error), error) {
	key, err := readKey(cfg.PrivateKeyFile)
	if err != nil {
		return nil, fmt.Errorf("salesforce: private_key_file: %w", err)
	}
	audience := cfg.Audience
	if audience == "" {
		audience = login.String()
	}
	app := &jwt.Config{
		Email: cfg.ClientID, Subject: cfg.Username, PrivateKey: key, TokenURL: tokenURL, Audience: audience, Expires: assertionLife,
	}
	return func(ctx context.Context) (*oauth2.Token, error) { return app.TokenSource(ctx).Token() }, nil
}

// readKey reads an RSA private key, and says what is wrong with what is none.
func readKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, fmt.Errorf("%s: not a PEM file", path)
	case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return nil, fmt.Errorf("%s: the key has a passphrase: write it without one (openssl pkey -in KEY -out NEW) and protect the file", path)
	case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, fmt.Errorf("%s: a %s, want a private key", path, strings.ToLower(block.Type))
	}
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return text, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: not an RSA private key", path)
	}
	if _, ok := key.(*rsa.PrivateKey); !ok {
		return nil, fmt.Errorf("%s: a key of type %T, want RSA", path, key)
	}
	return text, nil
}
