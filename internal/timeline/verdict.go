package timeline

import "fmt"

// crowded is the part of the time from which on waiting for a worker is worth a word.
const crowded = 0.2

// Verdict says in a sentence what the run waited for most; empty where nothing is known.
func (t *Timeline) Verdict() string {
	if len(t.Waits.Shares) == 0 {
		return ""
	}
	first, second := t.Waits.Shares[0], t.Waits.Shares[1]
	subject := "The run"
	if t.Step != "" {
		subject = fmt.Sprintf("Step %q", t.Step)
	}
	verb := "waited"
	if t.Open {
		verb = "has waited"
	}
	text := fmt.Sprintf("%s %s most for %s: %d%% of its time", subject, verb, first.For, first.Percent)
	if second.Percent >= 25 {
		text += fmt.Sprintf(", then for %s: %d%%", second.For, second.Percent)
	}
	return text + "."
}

// Hint says what to look at first, in a sentence; empty where nothing is known.
func (t *Timeline) Hint() string {
	if len(t.Waits.Shares) == 0 {
		return ""
	}
	w := t.Waits
	if first := w.Shares[0].For; first != Postgres && float64(w.Ready) >= crowded*float64(w.Total) {
		return fmt.Sprintf("For %.0f%% of the time chunks were ready while the workers had their hands full (%d at once): a larger chunk.parallel helps if the org, or the network, still has room.",
			100*float64(w.Ready)/float64(w.Total), w.Workers)
	}
	switch w.Shares[0].For {
	case Postgres:
		return "Everything else waited for rows: look at the query's plan, an index for the order of the key, the load of the source."
	case Spool:
		return "Chunks stood ready and nobody took them: see whether a canary held them back."
	case Network:
		return "The line to the org was the limit: more uploads at once (chunk.parallel), a better line, fewer columns."
	case Salesforce:
		return "The org's processing was the limit: triggers, flows and sharing rules of the object, lock contention, more jobs at once (chunk.parallel); where chunks show L, an allowance of the org (etl limits)."
	case StateDB:
		return "The state database was the limit: its disk and its distance; fewer, larger chunks write less often."
	}
	return ""
}
