// Package emulator is a Salesforce org in one process: OAuth, describe, limits,
// query, single records and the whole of Bulk API 2.0 ingest, over real HTTP.
// It is there so that pipelines and clients can be tested without an org, in CI
// and offline, against an opponent that refuses what Salesforce refuses.
//
// It must never be lenient so that a client of this module passes, and it must
// never import another package of this module (but for the fixtures in
// testdata/describe): client and emulator share no code, so that neither hides
// the other's mistake. It must never be reachable from the internet: its tokens
// are for tests and its control endpoints ask for none.
//
// What Salesforce does is taken from its guides and from recorded traffic. Where
// the facts are silent the likeliest behaviour is the default, and where a
// client could care, Modes switches it.
//
// # Objects
//
// An org's objects are describes, in the very JSON that a real org answers at
// /services/data/vXX.X/sobjects/{Object}/describe: save your own org's into a
// folder and set Config.Describe to it. Without it there are Account, Case,
// Contact, Lead, Opportunity, Product2, Task, User and the custom Invoice__c.
//
// # Control
//
// Everything a test scripts through Config or Server can be scripted from
// another process too. The endpoints take and answer JSON and need no login.
//
//	GET    /emulator/state                  records per object, jobs, API calls, limits
//	POST   /emulator/reset                  back to a fresh org: no records, jobs, tokens or faults
//	POST   /emulator/tokens/expire          every access token is expired from now on
//	GET    /emulator/faults                 the faults in force, with how often each has struck
//	POST   /emulator/faults                 adds one Fault or a list; answers them with their ids
//	DELETE /emulator/faults[/{id}]          removes one, or all
//	POST   /emulator/release                lets go of every hanging request and stuck job
//	POST   /emulator/jobs/{id}/abort        aborts a job as an administrator would
//	POST   /emulator/jobs/{id}/fail         fails it; {"message": "..."} is its errorMessage
//	POST   /emulator/clock/advance          {"by": "25h"} moves the org's clock forward
//	POST   /emulator/limits                 {"DailyApiRequests": {"Max": 100, "Remaining": 0}}
//	DELETE /emulator/records/{Object}       empties an object, recycle bin included
//
// A Fault names what it strikes (requests, rows or jobs) and what it does; see
// its fields. A cut connection on the third upload, for example:
//
//	curl -d '{"on":"request","method":"PUT","path":"/batches","skip":2,"times":1,"do":"cut-after"}' \
//	    localhost:8090/emulator/faults
package emulator
