package bulkv2

import "time"

// Event tells of one request that has ended. A call that was repeated makes one event for each attempt; a download
// makes its event when its [Results] are closed.
type Event struct {
	Op         string        // what the request was for, such as "upload"
	Method     string        // POST, PUT, PATCH, GET or DELETE
	Path       string        // with {id} in place of the job id, so that it can serve as a label
	JobID      string        // empty for Create and Jobs
	Attempt    int           // from 1
	StatusCode int           // 0 when no answer came
	Took       time.Duration // from before the connection was asked for until the answer was read
	Sent       int64         // bytes of the request's body handed to the connection
	Received   int64         // bytes of the answer's body, as they came over the wire
	Err        error         // nil when the request did what it was for
	AtOnce     int           // how many requests may be under way at one time, after the org refused one for that; 0: any number
	RetryIn    time.Duration // more than 0 when the call will be repeated after this long
}
