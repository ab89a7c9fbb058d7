package residency

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/mem"
)

// ReadHost reads the memory of the machine and the control groups that limit this process. root is where /proc and
// /sys are found, "/" outside of tests; control groups exist on Linux only.
func ReadHost(ctx context.Context, root string) (Host, error) {
	if root != "/" {
		ctx = context.WithValue(ctx, common.EnvKey, common.EnvMap{common.HostProcEnvKey: filepath.Join(root, "proc")})
	}
	m, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return Host{}, fmt.Errorf("residency: memory of the host: %w", err)
	}
	if m.Total == 0 {
		return Host{}, fmt.Errorf("residency: memory of the host: %s says it has none", filepath.Join(root, "proc/meminfo"))
	}
	groups, err := readGroups(root)
	if err != nil {
		return Host{}, err
	}
	return Host{Total: int64(m.Total), Available: int64(m.Available), Groups: groups}, nil
}
