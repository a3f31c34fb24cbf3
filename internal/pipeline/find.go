package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bulkhead/internal/nearest"
	"bulkhead/internal/yamlfile"
)

// Folder is where a project keeps its pipelines.
const Folder = "pipelines"

// Find returns the file that somebody means by a name: a path as given, or
// NAME.yaml or NAME.yml under the project's folder of pipelines, or the file
// there that says name: NAME. The error lists what there is.
func Find(dir, nameOrPath string) (string, error) {
	if isFile(nameOrPath) {
		return nameOrPath, nil
	}
	if strings.ContainsRune(nameOrPath, filepath.Separator) || slices.Contains(extensions(), filepath.Ext(nameOrPath)) {
		return "", fmt.Errorf("pipeline %q: there is no such file", nameOrPath)
	}
	folder := filepath.Join(dir, Folder)
	files, err := List(folder)
	if err != nil {
		return "", err
	}
	var named []string
	for _, file := range files {
		if stem(file) == nameOrPath {
			return file, nil
		}
		if declaredName(file) == nameOrPath {
			named = append(named, file)
		}
	}
	switch len(named) {
	case 0:
		return "", notFound(folder, nameOrPath, files)
	case 1:
		return named[0], nil
	}
	return "", fmt.Errorf("pipeline %q: several files have this name, so give the path of one: %s", nameOrPath, strings.Join(named, ", "))
}

// List returns the pipeline files of a folder, sorted; none where there is no
// such folder.
func List(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list pipelines: %w", err)
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && slices.Contains(extensions(), filepath.Ext(e.Name())) {
			files = append(files, filepath.Join(folder, e.Name()))
		}
	}
	return files, nil
}

// notFound says what there is instead.
func notFound(folder, name string, files []string) error {
	if len(files) == 0 {
		return fmt.Errorf("pipeline %q: there are no pipeline files in %s; give the path of one, or run in the folder of your project", name, folder)
	}
	var names []string
	for _, file := range files {
		names = append(names, stem(file))
		if declared := declaredName(file); declared != "" && declared != stem(file) {
			names = append(names, declared)
		}
	}
	if near, ok := nearest.Name(name, names); ok {
		return fmt.Errorf("pipeline %q: not found in %s; did you mean %q?", name, folder, near)
	}
	return fmt.Errorf("pipeline %q: not found in %s, which has %s", name, folder, strings.Join(names, ", "))
}

// declaredName is what a file says its name is, as far as it can be read: its
// mistakes are for Load to report.
func declaredName(file string) string {
	text, err := yamlfile.Read(file)
	if err != nil {
		return ""
	}
	name, _, _ := yamlfile.Parse(file, text).Root().Mapping().Get("name").Scalar()
	return name
}

func extensions() []string { return []string{".yaml", ".yml"} }

func stem(file string) string {
	return strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}
