package project

import (
	"errors"
	"fmt"
	"strings"

	"bulkhead/internal/salesforce"
)

// Org returns how to log in to an org of etl.yaml; for the empty name, what
// the SALESFORCE_* variables say. A private key's path is relative to the
// project. Settings that cannot work are an error; nothing is connected to.
func (p *Project) Org(name string) (salesforce.Config, error) {
	values := p.orgVariables()
	if name != "" {
		var err error
		if values, err = p.values("org", name, p.orgs); err != nil {
			return salesforce.Config{}, err
		}
	}
	if len(values) == 0 {
		return salesforce.Config{}, errors.New("no Salesforce org is set up: set SALESFORCE_LOGIN_URL, SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET, or the variables of another way to log in, or name an org of " + File)
	}
	config := salesforce.Config{
		LoginURL:       values["login_url"],
		Auth:           values["auth"],
		ClientID:       values["client_id"],
		ClientSecret:   values["client_secret"],
		Username:       values["username"],
		PrivateKeyFile: p.absolute(values["private_key_file"]),
		RefreshToken:   values["refresh_token"],
		AccessToken:    values["access_token"],
		InstanceURL:    values["instance_url"],
		APIVersion:     values["api_version"],
	}
	if err := config.Validate(); err != nil {
		return salesforce.Config{}, fmt.Errorf("%s: %w", p.origin(name), err)
	}
	return config, nil
}

// origin says where the settings of an org come from.
func (p *Project) origin(name string) string {
	if name == "" {
		return "the variables SALESFORCE_*"
	}
	return fmt.Sprintf("org %q of %s", name, p.File)
}

// orgVariables are the SALESFORCE_* variables that are set, under the names
// that etl.yaml has for them.
func (p *Project) orgVariables() map[string]string {
	values := map[string]string{}
	for _, key := range []string{
		"login_url", "auth", "client_id", "client_secret", "username", "private_key_file",
		"refresh_token", "access_token", "instance_url", "api_version",
	} {
		if value := p.Getenv("SALESFORCE_" + strings.ToUpper(key)); value != "" {
			values[key] = value
		}
	}
	return values
}
