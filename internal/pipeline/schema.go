package pipeline

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/invopop/jsonschema"
)

// Schema is the JSON Schema of a pipeline file, for editors that complete and
// check it. It says all that a schema can; Parse checks more, such as which
// step needs which.
func Schema() ([]byte, error) {
	s := pipelineSchema()
	s.Version = jsonschema.Version
	s.Title = "Bulkhead pipeline"
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the JSON schema of pipelines: %w", err)
	}
	return append(out, '\n'), nil
}

// property is a key of a mapping.
type property struct {
	name     string
	schema   *jsonschema.Schema
	required bool
}

func required(name string, s *jsonschema.Schema) property { return property{name, s, true} }
func optional(name string, s *jsonschema.Schema) property { return property{name, s, false} }

// object is the schema of a mapping that has these keys and no others.
func object(about string, properties ...property) *jsonschema.Schema {
	s := &jsonschema.Schema{
		Type: "object", Description: about,
		Properties: jsonschema.NewProperties(), AdditionalProperties: jsonschema.FalseSchema,
	}
	for _, p := range properties {
		s.Properties.Set(p.name, p.schema)
		if p.required {
			s.Required = append(s.Required, p.name)
		}
	}
	return s
}

func text(about string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Description: about, Pattern: `\S`}
}

func pattern(expression, about string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Description: about, Pattern: expression}
}

func integer(least, most int64, about string) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "integer", Description: about, Minimum: whole(least)}
	if most > 0 {
		s.Maximum = whole(most)
	}
	return s
}

func words[T ~string](about string, standard T, of ...T) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string", Description: about}
	if standard != "" {
		s.Default = standard
	}
	for _, word := range of {
		s.Enum = append(s.Enum, word)
	}
	return s
}

func either(about string, of ...*jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{Description: about, AnyOf: of}
}

func list(of *jsonschema.Schema, least uint64, about string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "array", Items: of, MinItems: &least, UniqueItems: true, Description: about}
}

func whole(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

func pipelineSchema() *jsonschema.Schema {
	s := object("What to load from Postgres into Salesforce.",
		required("name", pattern(namePattern, "What to call this pipeline. Letters, digits, - and _.")),
		optional("description", &jsonschema.Schema{Type: "string", Description: "What it is for, in your words."}),
		optional("source", text("The database to read: a source of etl.yaml. Left out: ETL_DATABASE_URL.")),
		optional("org", text("The Salesforce org to load into: an org of etl.yaml. Left out: the SALESFORCE_* variables.")),
		optional("schedule", scheduleSchema()),
		optional("on_drift", words("What a run does where the org has changed, in what the pipeline uses, since the last run.", DriftWarn, DriftWarn, DriftStop)),
		required("steps", list(stepSchema(), 1, "What to load, one object each.")),
	)
	s.PatternProperties = map[string]*jsonschema.Schema{"^x-": jsonschema.TrueSchema}
	return s
}

func scheduleSchema() *jsonschema.Schema {
	return object("When to run by itself.",
		required("cron", text(`Five fields (minute, hour, day of month, month, day of week with Sunday as 0), or @daily and its kin, or "@every 15m".`)),
		optional("timezone", text("The time zone of cron, such as Europe/Berlin. Left out: UTC.")),
		optional("overlap", words("What to do when a run is due while the one before still goes.", OverlapSkip, OverlapSkip, OverlapQueue)),
		optional("catch_up", words("Which of the runs to make up for that were missed while no server ran.", CatchUpLatest, CatchUpLatest, CatchUpAll, CatchUpNone)),
		optional("jitter", durationSchema("Begin each run up to this much later, so that not all begin in the same second. Left out: 0s.")),
	)
}

func stepSchema() *jsonschema.Schema {
	api := "^" + apiName + "$"
	s := object("One load: the rows of a query into one object.",
		required("name", pattern(namePattern, "What to call this step. Letters, digits, - and _.")),
		optional("needs", list(text("The name of a step."), 0, "The steps that come first.")),
		required("object", pattern(api, "The API name of the Salesforce object, such as Account or Invoice__c.")),
		required("operation", words("What to do with the records.", "", Insert, Update, Upsert, Delete, HardDelete)),
		optional("external_id", pattern(api, "For upsert: the field that tells whether a record exists.")),
		required("query", text("The SELECT that reads the rows from Postgres.")),
		required("key", either("What tells one row from another: a column of the query, or a list of them. Unique, never null; rows are read in its order.",
			text("A column of the query."), list(text("A column of the query."), 1, "Columns of the query."))),
		optional("changes", object("Which rows to send. Left out: every row, every time.",
			required("by", text("A column that grows with every change, such as updated_at; or hash, to send rows whose content changed.")),
			optional("hash", &jsonschema.Schema{Type: "boolean", Description: "With a column: of the rows that it finds, send only those whose content changed."}),
			optional("overlap", either("Read this much again, for changes that were committed late.",
				durationSchema("Of a column of times."), integer(0, 0, "Of a column of whole numbers."))))),
		optional("nulls", words("What a NULL does to the field in Salesforce.", NullsKeep, NullsClear, NullsKeep)),
		optional("empty", words("What an empty text does to the field in Salesforce. Left out: as nulls.", "", NullsClear, NullsKeep)),
		required("fields", fieldsSchema()),
		optional("chunk", chunkSchema()),
		optional("job_timeout", durationSchema("How long to wait for one job before the run stops; the job itself goes on. Left out: 24h.")),
		optional("canary", integer(1, MaxCanary, "Rows of a small first job; the rest is sent once it went well: no more of it failed than stop_when puts up with, or else none.")),
		optional("stop_when", object("When to give up.",
			required("failed", either("The share of failed records that stops the step, such as 5%.",
				pattern(`^[0-9.]+\s*%$`, "A percentage."), &jsonschema.Schema{Type: "number", ExclusiveMinimum: "0", Maximum: "1"})),
			optional("after", integer(0, 0, "Records to process before the share counts. Left out: 1000.")))),
	)
	upsert := jsonschema.NewProperties()
	upsert.Set("operation", &jsonschema.Schema{Const: Upsert})
	s.If = &jsonschema.Schema{Properties: upsert, Required: []string{"operation"}}
	s.Then = &jsonschema.Schema{Required: []string{"external_id"}}
	s.Else = &jsonschema.Schema{Not: &jsonschema.Schema{Required: []string{"external_id"}}}
	return s
}

func fieldsSchema() *jsonschema.Schema {
	one := uint64(1)
	value := &jsonschema.Schema{
		Description: "The same value for every record.",
		AnyOf:       []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}, {Type: "null"}},
	}
	field := either("Where the value comes from.",
		text("A column of the query."),
		object("A column of the query.", required("column", text("A column of the query."))),
		object("An SQL expression.", required("sql", text("An expression over the columns of the query, such as price / 100.0."))),
		object("A constant.", required("value", value)),
	)
	return &jsonschema.Schema{
		Type: "object", MinProperties: &one,
		Description:          "Which Salesforce field gets which value. A parent is given by its relationship and external id, such as Account.Legacy_Id__c.",
		PropertyNames:        &jsonschema.Schema{Pattern: targetPattern},
		AdditionalProperties: field,
	}
}

func chunkSchema() *jsonschema.Schema {
	return object("How rows are cut into jobs: the bound that is reached first cuts.",
		optional("rows", withDefault(DefaultRows, integer(1, MaxRows, "Rows of a job, best a multiple of 10000."))),
		optional("bytes", either("Size of a job's data, up to 100MB. Left out: 90MB.",
			integer(MinBytes, MaxBytes, "Bytes."), pattern(`^[0-9_]+\s*([KkMmGg]i?)?[Bb]?$`, "Such as 90MB or 64MiB."))),
		optional("parallel", withDefault(DefaultParallel, integer(1, MaxParallel, "Jobs at once."))),
	)
}

func durationSchema(about string) *jsonschema.Schema {
	return pattern(`^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^[0-9]+d$`, about)
}

func withDefault(value any, s *jsonschema.Schema) *jsonschema.Schema {
	s.Default = value
	return s
}
