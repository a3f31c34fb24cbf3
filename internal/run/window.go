package run

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/extract"
	"bulkhead/internal/pipeline"
	"bulkhead/internal/preflight"
	"bulkhead/internal/state"
)

// openWait is how long transactions that have drawn a number may take to end before a run by numbers
// is refused.
const openWait = 2 * time.Minute

// windows fixes what a run is going to read of the steps that go by a watermark.
type windows struct {
	engine  *Engine
	options Options
	marks   map[string]state.Watermark // by step
	conn    *pgx.Conn
	clock   *extract.Clock // nil until a step of times needs it
	faults  []preflight.Finding
}

// fixWindows completes the steps of a run that is about to start, whose plans are in the same order.
// What must not begin is a *preflight.Error.
func (e *Engine) fixWindows(ctx context.Context, options Options, plans []*stepPlan, marks []state.Watermark) (map[string]*state.Window, error) {
	fixed := map[string]*state.Window{}
	if options.Retry != nil {
		return fixed, nil // its rows are named by their keys
	}
	w := &windows{engine: e, options: options, marks: map[string]state.Watermark{}}
	for _, mark := range marks {
		w.marks[mark.Step] = mark
	}
	for _, plan := range plans {
		if plan.Watermark == nil {
			continue
		}
		if w.conn == nil {
			var err error
			if w.conn, err = e.connect(ctx); err != nil {
				return nil, err
			}
			defer w.conn.Close(context.WithoutCancel(ctx))
		}
		window, err := w.fix(ctx, plan)
		if err != nil {
			return nil, fmt.Errorf("step %q: changes: %w", plan.Step.Name, err)
		}
		fixed[plan.Step.Name] = window
	}
	if len(w.faults) > 0 {
		return nil, &preflight.Error{Findings: w.faults}
	}
	if options.Since != "" && len(fixed) == 0 {
		return nil, fmt.Errorf("no step to run has a watermark (changes: { by: COLUMN }), so there is nothing that --since could mean")
	}
	return fixed, nil
}

// fault records why the step must not run.
func (w *windows) fault(step *pipeline.Step, message, fix string) {
	w.faults = append(w.faults, preflight.Finding{
		File: w.engine.pipeline.File, Line: step.ChangesPos.Line, Column: step.ChangesPos.Column, Step: step.Name,
		Severity: preflight.SeverityError, Message: "changes: " + message, Fix: fix,
	})
}

// fix returns the window of one step; nil with a fault.
func (w *windows) fix(ctx context.Context, plan *stepPlan) (*state.Window, error) {
	step, mark := plan.Step, plan.Watermark
	nulls, err := mark.HasNulls(ctx, w.conn)
	if err != nil {
		return nil, err
	}
	if nulls {
		never := "NULL"
		if mark.Timed() {
			never = "NULL or infinity"
		}
		w.fault(step, fmt.Sprintf("there are rows whose %s is %s, and they would never be sent", step.Changes.By, never),
			"set it, leave them out of the query, or take a value that is there, such as coalesce(updated_at, created_at) AS changed_at")
		return nil, nil
	}
	window := &state.Window{
		Column: step.Changes.By, Type: mark.Type(), OrgID: w.engine.cfg.Org.OrgID(), Definition: step.Fingerprint(),
		Moves: w.options.Limit == 0,
	}
	if window.High, err = w.high(ctx, plan); err != nil || len(w.faults) > 0 {
		return nil, err
	}
	return window, w.low(ctx, plan, window)
}

// high is the bound that the run must not reach; see the documentation of changes for what it rests on.
func (w *windows) high(ctx context.Context, plan *stepPlan) (string, error) {
	step, mark := plan.Step, plan.Watermark
	if mark.TakesOverlap() && w.clock == nil {
		clock, err := extract.ReadClock(ctx, w.conn)
		if err != nil {
			return "", err
		}
		w.clock = &clock
	}
	blind := mark.Timed() && w.clock.Blind != "" || mark.Counts() && w.clock.Standby
	if blind && overlapOf(step.Changes) == "" {
		w.fault(step, "whether a change may still be committed late cannot be seen in the source: "+w.clock.Blind,
			"mend that, or add an overlap that covers as long as its transactions stay open, such as overlap: 10m, or overlap: 1000 for a column of numbers")
		return "", nil
	}
	settle := openWait
	if step.Changes.OverlapCount > 0 {
		settle = 0
	}
	var clock extract.Clock
	if w.clock != nil {
		clock = *w.clock
	}
	high, err := mark.Upper(ctx, w.conn, clock, settle)
	if err != nil && extract.StillOpen(err) {
		w.fault(step, err.Error(), "let it end, or add an overlap of so many numbers, such as overlap: 1000")
		return "", nil
	}
	return high, err
}

// low fills in where the run begins to read.
func (w *windows) low(ctx context.Context, plan *stepPlan, window *state.Window) error {
	step, mark := plan.Step, plan.Watermark
	stored, known := w.marks[step.Name]
	if w.options.Full || w.options.Since != "" {
		return w.lowAsAsked(ctx, plan, window, stored, known)
	}
	if !known {
		w.orNothing(window, "")
		return nil
	}
	if why, fix := w.mismatch(window, stored); why != "" {
		w.fault(step, why, fix)
		return nil
	}
	if stored.Definition != "" && stored.Definition != window.Definition {
		w.engine.log.Warn(fmt.Sprintf("step %q: its query or mapping is not the one that earlier runs sent with; rows that do not change keep in the org what they were sent as; \"etl run --full\" sends all of them again", step.Name))
	}
	w.orNothing(window, stored.Value)
	later, err := mark.Later(ctx, w.conn, stored.Value, window.High)
	if err != nil {
		return err
	}
	if later && mark.Counts() {
		// The newest rows were removed from the source: nothing is new. Or else its numbers began anew, which
		// looks the same.
		w.engine.log.Warn(fmt.Sprintf("step %q: the watermark is at %s, and every %s in the source is less than %s: nothing is read; if rows were only removed, that is right; if the numbers began anew, run with --full once", step.Name, stored.Value, step.Changes.By, window.High))
		window.High, later = stored.Value, false
	}
	if later {
		w.fault(step, fmt.Sprintf("the watermark is at %s, and the source can be read up to %s only: its clock went back, it is another server, or the watermark was set ahead", stored.Value, window.High),
			fmt.Sprintf("wait for the clock to catch up, run with --full, or put the watermark back with \"etl watermarks set %s %s VALUE\"", w.engine.pipeline.Name, step.Name))
		return nil
	}
	low := stored.Value
	if overlap := overlapOf(step.Changes); overlap != "" {
		if low, err = mark.Back(ctx, w.conn, low, overlap); err != nil {
			return err
		}
	}
	window.Low = &low
	return nil
}

// orNothing gives a window of a column without any value an end: it reads nothing, and the watermark
// stays where it is.
func (w *windows) orNothing(window *state.Window, stored string) {
	const leastNumber = "-9223372036854775808"
	switch {
	case window.High != "":
	case stored != "":
		window.High = stored
	default:
		window.High, window.Moves = leastNumber, false
	}
}

// lowAsAsked is where the user wants to begin. A run that begins after the watermark leaves rows out
// between the two, so it does not move it.
func (w *windows) lowAsAsked(ctx context.Context, plan *stepPlan, window *state.Window, stored state.Watermark, known bool) error {
	if why, _ := w.mismatch(window, stored); why != "" {
		known = false
	}
	if known {
		w.orNothing(window, stored.Value)
	} else {
		w.orNothing(window, "")
	}
	if w.options.Full {
		return nil
	}
	mark := plan.Watermark
	low, err := mark.Read(ctx, w.conn, w.options.Since)
	if err != nil {
		return fmt.Errorf("--since: %w", err)
	}
	window.Low = &low
	if known {
		skips, err := mark.Later(ctx, w.conn, low, stored.Value)
		if err != nil {
			return err
		}
		window.Moves = window.Moves && !skips
	}
	return nil
}

// mismatch says why a watermark says nothing about what this run is to send.
func (w *windows) mismatch(window *state.Window, stored state.Watermark) (why, fix string) {
	const full = "run with --full once"
	switch {
	case stored.Column == "":
	case stored.Column != window.Column || stored.Type != window.Type:
		return fmt.Sprintf("the watermark is one of the %s column %q, and the step goes by the %s column %q now", stored.Type, stored.Column, window.Type, window.Column), full
	case stored.OrgID != "" && window.OrgID != "" && stored.OrgID != window.OrgID:
		return fmt.Sprintf("the watermark says what org %s has, and the login is for org %s", stored.OrgID, window.OrgID), full + ", if that org is to have everything"
	}
	return "", ""
}

// overlapOf is an overlap as the source takes it; empty where there is none.
func overlapOf(c *pipeline.Changes) string {
	switch {
	case c.Overlap > 0:
		return fmt.Sprintf("%d microseconds", c.Overlap.Microseconds())
	case c.OverlapCount > 0:
		return fmt.Sprint(c.OverlapCount)
	}
	return ""
}

// where is the condition for the step's rows with keys in (low, high], as far as the run reads them.
func (s *stepRun) where(low, high []string) (string, []any) {
	sql, args := extract.KeyCondition(s.plan.keyExprs(), s.plan.KeyTypes, low, high, 1)
	return s.plan.within(s.step.Window, sql, args)
}

// within narrows a condition to a window, if there is one.
func (p *stepPlan) within(w *state.Window, sql string, args []any) (string, []any) {
	if w == nil {
		return sql, args
	}
	changed, more := p.Watermark.Condition(w.Low, w.High, len(args)+1)
	if sql != "" {
		changed = sql + " AND " + changed
	}
	return changed, append(args, more...)
}
