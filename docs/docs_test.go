// Package docs_test holds the documentation against the program: its pipelines
// are valid, and the commands and flags that it names exist.
package docs_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bulkhead/internal/pipeline"
	"bulkhead/internal/project"
)

// block is a fenced block of a page.
type block struct{ page, language, text string }

// pages returns the documentation, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, file := range append(files, "../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(text)
	}
	return texts
}

func blocks(t *testing.T) []block {
	t.Helper()
	fence := regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	var found []block
	for page, text := range pages(t) {
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			found = append(found, block{page, m[1], m[2]})
		}
	}
	return found
}

func TestPipelinesAreValid(t *testing.T) {
	t.Parallel()
	n := 0
	for _, b := range blocks(t) {
		if b.language != "yaml" || !strings.HasPrefix(b.text, "name:") {
			continue
		}
		n++
		if _, err := pipeline.Parse(b.page, []byte(b.text)); err != nil {
			t.Errorf("%s:\n%s\n%v", b.page, b.text, err)
		}
	}
	if n == 0 {
		t.Error("no page has a pipeline")
	}
}

func TestSettingsAreValid(t *testing.T) {
	t.Parallel()
	for _, b := range blocks(t) {
		if !strings.HasPrefix(b.text, "# etl.yaml\n") {
			continue
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, project.File), []byte(b.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := project.Load(dir, func(string) (string, bool) { return "", false }); err != nil {
			t.Errorf("%s: %v", b.page, err)
		}
	}
}

// mention is a command line in a page: etl, lower-case words, and the rest.
const mention = "(?m)(?:^\\$ |^|`)etl((?: [a-z]+\\b)+)([^`\n]*)"

func TestCommandsExist(t *testing.T) {
	t.Parallel()
	etl := filepath.Join(t.TempDir(), "etl")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", etl, "../cmd/etl").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	helps := map[string]string{}
	help := func(words ...string) string {
		line := strings.Join(words, " ")
		if _, known := helps[line]; !known {
			out, err := exec.CommandContext(t.Context(), etl, append(words, "--help")...).Output()
			if err != nil {
				t.Fatalf("etl %s --help: %v", line, err)
			}
			helps[line] = string(out)
		}
		return helps[line]
	}
	flag := regexp.MustCompile(`--[a-z][a-z-]*`)
	for page, text := range pages(t) {
		for _, m := range regexp.MustCompile(mention).FindAllStringSubmatch(text, -1) {
			command := find(help, strings.Fields(m[1]))
			if len(command) == 0 {
				t.Errorf("%s: %q: there is no such command", page, m[0])
				continue
			}
			for _, f := range flag.FindAllString(m[2], -1) {
				if !strings.Contains(help(command...), f) {
					t.Errorf("%s: %q: etl %s has no %s", page, m[0], strings.Join(command, " "), f)
				}
			}
		}
	}
}

// find returns those of the words that are a command, as its help names itself;
// none when what follows a group of commands is not one of them.
func find(help func(...string) string, words []string) []string {
	text := help(words...)
	usage := regexp.MustCompile(`Usage:\n  etl((?: [a-z]+)*)`).FindStringSubmatch(text)
	if usage == nil {
		return nil
	}
	command := strings.Fields(usage[1])
	if strings.Contains(text, " [command]\n") && len(words) > len(command) {
		return nil
	}
	return command
}

// sources returns the text of the Go files of the module, those of tests or the others.
func sources(t *testing.T, tests bool) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") != tests {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestTestsExist holds that whatever test a page names is there, and that each fault of reliability.md has one.
func TestTestsExist(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)`")
	declared := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(sources(t, true), -1) {
		declared[m[1]] = true
	}
	for page, text := range pages(t) {
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			if !declared[m[1]] {
				t.Errorf("%s names %s, and there is no such test", page, m[1])
			}
		}
	}
	rows := tableRows(pages(t)["reliability.md"], "test")
	if len(rows) < 40 {
		t.Errorf("reliability.md has %d faults", len(rows))
	}
	for _, row := range rows {
		if !name.MatchString(row[len(row)-1]) {
			t.Errorf("reliability.md: no test holds %q", row[0])
		}
	}
}

// TestMessagesExist holds that the program says what reliability.md tells people to look for. An ellipsis
// stands for what differs.
func TestMessagesExist(t *testing.T) {
	t.Parallel()
	said := strings.ReplaceAll(sources(t, false), `\"`, `"`)
	rows := tableRows(pages(t)["reliability.md"], "what to do")
	if len(rows) < 15 {
		t.Errorf("reliability.md has %d messages", len(rows))
	}
	for _, row := range rows {
		for part := range strings.SplitSeq(strings.Trim(row[0], "`"), "…") {
			if !strings.Contains(said, strings.TrimSpace(part)) {
				t.Errorf("nothing says %q", part)
			}
		}
	}
}

// tableRows returns the cells of the rows of all tables of a page whose last column has a title.
func tableRows(page, last string) [][]string {
	var rows [][]string
	within := false
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			within = false
		case cells[len(cells)-1] == last:
			within = true
		case within && !strings.HasPrefix(line, "|---"):
			rows = append(rows, cells)
		}
	}
	return rows
}
