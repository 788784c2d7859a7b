package supervisor

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"cubby/orchestrator/kernel"
)

func TestCgroupMeter(t *testing.T) {
	cases := []struct {
		name  string
		files map[string]string
		want  Sample
	}{
		{"version 1", map[string]string{
			"cpuacct/cpuacct.usage":        "1234567890\n",
			"memory/memory.usage_in_bytes": "4096\n",
			"memory/memory.oom_control":    "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
		}, Sample{CPUMillis: 1234, MemoryBytes: 4096, OOMKills: 3}},
		{"version 2", map[string]string{
			"cgroup.controllers": "cpu memory\n",
			"cpu.stat":           "usage_usec 1234567\nuser_usec 1\n",
			"memory.current":     "4096\n",
			"memory.events":      "low 0\noom 5\noom_kill 3\noom_group_kill 0\n",
		}, Sample{CPUMillis: 1234, MemoryBytes: 4096, OOMKills: 3}},
		{"nothing that can be read", nil, Sample{}},
		{"garbage", map[string]string{"memory/memory.usage_in_bytes": "many\n"}, Sample{}},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			writeFiles(t, root, tt.files)
			require.Equal(t, tt.want, cgroupMeter(root)())
		})
	}
}

func TestCgroupPressure(t *testing.T) {
	want := Pressure{
		LimitBytes: 1 << 30, UsedBytes: 10, FileBytes: 11, MappedBytes: 12, MajorFaults: 13, Refaults: 14, UserMillis: 150, SystemMillis: 20,
	}
	for name, tt := range map[string]struct {
		files map[string]string
		want  Pressure
	}{
		"version 1": {map[string]string{
			"memory/memory.limit_in_bytes": "1073741824\n",
			"memory/memory.usage_in_bytes": "10\n",
			"memory/memory.stat":           "active_file 1\ntotal_inactive_file 4\ntotal_active_file 7\ntotal_mapped_file 12\ntotal_pgmajfault 13\ntotal_workingset_refault_file 14\n",
			"cpuacct/cpuacct.stat":         "user 15\nsystem 2\n",
		}, want},
		"version 2": {map[string]string{
			"cgroup.controllers": "cpu memory\n",
			"memory.max":         "1073741824\n",
			"memory.current":     "10\n",
			"memory.stat":        "file 2\nfile_mapped 12\ninactive_file 4\nactive_file 7\npgmajfault 13\nworkingset_refault_anon 1\nworkingset_refault_file 14\n",
			"cpu.stat":           "usage_usec 170000\nuser_usec 150000\nsystem_usec 20000\n",
		}, want},
		"no limit":                 {map[string]string{"cgroup.controllers": "memory\n", "memory.max": "max\n"}, Pressure{}},
		"nothing that can be read": {nil, Pressure{}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			writeFiles(t, root, tt.files)
			require.Equal(t, tt.want, cgroupPressure(root)())
		})
	}
}

// writeFiles makes files under root.
func writeFiles(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
}

func TestLivesAs(t *testing.T) {
	cases := []struct {
		name, status string
		want         bool
	}{
		{"user's process", "Name:\tx\nState:\tS (sleeping)\nUid:\t7\t7\t7\t7\n", true},
		{"one that has kept the uid as its saved one", "State:\tR (running)\nUid:\t1\t1\t7\t1\n", true},
		{"stopped process", "State:\tT (stopped)\nUid:\t7\t7\t7\t7\n", true},
		{"zombie", "State:\tZ (zombie)\nUid:\t7\t7\t7\t7\n", false},
		{"somebody else's", "State:\tS (sleeping)\nUid:\t70\t70\t70\t70\n", false},
		{"one that is gone", "", false},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, livesAs(tt.status, 7)) })
	}
}

func TestLoadLanguage(t *testing.T) {
	cases := []struct{ name, text, fault string }{
		{"native language", `{"name":"x","adapter":"native","argv":["/x"]}`, ""},
		{"native language with what the image is made of", `{"name":"x","adapter":"native","argv":["/x"],"extensions":[".x"],"packages":"y","driver":"z"}`, ""},
		{"no JSON", `{`, "unexpected EOF"},
		{"more than an object", `{"name":"x","adapter":"native","argv":["/x"]} {}`, "something follows the object"},
		{"unknown field", `{"name":"x","adapter":"native","argv":["/x"],"signal":"frame"}`, `unknown field "signal"`},
		{"no program", `{"name":"x","adapter":"native"}`, "lacks a name or argv"},
		{"unknown adapter", `{"name":"x","adapter":"y","argv":["/x"]}`, `unknown adapter "y"`},
		{"Jupyter kernel with less code", `{"name":"x","adapter":"jupyter","kernelspec":"x","code":{"setup":"{values}"}}`, "lacks code with {values}"},
		{"Jupyter kernel without a program", `{"name":"x","adapter":"jupyter"}`, "lacks a name or argv"},
		{
			"frame to a Jupyter kernel",
			`{"name":"x","adapter":"jupyter","kernelspec":"x","interrupt":"frame",
			"code":{"setup":"{values}","enter":"{values}","leave":"{values}"}}`,
			`unknown interrupt "frame"`,
		},
		{"unknown output", `{"name":"x","adapter":"jupyter","argv":["/x"],"output":"y"}`, `unknown output "y"`},
		{"output of another adapter", `{"name":"x","adapter":"native","argv":["/x"],"output":"messages"}`, "output, which the adapter native does not read"},
		{"kernelspec of another adapter", `{"name":"x","adapter":"bash","argv":["/x"],"kernelspec":"y"}`, "kernelspec, which the adapter bash"},
		{"code of another adapter", `{"name":"x","adapter":"native","argv":["/x"],"code":{"setup":"{values}"}}`, "code, which the adapter native"},
		{"fatal of another adapter", `{"name":"x","adapter":"bash","argv":["/x"],"fatal":"y"}`, "fatal, which the adapter bash"},
		{"unknown interrupt", `{"name":"x","adapter":"native","argv":["/x"],"interrupt":"y"}`, `unknown interrupt "y"`},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "language.json")
			require.NoError(t, os.WriteFile(path, []byte(tt.text), 0o600))
			language, err := LoadLanguage(path)
			if tt.fault != "" {
				require.ErrorContains(t, err, tt.fault)
				return
			}
			require.NoError(t, err)
			require.Equal(t, Language{Name: "x", Adapter: "native", Argv: []string{"/x"}}, language)
		})
	}
	_, err := LoadLanguage("/nowhere/language.json")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestReaper(t *testing.T) {
	reaper := NewReaper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); reaper.Run(ctx) }()
	sleep, err := reaper.start(func() (int, error) {
		child, err := os.StartProcess("/bin/sleep", []string{"sleep", "100"}, &os.ProcAttr{Sys: &unix.SysProcAttr{Setsid: true}})
		return child.Pid, err
	})
	require.NoError(t, err)
	require.NoError(t, sleep.signalGroup(unix.SIGTERM))
	<-sleep.exited
	require.Equal(t, Exit{Value: "signal: terminated"}, exitOf(sleep.status, nil, false, ""))
	require.NoError(t, sleep.signalGroup(unix.SIGTERM), "its number may be another's by now")
	require.ErrorIs(t, unix.Kill(sleep.pid, 0), unix.ESRCH, "no zombie is left")
	cancel()
	<-ended
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	passwd, group := filepath.Join(dir, "passwd"), filepath.Join(dir, "group")
	require.NoError(t, writeNames(passwd, group, 1234))
	users, err := os.ReadFile(passwd)
	require.NoError(t, err)
	require.Contains(t, string(users), "user:x:1234:1234:user:/home/user:/bin/bash\n")
	groups, err := os.ReadFile(group)
	require.NoError(t, err)
	require.Equal(t, "root:x:0:\nuser:x:1234:\nnogroup:x:65534:\n", string(groups))
}

// bridged runs a bridge between pipes that stand for standard input and output, and a socket.
func bridged(t *testing.T) (stdin, stdout, socket *os.File, ended chan error) {
	t.Helper()
	inRead, inWrite, err := os.Pipe()
	require.NoError(t, err)
	outRead, outWrite, err := os.Pipe()
	require.NoError(t, err)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	socket = os.NewFile(uintptr(fds[1]), "socket")
	in, out := int(inRead.Fd()), int(outWrite.Fd())
	for _, fd := range []int{in, out} {
		require.NoError(t, unix.SetNonblock(fd, true))
	}
	ended = make(chan error, 1)
	go func() {
		ended <- bridge(&flow{from: in, to: fds[0]}, &flow{from: fds[0], to: out})
		_ = inRead.Close()
		_ = outWrite.Close()
		_ = unix.Close(fds[0])
	}()
	t.Cleanup(func() { _ = inWrite.Close(); _ = outRead.Close(); _ = socket.Close() })
	return inWrite, outRead, socket, ended
}

func TestBridge(t *testing.T) {
	t.Run("copies both ways at once, more than a buffer holds", func(t *testing.T) {
		stdin, stdout, socket, ended := bridged(t)
		big := kernel.Event{Type: kernel.TypeStdout, Text: string(make([]byte, 1<<20))}
		go func() { _ = kernel.WriteFrame(stdin, big) }()
		go func() { _ = kernel.WriteFrame(socket, big) }()
		for _, end := range []*os.File{stdout, socket} {
			var got kernel.Event
			require.NoError(t, kernel.NewReader(end).Read(&got))
			require.Equal(t, big, got)
		}
		require.NoError(t, stdin.Close())
		require.NoError(t, <-ended)
	})
	t.Run("what the supervisor has sent is written before the end", func(t *testing.T) {
		_, stdout, socket, ended := bridged(t)
		require.NoError(t, kernel.WriteFrame(socket, kernel.Event{Type: kernel.TypePong}))
		require.NoError(t, socket.Close())
		require.NoError(t, <-ended)
		var got kernel.Event
		require.NoError(t, kernel.NewReader(stdout).Read(&got))
		require.Equal(t, kernel.TypePong, got.Type)
	})
	t.Run("reader that is gone ends it", func(t *testing.T) {
		_, stdout, socket, ended := bridged(t)
		require.NoError(t, stdout.Close())
		require.NoError(t, kernel.WriteFrame(socket, kernel.Event{Type: kernel.TypePong}))
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(10 * time.Second):
			require.Fail(t, "the bridge stays")
		}
	})
}
