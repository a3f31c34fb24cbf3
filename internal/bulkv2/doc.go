// Package bulkv2 is a client of Salesforce's Bulk API 2.0 for ingest jobs: insert, update, upsert and delete of many
// records from CSV. It needs nothing but an *http.Client that is already logged in.
//
// # A job's life
//
//	Create ──> Open ──Upload──> Open ──Close──> UploadComplete ──> InProgress ──> JobComplete | Failed
//	             └──────────────────Abort──────────────┴───────────────┴──> Aborted
//
// A job takes exactly one upload. Nothing is processed before Close, so a job that was never closed can be dropped
// (Abort) and made anew without a record having been touched. After Close, [Client.Wait] polls until the job has ended.
// JobComplete does not mean that every record was accepted, and Failed does not mean that none was: what happened to a
// record stands in the job's three results, [Client.SuccessfulResults], [Client.FailedResults] and
// [Client.UnprocessedRecords], in any order.
//
// # What is repeated, and what never is
//
// A request that the org certainly did not act on is repeated, whatever it was: the connection could not be made, or
// the answer is a refusal for a passing reason (429, 403 REQUEST_LIMIT_EXCEEDED, 420, 503 with an error in JSON).
// Where the outcome is unknown (the connection broke after the request had left, the answer is 500, 502, 504, a page of
// HTML, or cut short) it depends on the call:
//
//   - reading (Info, Wait, Jobs, the results) and Delete are repeated;
//   - Close and Abort first read the job, and are repeated only when it still stands where it stood;
//   - Create and Upload are never repeated. They return an error for which [NothingAccepted] is false, and the caller
//     decides: after a lost Create an empty job may be left behind in the org, which does nothing; after a lost Upload
//     abort the job, make sure that it is Aborted, and create another.
//
// Repeats wait with exponential backoff and full jitter, longer where the org says that a limit is reached, and as long
// as a Retry-After header asks for, within [RetryConfig]'s bounds. [Retryable] and [NothingAccepted] answer the two
// questions a caller has about an error.
//
// A 401 is not repeated: renewing the session is the business of the *http.Client. An error type that comes out of
// that client may implement Retryable() bool or NothingAccepted() bool to say what it means; a failed login would.
//
// The package never logs, keeps no state between calls, starts no goroutine that outlives a call, and follows no
// redirect.
package bulkv2
