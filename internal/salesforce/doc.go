// Package salesforce logs in to an org and keeps the session alive, and reads what a load needs to know of the org:
// objects and their fields, limits, and small queries.
//
// [Open] logs in by one of four OAuth flows and returns an [Org], whose HTTPClient adds the session to each request and
// renews it, once for all requests in flight, when the org says that it has expired. The session goes to the org's own
// host only.
//
// The package never writes to the org, never logs, and keeps secrets and tokens out of its errors and of everything
// that it prints.
package salesforce
