package console

// CleanForTerminal is what a terminal gets of a text.
func CleanForTerminal(s string) string {
	return string((&Cleaner{colour: true}).clean([]byte(s)))
}
