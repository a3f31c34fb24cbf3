// Package reconcile turns what a finished job says of its records into the books of a chunk and the
// rows of etl.reconciliation: every record that did not load, with its source key, its payload and
// the reason. It owns that table: listing, editing, exporting, importing, and handing its records
// out to be sent again.
//
// It must never match a result to a record by position, never ask the source which record it was,
// and never drop a result because it could not be matched. It knows neither HTTP nor pipelines.
package reconcile
