// Package gpu finds the GPUs of this machine and lends them to stages, also
// where several flows of one user run at once.
//
// NVIDIA's are found by nvidia-smi, which comes with the driver, AMD's in /sys.
// The driver's library, NVML, would tell the same, but a program that opens
// libraries at run time is linked dynamically and needs the C library that it was
// built for; flow is one static file.
//
// It refuses to know what runs on a device that no flow has lent: programs that
// others start are not seen. engine/apply borrows, engine wires it.
package gpu

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Maker says how programs are told which devices they have.
type Maker int

// The makers.
const (
	NVIDIA Maker = iota
	AMD
)

// Device is a GPU, or a MIG slice of one.
type Device struct {
	Maker Maker
	// ID is the name for programs: "GPU-…" or "MIG-…"; AMD's without a unique
	// id have their number.
	ID           string
	Name, Driver string
	Memory       int64 // bytes
	// parent is the whole GPU of a slice, sys the directory of an AMD device.
	parent, sys string
}

// Usage is how a device is used at a moment. Of a slice it is the whole GPU's.
type Usage struct {
	Utilization float64 // percent of the time
	Memory      int64   // bytes
	Power       float64 // watts
}

// Machine is where to look.
type Machine struct {
	// Environ has PATH, for nvidia-smi, and CUDA_VISIBLE_DEVICES, which limits
	// what is ours: a cluster sets it.
	Environ []string
	// Sys is /sys.
	Sys string
}

// Devices finds the devices. No driver is no devices; one that does not answer
// is an error.
func (m Machine) Devices(ctx context.Context) ([]Device, error) {
	found, err := m.nvidia(ctx)
	if err != nil {
		return nil, err
	}
	return append(found, m.amd()...), nil
}

func (m Machine) env(name string) (string, bool) {
	for i := len(m.Environ) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(m.Environ[i], name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// smi runs nvidia-smi; ok is false if there is none.
func (m Machine) smi(ctx context.Context, args ...string) (out string, ok bool, err error) {
	path, _ := m.env("PATH")
	for _, dir := range filepath.SplitList(path) {
		program := filepath.Join(dir, "nvidia-smi")
		if info, err := os.Stat(program); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			continue
		}
		c := exec.CommandContext(ctx, program, args...)
		c.Env = m.Environ
		var stdout, stderr bytes.Buffer
		c.Stdout, c.Stderr = &stdout, &stderr
		if err := c.Run(); err != nil {
			said := strings.TrimSpace(stdout.String() + stderr.String())
			return "", true, fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, said)
		}
		return stdout.String(), true, nil
	}
	return "", false, nil
}

// nvidia asks for what is documented in nvidia-smi --help-query-gpu.
func (m Machine) nvidia(ctx context.Context) ([]Device, error) {
	out, ok, err := m.smi(ctx, "--query-gpu=uuid,name,driver_version,memory.total,mig.mode.current", "--format=csv,noheader,nounits")
	if err != nil || !ok {
		return nil, err
	}
	var all []Device
	sliced := map[string]Device{}
	for _, f := range table(out, 5) {
		d := Device{ID: f[0], Name: f[1], Driver: f[2], Memory: mebibytes(f[3])}
		if f[4] == "Enabled" {
			sliced[d.ID] = d
		}
		all = append(all, d)
	}
	var parts []Device
	if len(sliced) > 0 {
		if out, _, err = m.smi(ctx, "-L"); err != nil {
			return nil, err
		}
		parts = migs(out, sliced)
	}
	if visible, limited := m.env("CUDA_VISIBLE_DEVICES"); limited {
		all = choose(all, parts, visible)
	}
	// A program cannot use a GPU that is cut into slices but by one of them.
	var devices []Device
	for _, d := range all {
		if _, cut := sliced[d.ID]; !cut {
			devices = append(devices, d)
			continue
		}
		for _, part := range parts {
			if part.parent == d.ID {
				devices = append(devices, part)
			}
		}
	}
	return devices, nil
}

// choose keeps the devices that CUDA_VISIBLE_DEVICES names: GPUs by number, all
// by the beginning of their id. What comes after a name that is none does not
// count.
func choose(all, parts []Device, visible string) []Device {
	var kept []Device
	for _, name := range strings.Split(visible, ",") {
		name = strings.TrimSpace(name)
		from := all
		if strings.HasPrefix(name, "MIG-") {
			from = parts
		}
		i, err := strconv.Atoi(name)
		if err != nil {
			i = slices.IndexFunc(from, func(d Device) bool { return name != "" && strings.HasPrefix(d.ID, name) })
		}
		if i < 0 || i >= len(from) {
			break
		}
		kept = append(kept, from[i])
	}
	return kept
}

// migs reads the slices from the output of nvidia-smi -L:
//
//	GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5b…)
//	  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4…)
func migs(list string, sliced map[string]Device) []Device {
	var found []Device
	var gpu string
	for line := range strings.Lines(list) {
		_, id, ok := strings.Cut(strings.TrimSpace(line), "(UUID: ")
		if !ok {
			continue
		}
		id = strings.TrimSuffix(id, ")")
		fields := strings.Fields(line)
		switch {
		case fields[0] == "GPU":
			gpu = id
		case fields[0] == "MIG" && len(fields) > 1:
			whole, is := sliced[gpu]
			if !is {
				continue
			}
			d := Device{ID: id, Name: whole.Name + " " + fields[1], Driver: whole.Driver, parent: gpu}
			size, _, _ := strings.Cut(fields[1][strings.LastIndexByte(fields[1], '.')+1:], "gb")
			n, _ := strconv.ParseInt(size, 10, 64)
			d.Memory = n << 30
			found = append(found, d)
		}
	}
	return found
}

// table splits comma-separated lines of n fields.
func table(out string, n int) [][]string {
	var rows [][]string
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if len(fields) != n {
			continue
		}
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		rows = append(rows, fields)
	}
	return rows
}

func mebibytes(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n << 20
}

// amd reads what the kernel's amdgpu driver tells: the compute nodes, which
// programs number, and their devices.
func (m Machine) amd() []Device {
	nodes, _ := filepath.Glob(filepath.Join(m.Sys, "class/kfd/kfd/topology/nodes/*/properties"))
	slices.SortFunc(nodes, func(a, b string) int {
		return number(filepath.Base(filepath.Dir(a))) - number(filepath.Base(filepath.Dir(b)))
	})
	var found []Device
	count := 0
	for _, node := range nodes {
		properties := map[string]string{}
		for line := range strings.Lines(read(node)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				properties[name] = value
			}
		}
		if number(properties["simd_count"]) == 0 {
			continue // a processor
		}
		d := Device{Maker: AMD, ID: strconv.Itoa(count), Name: "AMD GPU", Driver: read(filepath.Join(m.Sys, "module/amdgpu/version"))}
		count++
		if id, err := strconv.ParseUint(properties["unique_id"], 10, 64); err == nil && id != 0 {
			d.ID = fmt.Sprintf("GPU-%016x", id)
		}
		d.sys = filepath.Join(m.Sys, "class/drm/renderD"+properties["drm_render_minor"], "device")
		if name := read(filepath.Join(d.sys, "product_name")); name != "" {
			d.Name = name
		}
		d.Memory, _ = strconv.ParseInt(read(filepath.Join(d.sys, "mem_info_vram_total")), 10, 64)
		found = append(found, d)
	}
	return found
}

func read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// Usage says how devices are used just now, in their order; what is not told is
// zero.
func (m Machine) Usage(ctx context.Context, devices []Device) []Usage {
	usage := make([]Usage, len(devices))
	var rows [][]string
	if slices.ContainsFunc(devices, func(d Device) bool { return d.Maker == NVIDIA }) {
		out, _, err := m.smi(ctx, "--query-gpu=uuid,utilization.gpu,memory.used,power.draw", "--format=csv,noheader,nounits")
		if err == nil {
			rows = table(out, 4)
		}
	}
	for i, d := range devices {
		if d.Maker == AMD {
			usage[i] = d.amdUsage()
			continue
		}
		for _, f := range rows {
			if f[0] == d.ID || f[0] == d.parent {
				usage[i].Utilization, _ = strconv.ParseFloat(f[1], 64)
				usage[i].Memory = mebibytes(f[2])
				usage[i].Power, _ = strconv.ParseFloat(f[3], 64)
			}
		}
	}
	return usage
}

func (d Device) amdUsage() (u Usage) {
	u.Utilization, _ = strconv.ParseFloat(read(filepath.Join(d.sys, "gpu_busy_percent")), 64)
	u.Memory, _ = strconv.ParseInt(read(filepath.Join(d.sys, "mem_info_vram_used")), 10, 64)
	if files, _ := filepath.Glob(filepath.Join(d.sys, "hwmon/hwmon*/power1_average")); len(files) > 0 {
		microwatts, _ := strconv.ParseFloat(read(files[0]), 64)
		u.Power = microwatts / 1e6
	}
	return u
}

// Visible are the variables that show a program these devices and no others;
// none hides all of them.
func Visible(devices []Device) []string {
	var nvidia, amd []string
	for _, d := range devices {
		if d.Maker == AMD {
			amd = append(amd, d.ID)
		} else {
			nvidia = append(nvidia, d.ID)
		}
	}
	env := []string{"CUDA_VISIBLE_DEVICES=" + strings.Join(nvidia, ","), "CUDA_DEVICE_ORDER=PCI_BUS_ID"}
	if len(amd) == 0 {
		return append(env, "HIP_VISIBLE_DEVICES=-1") // to ROCm's runtime, an empty list is no list
	}
	return append(env, "ROCR_VISIBLE_DEVICES="+strings.Join(amd, ","))
}
