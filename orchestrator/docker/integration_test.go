//go:build integration

package docker

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
)

func TestRealLife(t *testing.T) {
	spec := realSpec()
	spec.Workspace = spec.Name + "-ws"
	require.NoError(t, live.CreateWorkspace(t.Context(), spec.Workspace))
	require.NoError(t, live.CreateWorkspace(t.Context(), spec.Workspace), "again")

	watching, stop := context.WithCancel(t.Context())
	ends := make(chan orchestrator.ContainerEvent, 10)
	watched := make(chan error, 1)
	go func() {
		watched <- live.Watch(watching, func(ev orchestrator.ContainerEvent) { ends <- ev })
	}()
	id := startReal(t, spec)

	found, ok := findReal(t, id)
	require.True(t, ok)
	require.WithinDuration(t, time.Now(), found.CreatedAt, time.Minute)
	found.CreatedAt = time.Time{}
	require.Equal(t, orchestrator.Container{
		ID: id, Name: spec.Name, Image: standin.ID, UID: spec.UID, Workspace: spec.Workspace, State: orchestrator.ContainerRunning,
	}, found)
	names, err := live.ListWorkspaces(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{spec.Workspace}, names)
	require.ErrorIs(t, live.RemoveWorkspace(t.Context(), spec.Workspace), orchestrator.ErrConflict, "it is in use")

	require.NoError(t, live.Remove(t.Context(), id))
	require.NoError(t, live.Remove(t.Context(), id), "again")
	_, ok = findReal(t, id)
	require.False(t, ok)
	require.Equal(t, orchestrator.ContainerEvent{ID: id, Reason: "killed"}, receive(t, ends))
	stop()
	require.ErrorIs(t, receive(t, watched), context.Canceled)
	require.NoError(t, live.RemoveWorkspace(t.Context(), spec.Workspace))
	require.NoError(t, live.RemoveWorkspace(t.Context(), spec.Workspace), "again")
}

func TestRealAttach(t *testing.T) {
	id := startReal(t, realSpec())
	for range 2 { // one after the other
		stream, err := live.Attach(t.Context(), id)
		require.NoError(t, err)
		lines := bufio.NewReader(stream)
		for _, size := range []int{1, 64 << 10, 1 << 20} {
			frame := `{"code":"` + strings.Repeat("x", size) + `"}` + "\n"
			wrote := make(chan error, 1)
			go func() { _, err := io.WriteString(stream, frame); wrote <- err }()
			got, err := lines.ReadString('\n')
			require.NoError(t, err)
			require.NoError(t, receive(t, wrote))
			require.Equal(t, frame, got)
		}
		require.NoError(t, stream.Close())
	}
	t.Run("ends with the container", func(t *testing.T) {
		stream, err := live.Attach(t.Context(), id)
		require.NoError(t, err)
		_, err = io.WriteString(stream, "{}\n")
		require.NoError(t, err)
		lines := bufio.NewReader(stream)
		_, err = lines.ReadString('\n')
		require.NoError(t, err)
		require.NoError(t, live.Remove(t.Context(), id))
		_, err = lines.ReadString('\n')
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, stream.Close())
	})
	t.Run("a container that is gone is not found", func(t *testing.T) {
		_, err := live.Attach(t.Context(), id)
		require.ErrorIs(t, err, orchestrator.ErrNotFound)
	})
}

func TestRealImageMissing(t *testing.T) {
	spec := realSpec()
	spec.Image = "sha256:" + strings.Repeat("0", 64)
	_, err := live.Start(t.Context(), spec)
	require.ErrorIs(t, err, orchestrator.ErrImageMissing)
}

func TestRealStartThatFailsLeavesNothing(t *testing.T) {
	broken, err := New(t.Context(), Config{Endpoint: live.endpoint, Instance: live.instance, Runtime: "no-such-runtime"})
	require.NoError(t, err)
	spec := realSpec()
	_, err = broken.Start(t.Context(), spec)
	require.Error(t, err)
	require.NoError(t, broken.Close())
	requireNothingNamed(t, spec.Name)
}

func TestRealCallerThatLeavesLeavesNothing(t *testing.T) {
	for _, patience := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond, 80 * time.Millisecond, 150 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		spec := realSpec()
		id, err := live.Start(ctx, spec)
		cancel()
		if err == nil {
			require.NoError(t, live.Remove(t.Context(), id))
		} else {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		requireNothingNamed(t, spec.Name)
	}
	requireNoVolumes(t)
}

func TestRealAnonymousWorkspace(t *testing.T) {
	t.Run("goes with a container that is removed", func(t *testing.T) {
		id := startReal(t, realSpec())
		require.Len(t, volumesOf(t), 1)
		names, err := live.ListWorkspaces(t.Context())
		require.NoError(t, err)
		require.Empty(t, names)
		require.NoError(t, live.Remove(t.Context(), id))
		requireNoVolumes(t)
	})
	t.Run("goes with a container whose lease ends", func(t *testing.T) {
		spec := realSpec()
		spec.Lease = 500 * time.Millisecond
		id := startReal(t, spec)
		require.Eventually(t, func() bool {
			_, there := findReal(t, id)
			return !there && len(volumesOf(t)) == 0
		}, 30*time.Second, 100*time.Millisecond)
	})
}

func TestRealRemoveInstanceLeavesNeighbours(t *testing.T) {
	other, err := New(t.Context(), Config{Endpoint: live.endpoint, Instance: live.instance + "-other"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	t.Cleanup(func() { _, _ = other.RemoveInstance(context.Background()) })
	theirs := realSpec()
	theirs.Workspace = theirs.Name + "-ws"
	require.NoError(t, other.CreateWorkspace(t.Context(), theirs.Workspace))
	_, err = other.Start(t.Context(), theirs)
	require.NoError(t, err)
	ours := startReal(t, realSpec())

	removed, err := other.RemoveInstance(t.Context())
	require.NoError(t, err)
	require.Equal(t, Removed{Containers: 1, Volumes: 1}, removed)
	requireNothingNamed(t, theirs.Name)
	found, ok := findReal(t, ours)
	require.True(t, ok)
	require.Equal(t, orchestrator.ContainerRunning, found.State)
	require.NoError(t, live.Remove(t.Context(), ours))
	requireNoVolumes(t)
}

func TestRealNetwork(t *testing.T) {
	none, internet := realSpec(), realSpec()
	none.Network, internet.Network = orchestrator.NetworkNone, orchestrator.NetworkInternet
	require.Equal(t, "0", probeReal(t, startReal(t, none))["routes"])
	require.NotEqual(t, "0", probeReal(t, startReal(t, internet))["routes"], "the same probe sees a network that is there")
}

func TestRealBuild(t *testing.T) {
	label, tag := "cubby.test="+live.instance, "cubby-test:stages-"+live.instance
	build := func(last string) error {
		dockerfile := "FROM scratch AS stage\nLABEL " + label + "\nCOPY secret /secret\nFROM scratch\n" + last
		return live.BuildImage(t.Context(), BuildSpec{
			Tag: tag, Context: tarOf(map[string][]byte{"secret": []byte(rand.Text()), "Dockerfile": []byte(dockerfile)}),
		}, nil)
	}
	t.Run("stages are pruned, and what has a tag stays", func(t *testing.T) {
		require.NoError(t, build("COPY secret /secret"))
		t.Cleanup(func() { require.NoError(t, live.RemoveImage(context.Background(), tag)) })
		require.NotZero(t, dangling(t, label), "the build left its stage")
		require.NoError(t, live.PruneStages(t.Context(), label, 0))
		require.Zero(t, dangling(t, label))
		images, err := live.ListImages(t.Context())
		require.NoError(t, err)
		require.Contains(t, fmt.Sprint(images), tag)
	})
	t.Run("a step that fails is told, and its stages are pruned likewise", func(t *testing.T) {
		require.ErrorContains(t, build("COPY nothing /x"), "nothing")
		require.NotZero(t, dangling(t, label), "the build left its stage")
		require.NoError(t, live.PruneStages(t.Context(), label, 0))
		require.Zero(t, dangling(t, label))
	})
}
