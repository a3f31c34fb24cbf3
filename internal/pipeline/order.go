package pipeline

import (
	"slices"
	"strings"

	"bulkhead/internal/nearest"
	"bulkhead/internal/yamlfile"
)

// needs is a step with the places of its file that checkOrder reports.
type needs struct {
	step   *Step
	value  yamlfile.Value
	needed []yamlfile.Value
}

// checkOrder checks that names are unique, that every step needed is there,
// and that no step waits for itself.
func (d *decoder) checkOrder(steps []needs) {
	var names []string
	byName := map[string]*Step{}
	for _, s := range steps {
		// Names become file names, and some file systems fold their case.
		folded := strings.ToLower(s.step.Name)
		if first, twice := byName[folded]; twice && folded != "" {
			s.value.Problem("the name %q is taken by the step on %s: give each step its own", s.step.Name, at(first.Pos))
			continue
		}
		byName[folded] = s.step
		names = append(names, s.step.Name)
	}
	sound := true
	for _, s := range steps {
		for i, v := range s.needed {
			sound = checkNeed(s.step, v, names) && sound
			if name := s.step.Needs[i]; name != "" && slices.Contains(s.step.Needs[:i], name) {
				v.Problem("the step %q is named twice", name)
			}
		}
	}
	if cycle := findCycle(stepsOf(steps)); sound && cycle != nil {
		first := steps[slices.IndexFunc(steps, func(s needs) bool { return s.step == cycle[0] })]
		path := make([]string, 0, len(cycle)+1)
		for _, s := range cycle {
			path = append(path, s.Name)
		}
		path = append(path, cycle[0].Name)
		first.value.Problem("these steps wait for each other, so none can begin: %s", strings.Join(path, " needs "))
	}
}

// checkNeed checks one name under needs.
func checkNeed(s *Step, v yamlfile.Value, names []string) bool {
	name := v.Text()
	near, isNear := nearest.Name(name, names)
	switch {
	case name == "":
		return false
	case name == s.Name:
		v.Problem("a step cannot need itself")
	case slices.Contains(names, name):
		return true
	case isNear:
		v.Problem("there is no step %q; did you mean %q?", name, near)
	default:
		v.Problem("there is no step %q: the steps are %s", name, strings.Join(names, ", "))
	}
	return false
}

func stepsOf(all []needs) []*Step {
	steps := make([]*Step, len(all))
	for i, s := range all {
		steps[i] = s.step
	}
	return steps
}

// Ordered returns the steps in an order to run them in: each after all it
// needs, and otherwise as in the file.
func (p *Pipeline) Ordered() []*Step {
	ordered := make([]*Step, 0, len(p.Steps))
	done := map[string]bool{}
	for len(ordered) < len(p.Steps) {
		next := slices.IndexFunc(p.Steps, func(s *Step) bool {
			return !done[s.Name] && !slices.ContainsFunc(s.Needs, func(n string) bool { return !done[n] })
		})
		if next < 0 { // unreachable for a pipeline that was parsed: it has no cycle
			return p.Steps
		}
		done[p.Steps[next].Name] = true
		ordered = append(ordered, p.Steps[next])
	}
	return ordered
}

// findCycle returns steps of which each needs the next, and the last the
// first; nil where there are none.
func findCycle(steps []*Step) []*Step {
	byName := map[string]*Step{}
	for _, s := range steps {
		byName[s.Name] = s
	}
	done := map[*Step]bool{}
	var path []*Step
	var visit func(s *Step) []*Step
	visit = func(s *Step) []*Step {
		if i := slices.Index(path, s); i >= 0 {
			return path[i:]
		}
		if done[s] {
			return nil
		}
		done[s] = true
		path = append(path, s)
		for _, name := range s.Needs {
			if next, ok := byName[name]; ok {
				if cycle := visit(next); cycle != nil {
					return cycle
				}
			}
		}
		path = path[:len(path)-1]
		return nil
	}
	for _, s := range steps {
		if cycle := visit(s); cycle != nil {
			return cycle
		}
	}
	return nil
}
