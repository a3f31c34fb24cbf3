package main

import (
	"github.com/spf13/cobra"

	"bulkhead/internal/pipeline"
)

func newSchemaCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of pipeline files, for editors",
		Long: `Print the JSON Schema of pipeline files. With it, editors complete and check
pipelines while they are written. A file names it in its first line:

  # yaml-language-server: $schema=../pipeline.schema.json`,
		Example: `  etl schema > pipeline.schema.json`,
		Args:    wants(),
		RunE: func(*cobra.Command, []string) error {
			text, err := pipeline.Schema()
			if err != nil {
				return err
			}
			a.printf("%s", text)
			return nil
		},
	}
}
