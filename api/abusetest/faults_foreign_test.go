//go:build integration

package abusetest

import (
	"maps"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/stretchr/testify/require"

	"cubby/orchestrator/docker"
)

// nameLabel is where a container says its name, by which a server finds it again.
const nameLabel = "cubby.name"

// foreign makes a container as somebody else would who copies all that can be seen of one of ours, its labels above all.
// change makes the difference. It is removed with the instance.
func (b *box) foreign(t *testing.T, start bool, change func(*container.Config)) *box {
	t.Helper()
	ours := b.inspect(t)
	config, labels := *ours.Config, maps.Clone(ours.Config.Labels)
	config.Labels, config.Hostname = labels, ""
	change(&config)
	host := &container.HostConfig{NetworkMode: network.NetworkNone, Resources: ours.HostConfig.Resources}
	host.CapDrop, host.CapAdd = ours.HostConfig.CapDrop, ours.HostConfig.CapAdd
	host.Tmpfs = map[string]string{"/run": "", "/home/user": ""}
	host.ReadonlyRootfs = true
	made, err := b.docker.ContainerCreate(patient(t), &config, host, nil, nil, "")
	require.NoError(t, err)
	if start {
		require.NoError(t, b.docker.ContainerStart(patient(t), made.ID, container.StartOptions{}))
	}
	return &box{id: made.ID, docker: b.docker}
}

// TestForeign: containers with our labels that nobody of us made are not taken for ours, and not removed.
func TestForeign(t *testing.T) {
	s := startServer(t)
	t.Run("F32 containers with our labels", func(t *testing.T) {
		a := newArena(t, s)
		asleep := func(c *container.Config) { c.Cmd = []string{"/usr/bin/python3", "-c", "import time; time.sleep(600)"} }
		another := func(c *container.Config) { c.Labels[nameLabel] = "cubby-foreign" }
		foreign := map[string]*box{
			"no supervisor":               a.box.foreign(t, true, func(c *container.Config) { asleep(c); another(c) }),
			"no supervisor, our name":     a.box.foreign(t, true, asleep),
			"an unclaimed supervisor":     a.box.foreign(t, true, another),
			"a supervisor under our name": a.box.foreign(t, true, func(*container.Config) {}),
			"never started":               a.box.foreign(t, false, another),
			"ended":                       a.box.foreign(t, true, func(c *container.Config) { c.Cmd = []string{"/usr/bin/true"}; another(c) }),
		}
		a.crash(t)
		a.requireIntact(t, a.attacked)
		a.requireIntact(t, a.neighbour)
		require.Len(t, a.ids(t), 2)

		// With its own container gone, a foreign one of the same name is no heir.
		before := a.run(t, a.attacked, "x")
		a.kill(t)
		require.NoError(t, a.docker.ContainerRemove(patient(t), a.box.id, container.RemoveOptions{Force: true}))
		a.start(t)
		a.requireLost(t, a.attacked, "removed")
		a.settle(t, before)
		a.box = a.container(t, a.attacked)
		require.Len(t, a.ids(t), 2)
		a.requireIntact(t, a.neighbour)

		for name, b := range foreign {
			require.False(t, b.isGone(patient(t)), "%s has been removed", name)
		}
		// The positive control: it is by its labels that a server finds what it may touch, and these have them all.
		for name, b := range foreign {
			require.Equal(t, a.instance(t), b.inspect(t).Config.Labels[docker.LabelInstance], name)
		}
	})
}
