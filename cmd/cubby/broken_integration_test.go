//go:build integration

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/images"
	"cubby/orchestrator/docker"
)

// breakImage builds an image of the language broken from that of Python, as somebody might have added it, and returns
// the engine.
func breakImage(t *testing.T, c *cli, dockerfile string, files map[string]string) engine {
	t.Helper()
	e := engineForTools(t, c)
	info, err := e.Info(t.Context())
	require.NoError(t, err)
	python, err := images.Tag("python", info.Architecture)
	require.NoError(t, err)
	supervisor, err := images.SupervisorDigest(info.Architecture)
	require.NoError(t, err)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	files["Dockerfile"] = "FROM " + python + "\n" + dockerfile
	for name, content := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}))
		_, err := w.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, e.BuildImage(t.Context(), docker.BuildSpec{
		Tag: brokenTag, Context: &archive, Labels: map[string]string{
			images.LabelLanguage: "broken-test", images.LabelAdded: time.Now().UTC().String(), images.LabelSupervisor: supervisor,
		},
	}, t.Output()))
	t.Cleanup(func() { require.NoError(t, e.RemoveImage(context.WithoutCancel(t.Context()), brokenTag)) })
	return e
}

const brokenTag = "cubby-broken-test:1"

func TestIntegrationBrokenImages(t *testing.T) {
	foreign, err := os.ReadFile("../../images/supervisor/supervisor-linux-arm64")
	require.NoError(t, err)
	if strings.HasPrefix(string(foreign[18:]), "\xb7") == false {
		t.Fatal("that is no supervisor for arm64")
	}
	for name, tt := range map[string]struct {
		dockerfile string
		files      map[string]string
		want       string
	}{
		"whose driver dies at boot": {
			"COPY driver.py /opt/cubby/driver.py\n",
			map[string]string{"driver.py": "raise SystemExit('no module named x')\n"},
			"kernel exited: exit status 1: no module named x",
		},
		"without a supervisor":          {"RUN rm /opt/cubby/supervisor\n", map[string]string{}, "/opt/cubby/supervisor cannot be run: stat /opt/cubby/supervisor: no such file"},
		"with one that cannot be run":   {"RUN chmod 644 /opt/cubby/supervisor\n", map[string]string{}, "/opt/cubby/supervisor cannot be run: permission denied"},
		"with one of another processor": {"COPY supervisor /opt/cubby/supervisor\n", map[string]string{"supervisor": string(foreign)}, "the new container exited with code 1"},
		"with a wrong language.json":    {"COPY language.json /opt/cubby/\n", map[string]string{"language.json": `{"name":"x"}`}, "lacks a name or argv"},
		"without a language.json":       {"RUN rm /opt/cubby/language.json\n", map[string]string{}, "read the image's language"},
		"without an interpreter": {
			"COPY language.json /opt/cubby/\n",
			map[string]string{"language.json": `{"name":"x","adapter":"native","argv":["/usr/bin/ruby"]}`},
			"/usr/bin/ruby",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := onDocker(t)
			breakImage(t, c, tt.dockerfile, tt.files)
			s := c.serve("--languages=python,broken-test", "--remove-on-exit")
			c.variables["CUBBY_URL"] = s.url
			code, _, stderr := c.run("ctx", "create", "--language=broken-test")
			require.Equal(t, exitFault, code)
			require.Contains(t, stderr, "image "+brokenTag+" of broken-test: ")
			require.Contains(t, stderr, "kernel did not boot")
			require.Contains(t, stderr, tt.want)
			require.Empty(t, c.ok("ctx", "ls", "-q"), "nothing stays behind")
			left, err := engineOf(t, c, c.variables["HOME"]+"/.local/state/cubby").List(t.Context())
			require.NoError(t, err)
			require.Empty(t, left)
			id := strings.TrimSpace(c.ok("ctx", "create"))
			require.Equal(t, "2\n", c.ok("ctx", "exec", id, "-c", "1 + 1"), "the other languages go on")
			require.Equal(t, exitOK, s.stop(), s.log.String())
		})
	}
	t.Run("that is removed while the server runs", func(t *testing.T) {
		c := onDocker(t)
		e := breakImage(t, c, "LABEL fine=yes\n", map[string]string{})
		s := c.serve("--languages=python,broken-test", "--remove-on-exit")
		c.variables["CUBBY_URL"] = s.url
		id := strings.TrimSpace(c.ok("ctx", "create", "--language=broken-test"))
		c.ok("ctx", "rm", id)
		require.NoError(t, e.RemoveImage(t.Context(), brokenTag))
		code, _, stderr := c.run("ctx", "create", "--language=broken-test")
		require.Equal(t, exitFault, code)
		require.Contains(t, stderr, "the engine has no image of broken-test any more; add it again: cubby images add broken-test …")
		c.ok("ctx", "create")
		require.Equal(t, exitOK, s.stop(), s.log.String())
	})
}
