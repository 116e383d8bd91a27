package executor

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
)

// parameter sets one option of docker run.
type parameter func(*container.Config, *container.HostConfig, string) error

// parameters are the options of docker run that an app's docker parameters may
// name. What the task itself says (publish, network, detach, rm) is not among them.
var parameters = map[string]parameter{
	"env":      list(func(c *container.Config, _ *container.HostConfig) *[]string { return &c.Env }),
	"label":    setLabel,
	"hostname": text(func(c *container.Config, _ *container.HostConfig) *string { return &c.Hostname }),
	"user":     text(func(c *container.Config, _ *container.HostConfig) *string { return &c.User }),
	"workdir":  text(func(c *container.Config, _ *container.HostConfig) *string { return &c.WorkingDir }),
	"stop-signal": text(func(c *container.Config, _ *container.HostConfig) *string {
		return &c.StopSignal
	}),
	"entrypoint": func(c *container.Config, _ *container.HostConfig, v string) error {
		c.Entrypoint = []string{v}
		return nil
	},
	"volume":       setVolume,
	"volumes-from": list(func(_ *container.Config, h *container.HostConfig) *[]string { return &h.VolumesFrom }),
	"tmpfs": func(_ *container.Config, h *container.HostConfig, v string) error {
		path, options, _ := strings.Cut(v, ":")
		h.Tmpfs = with(h.Tmpfs, path, options)
		return nil
	},
	"device":       setDevice,
	"add-host":     list(func(_ *container.Config, h *container.HostConfig) *[]string { return &h.ExtraHosts }),
	"dns":          setDNS,
	"dns-search":   list(func(_ *container.Config, h *container.HostConfig) *[]string { return &h.DNSSearch }),
	"dns-option":   list(func(_ *container.Config, h *container.HostConfig) *[]string { return &h.DNSOptions }),
	"cap-add":      list(func(_ *container.Config, h *container.HostConfig) *[]string { return &h.CapAdd }),
	"cap-drop":     list(func(_ *container.Config, h *container.HostConfig) *[]string { return &h.CapDrop }),
	"group-add":    list(func(_ *container.Config, h *container.HostConfig) *[]string { return &h.GroupAdd }),
	"security-opt": list(func(_ *container.Config, h *container.HostConfig) *[]string { return &h.SecurityOpt }),
	"sysctl": pair(func(_ *container.Config, h *container.HostConfig) *map[string]string {
		return &h.Sysctls
	}),
	"log-driver": text(func(_ *container.Config, h *container.HostConfig) *string { return &h.LogConfig.Type }),
	"log-opt": pair(func(_ *container.Config, h *container.HostConfig) *map[string]string {
		return &h.LogConfig.Config
	}),
	"ipc": func(_ *container.Config, h *container.HostConfig, v string) error {
		h.IpcMode = container.IpcMode(v)
		return nil
	},
	"pid": func(_ *container.Config, h *container.HostConfig, v string) error {
		h.PidMode = container.PidMode(v)
		return nil
	},
	"uts": func(_ *container.Config, h *container.HostConfig, v string) error {
		h.UTSMode = container.UTSMode(v)
		return nil
	},
	"ulimit": setUlimit,
	"memory": size(func(h *container.HostConfig) *int64 { return &h.Memory }),
	"memory-swap": size(func(h *container.HostConfig) *int64 {
		return &h.MemorySwap
	}),
	"memory-reservation": size(func(h *container.HostConfig) *int64 { return &h.MemoryReservation }),
	"shm-size":           size(func(h *container.HostConfig) *int64 { return &h.ShmSize }),
	"cpus": func(_ *container.Config, h *container.HostConfig, v string) error {
		n, err := strconv.ParseFloat(v, 64)
		h.NanoCPUs = int64(n * 1e9)
		return err
	},
	"cpu-shares": func(_ *container.Config, h *container.HostConfig, v string) (err error) {
		h.CPUShares, err = strconv.ParseInt(v, 10, 64)
		return err
	},
	"pids-limit": func(_ *container.Config, h *container.HostConfig, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		h.PidsLimit = &n
		return err
	},
	"oom-score-adj": func(_ *container.Config, h *container.HostConfig, v string) (err error) {
		h.OomScoreAdj, err = strconv.Atoi(v)
		return err
	},
	"privileged": flag(func(h *container.HostConfig, on bool) { h.Privileged = on }),
	"read-only":  flag(func(h *container.HostConfig, on bool) { h.ReadonlyRootfs = on }),
	"init":       flag(func(h *container.HostConfig, on bool) { h.Init = &on }),
}

// short are the options' other names.
var short = map[string]string{
	"e": "env", "l": "label", "h": "hostname", "u": "user", "w": "workdir", "v": "volume", "m": "memory", "c": "cpu-shares",
}

// Parameters are the options of docker run that a Container's Parameters may name,
// sorted.
func Parameters() []string { return slices.Sorted(maps.Keys(parameters)) }

func setParameter(c *container.Config, h *container.HostConfig, key, value string) error {
	name := strings.TrimLeft(key, "-")
	if long, ok := short[name]; ok {
		name = long
	}
	set, ok := parameters[name]
	if !ok {
		return fmt.Errorf("docker parameter '%s' is not supported: supported are %s", key, strings.Join(Parameters(), ", "))
	}
	if err := set(c, h, value); err != nil {
		return fmt.Errorf("docker parameter '%s' has a value that the engine would refuse: %w", key, err)
	}
	return nil
}

func text(field func(*container.Config, *container.HostConfig) *string) parameter {
	return func(c *container.Config, h *container.HostConfig, v string) error {
		*field(c, h) = v
		return nil
	}
}

func list(field func(*container.Config, *container.HostConfig) *[]string) parameter {
	return func(c *container.Config, h *container.HostConfig, v string) error {
		*field(c, h) = append(*field(c, h), v)
		return nil
	}
}

func pair(field func(*container.Config, *container.HostConfig) *map[string]string) parameter {
	return func(c *container.Config, h *container.HostConfig, v string) error {
		key, value, ok := strings.Cut(v, "=")
		if !ok {
			return fmt.Errorf("it is not of the form key=value")
		}
		*field(c, h) = with(*field(c, h), key, value)
		return nil
	}
}

func size(field func(*container.HostConfig) *int64) parameter {
	return func(_ *container.Config, h *container.HostConfig, v string) (err error) {
		if v == "-1" { // no limit
			*field(h) = -1
			return nil
		}
		*field(h), err = units.RAMInBytes(v)
		return err
	}
}

func flag(set func(*container.HostConfig, bool)) parameter {
	return func(_ *container.Config, h *container.HostConfig, v string) error {
		if v == "" {
			v = "true"
		}
		on, err := strconv.ParseBool(v)
		set(h, on)
		return err
	}
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

// setLabel sets a label, but not the one by which we find our containers.
func setLabel(c *container.Config, _ *container.HostConfig, v string) error {
	key, value, _ := strings.Cut(v, "=")
	if key == ownerLabel {
		return fmt.Errorf("the label %s is Pacer's own", key)
	}
	c.Labels = with(c.Labels, key, value)
	return nil
}

// setVolume mounts a host's folder or a named volume, or makes one for a path alone.
func setVolume(c *container.Config, h *container.HostConfig, v string) error {
	if strings.Contains(v, ":") {
		h.Binds = append(h.Binds, v)
		return nil
	}
	if c.Volumes == nil {
		c.Volumes = map[string]struct{}{}
	}
	c.Volumes[v] = struct{}{}
	return nil
}

func setDevice(_ *container.Config, h *container.HostConfig, v string) error {
	parts := strings.Split(v, ":")
	if len(parts) > 3 || parts[0] == "" {
		return fmt.Errorf("it is not of the form host[:container[:rwm]]")
	}
	d := container.DeviceMapping{PathOnHost: parts[0], PathInContainer: parts[0], CgroupPermissions: "rwm"}
	if len(parts) > 1 {
		d.PathInContainer = parts[1]
	}
	if len(parts) > 2 {
		d.CgroupPermissions = parts[2]
	}
	h.Devices = append(h.Devices, d)
	return nil
}

func setDNS(_ *container.Config, h *container.HostConfig, v string) error {
	ip, err := netip.ParseAddr(v)
	if err != nil {
		return err
	}
	h.DNS = append(h.DNS, ip)
	return nil
}

func setUlimit(_ *container.Config, h *container.HostConfig, v string) error {
	limit, err := units.ParseUlimit(v)
	if err != nil {
		return err
	}
	h.Ulimits = append(h.Ulimits, limit)
	return nil
}
