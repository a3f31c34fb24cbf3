package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Fingerprint is the same for two steps that send the same records for the same rows of the source:
// it covers the query and the mapping, and not how the rows are cut or when they are sent.
func (s *Step) Fingerprint() string {
	type field struct {
		Target, Column, SQL string
		Value               *string
	}
	about := struct {
		Object, Operation, ExternalID, Query, Nulls, Empty string
		Key                                                []string
		Fields                                             []field
	}{s.Object, string(s.Operation), s.ExternalID, s.Query, string(s.Nulls), string(s.Empty), s.Key, nil}
	for _, f := range s.Fields {
		about.Fields = append(about.Fields, field{f.Target, f.Column, f.SQL, f.Value})
	}
	// Texts always have a JSON form.
	text, _ := json.Marshal(about)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}
