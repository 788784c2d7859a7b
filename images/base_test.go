package images

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// program returns the output of a shell script.
func program(t *testing.T, script string) *output {
	t.Helper()
	o, err := start(t.Context(), t.Output(), "sh", "-c", script)
	require.NoError(t, err)
	return o
}

func TestOutput(t *testing.T) {
	t.Run("ends like the file that it is", func(t *testing.T) {
		o := program(t, "printf whole")
		got, err := io.ReadAll(o)
		require.NoError(t, err)
		require.Equal(t, "whole", string(got))
		_, err = o.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, o.Close())
	})
	t.Run("of a program that failed never ends well", func(t *testing.T) {
		o := program(t, "printf half; exit 3")
		got, err := io.ReadAll(o)
		require.ErrorContains(t, err, "exit status 3")
		require.Equal(t, "half", string(got))
		_, err = o.Read(make([]byte, 1))
		require.ErrorContains(t, err, "exit status 3")
	})
	t.Run("closing ends the program and what it has started", func(t *testing.T) {
		o := program(t, "sleep 600 & echo $!; wait")
		var pid int
		_, err := fmt.Fscanln(o, &pid)
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, 0))
		require.NoError(t, o.Close())
		require.Eventually(t, func() bool { // an orphan is a zombie until somebody reaps it
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err != nil || strings.Contains(string(stat), ") Z ")
		}, time.Minute, 10*time.Millisecond)
		require.NoError(t, o.Close())
	})
	t.Run("closing while it is read ends the reading, and not well", func(t *testing.T) {
		o := program(t, "sleep 600")
		read := make(chan error, 1)
		go func() { _, err := io.ReadAll(o); read <- err }()
		require.NoError(t, o.Close())
		require.ErrorContains(t, <-read, "base.sh: ")
	})
}

func TestBootstrap(t *testing.T) {
	// A PATH without mmdebstrap and without apt-get is that of a machine which is not Debian.
	bin := t.TempDir()
	for _, name := range []string{"sh", "id", "sed", "mktemp", "rm"} {
		tool, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(tool, filepath.Join(bin, name)))
	}
	t.Setenv("PATH", bin)
	var said bytes.Buffer
	archive, err := bootstrap(t.Context(), "amd64", &said)
	require.NoError(t, err)
	_, err = io.ReadAll(archive)
	require.ErrorContains(t, err, "base.sh: exit status 1")
	require.Contains(t, said.String(), "cannot bootstrap Debian")
	require.NoError(t, archive.Close())
}

func TestFirstBundle(t *testing.T) {
	dir := t.TempDir()
	there, missing := filepath.Join(dir, "bundle.crt"), filepath.Join(dir, "missing.crt")
	require.NoError(t, os.WriteFile(there, []byte("PEM"), 0o600))

	got, err := firstBundle([]string{missing, there})
	require.NoError(t, err)
	require.Equal(t, "PEM", string(got))

	got, err = firstBundle([]string{missing})
	require.NoError(t, err)
	require.Empty(t, got)

	_, err = firstBundle([]string{dir, there})
	require.Error(t, err, "a bundle that cannot be read is not passed over")
}

func TestBase(t *testing.T) {
	t.Run("one that the engine has is taken without asking a registry", func(t *testing.T) {
		for _, ref := range []string{publicBase, ownBase()} {
			b := newBench()
			b.engine.add(ref)
			got, err := b.findBase(t.Context(), "amd64")
			require.NoError(t, err)
			require.Equal(t, ref, got)
			require.Empty(t, b.engine.calls)
		}
	})
	t.Run("without a registry it is made here, under our own name", func(t *testing.T) {
		b := newBench()
		b.engine.pull = offline
		got, err := b.findBase(t.Context(), "x86_64")
		require.NoError(t, err)
		require.Regexp(t, `^cubby-base:trixie-[0-9a-f]{12}$`, got)
		require.Equal(t, []string{"pull debian:trixie-slim", "import " + got}, b.engine.calls)
		require.Contains(t, b.out.String(), "no registry answers (no such host); making cubby-base:trixie-")
	})
	t.Run("one that was asked for is pulled, and nothing takes its place", func(t *testing.T) {
		b := newBench()
		b.options.Base = "mirror.example/debian:trixie"
		got, err := b.findBase(t.Context(), "amd64")
		require.NoError(t, err)
		require.Equal(t, b.options.Base, got)

		b = newBench()
		b.options.Base, b.engine.pull = "mirror.example/debian:trixie", offline
		_, err = b.findBase(t.Context(), "amd64")
		require.ErrorIs(t, err, errDown)
		require.ErrorContains(t, err, "mirror.example/debian:trixie")
		require.Equal(t, []string{"pull mirror.example/debian:trixie"}, b.engine.calls)
	})
	t.Run("a bootstrap that fails leaves no image", func(t *testing.T) {
		b := newBench()
		b.engine.pull = offline
		b.bootstrap = func(context.Context, string, io.Writer) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("half"), brokenReader{})), nil
		}
		_, err := b.findBase(t.Context(), "amd64")
		require.ErrorIs(t, err, errDown)
		require.Empty(t, b.engine.images)
	})
	t.Run("a silent registry is given up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench()
			b.engine.pull = func(ctx context.Context, _ io.Writer) error {
				<-ctx.Done()
				return ctx.Err()
			}
			_, err := b.findBase(t.Context(), "amd64")
			require.NoError(t, err)
			require.Contains(t, b.out.String(), "no answer from the registry for 20s")
		})
	})
	t.Run("a slow registry is waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench()
			b.engine.pull = func(ctx context.Context, progress io.Writer) error {
				for range 10 {
					time.Sleep(b.patience - time.Second)
					fmt.Fprintln(progress, "Downloading")
				}
				return ctx.Err()
			}
			got, err := b.findBase(t.Context(), "amd64")
			require.NoError(t, err)
			require.Equal(t, publicBase, got)
		})
	})
	t.Run("a cancelled pull is no reason to make one here", func(t *testing.T) {
		b := newBench()
		ctx, cancel := context.WithCancel(t.Context())
		b.engine.pull = func(ctx context.Context, _ io.Writer) error {
			cancel()
			return ctx.Err()
		}
		_, err := b.findBase(ctx, "amd64")
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, []string{"pull debian:trixie-slim"}, b.engine.calls)
	})
}

// brokenReader fails.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errDown }
