package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is what the Makefile says this is; the linker can set nothing but a
// variable. Nothing writes it.
var version = ""

// versionView is what is known about this binary.
type versionView struct {
	Version  string `json:"version"` // devel when nothing is known
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"` // of the revision
	Modified bool   `json:"modified"`       // built from a changed checkout
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersionCmd(a *app) *cobra.Command {
	var withJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: `  etl version --json`,
		Args:    wants(),
		RunE:    func(*cobra.Command, []string) error { return runVersion(a, withJSON) },
	}
	addJSON(cmd, &withJSON)
	return cmd
}

func runVersion(a *app, withJSON bool) error {
	v := currentVersion()
	if withJSON {
		return a.printJSON(v)
	}
	revision := ""
	if v.Revision != "" {
		revision = " (" + v.Revision[:min(len(v.Revision), 12)] + " of " + v.Time
		if v.Modified {
			revision += ", with changes"
		}
		revision += ")"
	}
	a.printf("etl %s%s, %s, %s\n", v.Version, revision, v.Go, v.Platform)
	return nil
}

// currentVersion reads what the go command put into the binary.
func currentVersion() versionView {
	v := versionView{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	if version != "" {
		v.Version = version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
