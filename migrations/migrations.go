// Package migrations holds the SQL that builds the `etl` schema, embedded in the binary. Migrations
// only ever add: an older binary that is still running must go on working beside a newer schema
// until it ends. Nothing but SQL belongs here.
package migrations

import "embed"

// FS holds the migrations, named NNNNN_name.sql and applied in that order.
//
//go:embed *.sql
var FS embed.FS
