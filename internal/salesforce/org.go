package salesforce

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Org is one org that we are logged in to. It may be used by several goroutines at once.
type Org struct {
	cfg      Config
	instance *url.URL
	sessions *sessions
	usage    *usage
	client   *http.Client
	orgID    string
	userID   string
}

// Open checks cfg and logs in. The errors are what [Config.Validate] returns, or a *[LoginError].
func Open(ctx context.Context, cfg Config) (*Org, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	f, err := newFlow(cfg)
	if err != nil {
		return nil, err
	}
	o := &Org{cfg: cfg, usage: &usage{}}
	o.sessions = &sessions{login: f.run, ttl: cfg.SessionTTL, now: time.Now}
	if cfg.Auth == AccessToken {
		o.sessions.ttl = 0 // a given token cannot be renewed, so it is used until the org refuses it
	}
	o.client = &http.Client{CheckRedirect: checkRedirect, Transport: &authorized{
		base: cfg.Transport, sessions: o.sessions, options: "client=" + cfg.ClientName, usage: o.usage,
	}}

	s, err := o.sessions.get(ctx, 0)
	if err != nil {
		return nil, err
	}
	o.instance = s.instance
	if s.identity == "" {
		// Also finds out whether a given token is any good.
		if s.identity, err = o.askIdentity(ctx); err != nil {
			return nil, err
		}
	}
	o.orgID, o.userID = splitIdentity(s.identity)
	return o, nil
}

// askIdentity reads the identity URL from the list of the version's resources. REST API guide, "Resources by Version".
func (o *Org) askIdentity(ctx context.Context) (string, error) {
	var resources struct {
		Identity string `json:"identity"`
	}
	err := o.get(ctx, "read the resources of version "+o.cfg.APIVersion, o.path(""), nil, &resources)
	var refused *LoginError
	if errors.As(err, &refused) {
		return "", refused
	}
	return resources.Identity, err
}

// splitIdentity takes org id and user id from https://login.salesforce.com/id/00D…/005….
func splitIdentity(identity string) (orgID, userID string) {
	_, ids, found := strings.Cut(identity, "/id/")
	if !found {
		return "", ""
	}
	orgID, userID, _ = strings.Cut(strings.Trim(ids, "/"), "/")
	return orgID, userID
}

// HTTPClient returns a client that adds the session to each request to the org and renews it when it has expired; the
// requests in flight then share one renewal, and are sent again if their body can be opened again (GetBody). It counts
// requests, and refuses to send the session to another host ([HostError]). A session that cannot be renewed is a
// *[LoginError].
func (o *Org) HTTPClient() *http.Client { return o.client }

// InstanceURL returns the org's own address, without a slash at its end.
func (o *Org) InstanceURL() string { return o.instance.String() }

// APIVersion returns the version that is spoken, such as 66.0.
func (o *Org) APIVersion() string { return o.cfg.APIVersion }

// ClientName returns the name by which the org's logs know us.
func (o *Org) ClientName() string { return o.cfg.ClientName }

// OrgID returns the org's id as the org tells it, or "".
func (o *Org) OrgID() string { return o.orgID }

// UserID returns the id of the user that is logged in, or "" when the org did not tell it.
func (o *Org) UserID() string { return o.userID }

// Usage returns how many requests have been made, and the org's last word on its own count.
func (o *Org) Usage() Usage {
	return Usage{Calls: o.usage.calls.Load(), Used: o.usage.used.Load(), Max: o.usage.limit.Load()}
}

// Format prints the org's address, for every verb, and none of its secrets.
func (o *Org) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, o.InstanceURL()) }

// path returns a path below the version's root.
func (o *Org) path(below string) string { return "/services/data/v" + o.cfg.APIVersion + below }
