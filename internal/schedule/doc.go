// Package schedule starts pipelines when they are due, for years, on one machine
// or several: which instants a cron expression means in its time zone, which of
// them were missed, who starts them, and what is resumed first after a crash.
//
// It starts runs through the Runner that it is given, and knows nothing of
// Salesforce. It must never start a run for a time at which one was started
// already: each such time is a row of etl.fires, and a run begins in the
// transaction that writes it there.
package schedule
