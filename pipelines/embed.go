// Package pipelines holds example pipelines, which the demo and the tests run.
// It is a package so that the demo can carry them; nothing but examples belongs
// here.
package pipelines

import _ "embed"

//go:embed customers.yaml
var customers string

// Customers is the file customers.yaml: customers and their people, from
// Postgres into Account and Contact.
func Customers() string { return customers }
