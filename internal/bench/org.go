package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// org is an emulated org in a process of its own.
type org struct {
	url string
	env []string // points the program at it
	cmd *exec.Cmd
	dir string // of its jobs
}

// startOrg starts `etl emulator` with further flags.
func (s *stage) startOrg(ctx context.Context, flags ...string) (*org, error) {
	dir, err := os.MkdirTemp(s.dir, "org-")
	if err != nil {
		return nil, err
	}
	args := append([]string{"emulator", "--addr", "127.0.0.1:0", "--json", "--discard", "--data", dir}, flags...)
	cmd := exec.CommandContext(ctx, s.cfg.Etl, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endTime
	cmd.Dir = s.dir
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	o := &org{cmd: cmd, dir: dir}
	var said struct {
		URL string            `json:"url"`
		Env map[string]string `json:"env"`
	}
	if err := json.NewDecoder(stdout).Decode(&said); err != nil {
		return nil, errors.Join(fmt.Errorf("start the org: %w", err), o.stop())
	}
	o.url = said.URL
	for name, value := range said.Env {
		o.env = append(o.env, name+"="+value)
	}
	return o, nil
}

func (o *org) stop() error {
	err := o.cmd.Process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	if waitErr := o.cmd.Wait(); err == nil {
		err = waitErr
	}
	return errors.Join(err, os.RemoveAll(o.dir))
}

// stopAfter ends it and keeps the error there was.
func (o *org) stopAfter(err error) error { return errors.Join(err, o.stop()) }

// processorTime is what it has used so far.
func (o *org) processorTime() time.Duration { return processorTimeOf(o.cmd.Process.Pid) }

// reset makes it an empty org again, without faults.
func (o *org) reset(ctx context.Context) error {
	return o.control(ctx, http.MethodPost, "reset", "", nil)
}

// addFault lets something go wrong, as `etl emulator --fault` does.
func (o *org) addFault(ctx context.Context, fault string) error {
	return o.control(ctx, http.MethodPost, "faults", fault, nil)
}

// control asks one of the org's control endpoints.
func (o *org) control(ctx context.Context, method, path, body string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, o.url+"/emulator/"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %d %s", path, response.StatusCode, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// project writes a project folder with one pipeline, called bench.
func (s *stage) project(pipeline string) (string, error) {
	dir, err := os.MkdirTemp(s.dir, "project-")
	if err != nil {
		return "", err
	}
	files := map[string]string{
		"etl.yaml":             "sources:\n  source:\n    url: ${BENCH_SOURCE}\nspool:\n  dir: spool\n",
		"pipelines/bench.yaml": pipeline,
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}
