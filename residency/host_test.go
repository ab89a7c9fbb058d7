package residency

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// fakeRoot writes a tree of files; its /proc has the given memory.
func fakeRoot(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	if _, ok := files["proc/meminfo"]; !ok {
		write(t, root, "proc/meminfo", "MemTotal: 8000 kB\nMemFree: 1000 kB\nMemAvailable: 6000 kB\nCached: 5000 kB\nSwapFree: 9000 kB\n")
	}
	for name, content := range files {
		write(t, root, name, content)
	}
	return root
}

func write(t *testing.T, root, name, content string) {
	t.Helper()
	name = filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

const (
	mountsV2 = "25 1 0:22 / /sys rw shared:7 - sysfs sysfs rw\n30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountsV1 = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n" +
		"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n" +
		"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	noLimitV1 = "9223372036854771712\n"
)

func TestReadHost(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  []Group
	}{
		{"no control groups", nil, nil},
		{"v2", map[string]string{
			"proc/self/cgroup": "0::/app\n", "proc/self/mountinfo": mountsV2,
			"sys/fs/cgroup/app/memory.max": "4096000\n", "sys/fs/cgroup/app/memory.high": "max\n",
			"sys/fs/cgroup/app/memory.current": "3000000\n",
			"sys/fs/cgroup/app/memory.stat":    "anon 1000000\nfile 2000000\nactive_file 700000\ninactive_file 1200000\nfile_dirty 5\n",
		}, []Group{{"/sys/fs/cgroup/app", 4096000, 3000000, 1900000}}},
		{"v2 unlimited", map[string]string{
			"proc/self/cgroup": "0::/app\n", "proc/self/mountinfo": mountsV2,
			"sys/fs/cgroup/app/memory.max": "max\n", "sys/fs/cgroup/app/memory.current": "1\n",
		}, nil},
		{"v2 high below max", map[string]string{
			"proc/self/cgroup": "0::/app\n", "proc/self/mountinfo": mountsV2,
			"sys/fs/cgroup/app/memory.max": "4096000\n", "sys/fs/cgroup/app/memory.high": "2048000\n", "sys/fs/cgroup/app/memory.current": "5\n",
		}, []Group{{"/sys/fs/cgroup/app", 2048000, 5, 0}}},
		{"v2 nested, the middle unlimited", map[string]string{
			"proc/self/cgroup": "0::/pod/mid/app\n", "proc/self/mountinfo": mountsV2,
			"sys/fs/cgroup/pod/mid/app/memory.max": "500\n", "sys/fs/cgroup/pod/mid/app/memory.current": "100\n",
			"sys/fs/cgroup/pod/mid/memory.max": "max\n", "sys/fs/cgroup/pod/mid/memory.current": "200\n",
			"sys/fs/cgroup/pod/memory.max": "400\n", "sys/fs/cgroup/pod/memory.current": "300\n",
		}, []Group{{"/sys/fs/cgroup/pod/mid/app", 500, 100, 0}, {"/sys/fs/cgroup/pod", 400, 300, 0}}},
		{"v2 in a container with its own namespace", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountsV2,
			"sys/fs/cgroup/memory.max": "700\n", "sys/fs/cgroup/memory.current": "70\n",
		}, []Group{{"/sys/fs/cgroup", 700, 70, 0}}},
		{"v2 moved out of its namespace", map[string]string{
			"proc/self/cgroup": "0::/../other\n", "proc/self/mountinfo": mountsV2,
			"sys/fs/cgroup/memory.max": "700\n", "sys/fs/cgroup/memory.current": "70\n", "sys/fs/other/memory.max": "1\n",
		}, []Group{{"/sys/fs/cgroup", 700, 70, 0}}},
		{"v1", map[string]string{
			"proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/svc/w 1\n1:cpuset:/\n0::/\n", "proc/self/mountinfo": mountsV1,
			"sys/fs/cgroup/memory/svc/w 1/memory.limit_in_bytes": "900\n", "sys/fs/cgroup/memory/svc/w 1/memory.usage_in_bytes": "800\n",
			"sys/fs/cgroup/memory/svc/w 1/memory.stat":       "active_file 1\ninactive_file 2\ntotal_active_file 10\ntotal_inactive_file 20\n",
			"sys/fs/cgroup/memory/svc/memory.limit_in_bytes": noLimitV1, "sys/fs/cgroup/memory/svc/memory.usage_in_bytes": "800\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": noLimitV1,
		}, []Group{{"/sys/fs/cgroup/memory/svc/w 1", 900, 800, 30}}},
		{"v1 in a container that shows its part of the tree", map[string]string{
			"proc/self/cgroup": "4:memory:/docker/abc\n", "proc/self/mountinfo": strings.Replace(mountsV1, "0:32 /", "0:32 /docker/abc", 1),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "900\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "1\n",
			"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "1\n",
		}, []Group{{"/sys/fs/cgroup/memory", 900, 1, 0}}},
		{"a mount with a space in its name", map[string]string{
			"proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": `30 25 0:26 / /my\040groups rw - cgroup2 cgroup2 rw` + "\n",
			"my groups/a/memory.max": "900\n", "my groups/a/memory.current": "1\n",
		}, []Group{{"/my groups/a", 900, 1, 0}}},
	} {
		h, err := ReadHost(t.Context(), fakeRoot(t, tc.files))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if h.Total != 8000<<10 || h.Available != 6000<<10 {
			t.Errorf("%s: host memory %+v", tc.name, h)
		}
		if !reflect.DeepEqual(h.Groups, tc.want) {
			t.Errorf("%s: groups %+v, want %+v", tc.name, h.Groups, tc.want)
		}
	}
}

func TestReadHostErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		want  string
	}{
		"limit is not a number": {map[string]string{
			"proc/self/cgroup": "0::/app\n", "proc/self/mountinfo": mountsV2, "sys/fs/cgroup/app/memory.max": "lots\n",
		}, `app/memory.max: "lots" is not a size`},
		"limit without usage": {map[string]string{
			"proc/self/cgroup": "0::/app\n", "proc/self/mountinfo": mountsV2, "sys/fs/cgroup/app/memory.max": "5\n",
		}, "memory.current"},
		"no memory": {map[string]string{"proc/meminfo": "MemTotal: 0 kB\n"}, "meminfo"},
	} {
		if h, err := ReadHost(t.Context(), fakeRoot(t, tc.files)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %+v, %v, want %q", name, h, err, tc.want)
		}
	}
}

func TestReadStatus(t *testing.T) {
	root := fakeRoot(t, map[string]string{"proc/self/status": "Name:\tllorch\nVmPeak:\t 9 kB\nVmLck:\t 4 kB\nVmHWM:\t 2000 kB\nVmRSS:\t 1900 kB\nRssAnon:\t 900 kB\nRssFile:\t 1000 kB\n"})
	var p Process
	if err := p.readStatus(root); err != nil || p != (Process{Peak: 2000 << 10, Anonymous: 900 << 10, File: 1000 << 10, Locked: 4 << 10}) {
		t.Errorf("%+v, %v", p, err)
	}
}

// The real machine: figures that must hold on any of them.
func TestThisHost(t *testing.T) {
	h, err := ReadHost(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	free, bound := h.Free()
	if h.Total <= 0 || h.Available <= 0 || h.Available > h.Total || free > h.Available || bound == "" {
		t.Errorf("%+v: free %d by %s", h, free, bound)
	}
	p, err := ReadProcess(t.Context())
	if err != nil || p.RSS < 1<<20 || p.RSS > h.Total {
		t.Errorf("%+v, %v", p, err)
	}
}
