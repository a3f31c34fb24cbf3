package main

import (
	"fmt"

	"bulkhead/internal/pipeline"
	"bulkhead/internal/project"
	"bulkhead/internal/schedule"
)

// pipelineFile is a pipeline of the project, or why it cannot be read.
type pipelineFile struct {
	file    string
	pipe    *pipeline.Pipeline // nil: the file has a mistake
	mistake string
}

// readPipelines reads all pipelines of the project. Two files of one name are a mistake of both.
func readPipelines(p *project.Project) ([]pipelineFile, error) {
	files, err := pipeline.List(pipelineFolder(p))
	if err != nil {
		return nil, err
	}
	list := make([]pipelineFile, len(files))
	named := map[string]int{}
	for i, file := range files {
		list[i].file = file
		loaded, err := pipeline.Load(file)
		if err != nil {
			list[i].mistake = err.Error()
			continue
		}
		list[i].pipe = loaded
		if first, twice := named[loaded.Name]; twice {
			list[first].mistake = fmt.Sprintf("pipeline %q has another file, %s; give one of them another name", loaded.Name, shortPath(file))
			list[i].mistake = fmt.Sprintf("pipeline %q has another file, %s; give one of them another name", loaded.Name, shortPath(list[first].file))
			continue
		}
		named[loaded.Name] = i
	}
	for i := range list {
		if list[i].mistake != "" {
			list[i].pipe = nil
		}
	}
	return list, nil
}

// findPipeline returns the file of the pipeline of that name.
func findPipeline(p *project.Project, name string) (string, error) {
	list, err := readPipelines(p)
	if err != nil {
		return "", err
	}
	for _, f := range list {
		if f.pipe != nil && f.pipe.Name == name {
			return f.file, nil
		}
	}
	// It has gone, or has a mistake by now: whoever looks by its name says so.
	return pipeline.Find(p.Dir, name)
}

// plan is the schedule of a pipeline that has one.
func plan(p *pipeline.Pipeline) schedule.Plan {
	s := p.Schedule
	return schedule.Plan{
		Pipeline: p.Name, Cron: s.Cron, Timezone: s.Timezone, Times: schedule.NewTimes(s.Times, s.Location),
		Queue: s.Overlap == pipeline.OverlapQueue, CatchUp: schedule.CatchUp(s.CatchUp), Jitter: s.Jitter,
	}
}
