package timeline

import "bulkhead/internal/state"

// Wait is what a run waits for.
type Wait string

// What a run can wait for.
const (
	Postgres   Wait = "postgres"
	Spool      Wait = "spool"
	Network    Wait = "network"
	Salesforce Wait = "salesforce"
	StateDB    Wait = "state"
)

// AllWaits lists them in the order in which a record meets them.
func AllWaits() []Wait { return []Wait{Postgres, Spool, Network, Salesforce, StateDB} }

// String is the name for people.
func (w Wait) String() string {
	switch w {
	case Postgres:
		return "Postgres"
	case Spool:
		return "spool/workers (parallel)"
	case Network:
		return "network (upload/results)"
	case Salesforce:
		return "Salesforce (processing)"
	case StateDB:
		return "state database"
	}
	return ""
}

// Stage describes a stage for a legend.
type Stage struct {
	Stage  state.Stage
	Letter rune
	For    Wait // empty: for nothing
	Says   string
}

// Stages lists the stages that a chunk spends time in.
func Stages() []Stage {
	return []Stage{
		{state.StageRead, 'R', Postgres, "rows are read from the source into the chunk's file"},
		{state.StageRoom, 'F', Spool, "the spool is full: reading waits for room"},
		{state.StageQueue, '.', Spool, "the file is ready and waits for a worker"},
		{state.StageRest, 'z', Salesforce, "records that hit locked rows rest before they are sent again"},
		{state.StageLimit, 'L', Salesforce, "a limit of the org is reached, and the run pauses for it"},
		{state.StageCreate, 'C', Network, "the job is made, after a pause where an upload broke off"},
		{state.StageUpload, 'U', Network, "the file is sent"},
		{state.StageTurn, ':', Spool, "the file is sent and waits until Salesforce may process another job"},
		{state.StageClose, 'X', Network, "the job is closed"},
		{state.StageProcess, 'P', Salesforce, "Salesforce processes the job"},
		{state.StageResults, 'D', Network, "results are downloaded"},
		{state.StageState, 's', StateDB, "the state database writes"},
		{state.StageHalted, '!', "", "it can go no further; \"etl show\" without --timeline says why"},
	}
}

// Of describes one stage; one that is not known is shown as what it is called.
func Of(stage state.Stage) Stage {
	for _, s := range Stages() {
		if s.Stage == stage {
			return s
		}
	}
	return Stage{Stage: stage, Letter: '?', Says: string(stage)}
}
