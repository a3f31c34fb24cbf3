package run

// The points at which this package changes what is on disk. Those of the database are package state's.
const (
	pointAppend     = "spool: a record is appended"
	pointSpool      = "spool: before the file is whole"
	pointSpooled    = "spool: after the file is whole"
	pointRemove     = "spool: before a file is removed"
	pointRemoved    = "spool: after a file is removed"
	pointRemoveRun  = "spool: before a run's folder is removed"
	pointRemovedRun = "spool: after a run's folder is removed"
)

// Points lists the points that Config.Probe hears of.
func Points() []string {
	return []string{pointAppend, pointSpool, pointSpooled, pointRemove, pointRemoved, pointRemoveRun, pointRemovedRun}
}

// reach tells a test where the run stands.
func (c Config) reach(point string) {
	if c.Probe != nil {
		c.Probe(point)
	}
}
