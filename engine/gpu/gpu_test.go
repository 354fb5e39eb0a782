//go:build linux

package gpu_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flow-pipelines/flow/engine/gpu"
)

// TestMain lets the test binary be another flow that borrows until it is killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "borrow" {
		p := gpu.NewPool(gpu.Machine{}, devices(), os.Args[2])
		l, ok, err := p.Borrow(1, 20<<30)
		if !ok || err != nil {
			os.Exit(1)
		}
		held = l
		os.Stdout.WriteString("borrowed\n")
		time.Sleep(time.Minute) // until it is killed; with nothing to wait for, Go would end it
	}
	os.Exit(m.Run())
}

// held keeps the borrower's loan from the garbage collector, which would close
// its files.
var held *gpu.Loan

func devices() []gpu.Device {
	return []gpu.Device{{ID: "GPU-large", Memory: 80 << 30}, {ID: "GPU-small", Memory: 24 << 30}}
}

func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// What programs print is as NVIDIA's documentation has it.
const smi = `#!/bin/sh
case $1 in
--query-gpu=uuid,name*)
	echo "GPU-aaaa, NVIDIA A100-SXM4-40GB, 550.54.15, 40960, Enabled"
	echo "GPU-bbbb, NVIDIA A100-SXM4-40GB, 550.54.15, 40960, Disabled"
	echo "GPU-cccc, NVIDIA A100-SXM4-40GB, 550.54.15, 40960, Disabled"
	;;
--query-gpu=uuid,util*) echo "GPU-aaaa, [N/A], 512, 61.25"; echo "GPU-bbbb, 42, 1024, [N/A]" ;;
-L)
	echo "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa)"
	echo "  MIG 3g.20gb     Device  0: (UUID: MIG-1111)"
	echo "  MIG 1c.1g.5gb   Device  1: (UUID: MIG-2222)"
	echo "GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb)"
	echo "GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-cccc)"
	;;
esac
`

func TestDevicesOfNVIDIA(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"nvidia-smi": smi})
	const name, driver = "NVIDIA A100-SXM4-40GB", "550.54.15"
	whole := func(id string) gpu.Device {
		return gpu.Device{ID: id, Name: name, Driver: driver, Memory: 40 << 30}
	}
	slices := []gpu.Device{
		{ID: "MIG-1111", Name: name + " 3g.20gb", Driver: driver, Memory: 20 << 30},
		{ID: "MIG-2222", Name: name + " 1c.1g.5gb", Driver: driver, Memory: 5 << 30},
	}
	for visible, want := range map[string][]gpu.Device{
		"":                             append(slices[:2:2], whole("GPU-bbbb"), whole("GPU-cccc")),
		"CUDA_VISIBLE_DEVICES=MIG-2":   slices[1:],
		"CUDA_VISIBLE_DEVICES=1":       {whole("GPU-bbbb")},
		"CUDA_VISIBLE_DEVICES=GPU-c,0": append([]gpu.Device{whole("GPU-cccc")}, slices...),
		"CUDA_VISIBLE_DEVICES=":        nil,
		"CUDA_VISIBLE_DEVICES=2,-1,1":  {whole("GPU-cccc")},
	} {
		m := gpu.Machine{Environ: []string{"PATH=" + dir + ":/usr/bin:/bin", visible}, Sys: dir}
		got, err := m.Devices(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(gpu.Device{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q: %s", visible, diff)
		}
		if visible != "" {
			continue
		}
		usage := m.Usage(t.Context(), []gpu.Device{got[0], got[2]})
		if diff := cmp.Diff([]gpu.Usage{{Memory: 512 << 20, Power: 61.25}, {Utilization: 42, Memory: 1 << 30}}, usage); diff != "" {
			t.Error(diff)
		}
	}
}

func TestNoDriverIsNoDevicesAndABrokenOneAnError(t *testing.T) {
	dir := t.TempDir()
	m := gpu.Machine{Environ: []string{"PATH=" + dir}, Sys: dir}
	if got, err := m.Devices(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("got %v, %v", got, err)
	}
	write(t, dir, map[string]string{"nvidia-smi": "#!/bin/sh\necho Driver/library version mismatch\nexit 18\n"})
	if _, err := m.Devices(t.Context()); err == nil {
		t.Error("a driver that does not answer is not told of")
	}
}

func TestDevicesOfAMD(t *testing.T) {
	sys := t.TempDir()
	write(t, sys, map[string]string{
		"class/kfd/kfd/topology/nodes/0/properties":               "cpu_cores_count 64\nsimd_count 0\n",
		"class/kfd/kfd/topology/nodes/1/properties":               "simd_count 440\ndrm_render_minor 128\nunique_id 11743412061586953\n",
		"class/kfd/kfd/topology/nodes/10/properties":              "simd_count 440\ndrm_render_minor 129\nunique_id 0\n",
		"class/drm/renderD128/device/product_name":                "AMD Instinct MI250X\n",
		"class/drm/renderD128/device/mem_info_vram_total":         "68702699520\n",
		"class/drm/renderD128/device/mem_info_vram_used":          "1048576\n",
		"class/drm/renderD128/device/gpu_busy_percent":            "73\n",
		"class/drm/renderD128/device/hwmon/hwmon3/power1_average": "95000000\n",
		"module/amdgpu/version":                                   "6.7.0\n",
	})
	m := gpu.Machine{Environ: []string{"PATH=/nowhere"}, Sys: sys}
	got, err := m.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []gpu.Device{
		{Maker: gpu.AMD, ID: "GPU-0029b8923061c609", Name: "AMD Instinct MI250X", Driver: "6.7.0", Memory: 68702699520},
		{Maker: gpu.AMD, ID: "1", Name: "AMD GPU", Driver: "6.7.0"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(gpu.Device{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]gpu.Usage{{Utilization: 73, Memory: 1 << 20, Power: 95}}, m.Usage(t.Context(), got[:1])); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"CUDA_VISIBLE_DEVICES=", "CUDA_DEVICE_ORDER=PCI_BUS_ID", "ROCR_VISIBLE_DEVICES=" + got[0].ID + ",1"}, gpu.Visible(got)); diff != "" {
		t.Error(diff)
	}
}

func TestParts(t *testing.T) {
	p := gpu.NewPool(gpu.Machine{}, devices(), t.TempDir())
	borrow := func(n int, memory int64, want ...string) *gpu.Loan {
		t.Helper()
		l, ok, err := p.Borrow(n, memory)
		if err != nil || ok != (len(want) > 0) {
			t.Fatalf("%d × %d: got %v, %v", n, memory, ok, err)
		}
		var got []string
		if ok {
			for _, d := range l.Devices {
				got = append(got, d.ID)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d × %d: %s", n, memory, diff)
		}
		return l
	}
	const gib = 1 << 30
	a := borrow(1, 16*gib, "GPU-small")
	b := borrow(1, 8*gib, "GPU-small")
	c := borrow(1, 1, "GPU-large")
	borrow(1, 0)
	borrow(2, 8*gib)
	borrow(1, 79*gib+1)
	d := borrow(1, 79*gib, "GPU-large")
	a.Return()
	b.Return()
	e := borrow(1, 0, "GPU-small")
	c.Return()
	d.Return()
	borrow(2, 0)
	e.Return()
	borrow(2, 0, "GPU-small", "GPU-large").Return()

	for demand, want := range map[[2]int64]bool{{2, 24 * gib}: true, {2, 25 * gib}: false, {1, 80 * gib}: true, {3, 0}: false} {
		if got := p.Shortage(int(demand[0]), demand[1]) == ""; got != want {
			t.Errorf("%v: %q", demand, p.Shortage(int(demand[0]), demand[1]))
		}
	}
}

// Another process's loan counts, and ends with it, however it ends.
func TestAKilledBorrowerHasNothing(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command(self, "borrow", dir)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	p := gpu.NewPool(gpu.Machine{}, devices(), dir)
	if _, ok, err := p.Borrow(2, 5<<30); ok || err != nil {
		t.Errorf("what another has is lent: %v, %v", ok, err)
	}
	l, ok, err := p.Borrow(2, 4<<30)
	if !ok || err != nil {
		t.Errorf("what another has not is not lent: %v, %v", ok, err)
	}
	l.Return()
	_ = other.Process.Kill()
	_ = other.Wait()
	if _, ok, err := p.Borrow(2, 0); !ok || err != nil {
		t.Errorf("a dead process keeps its loan: %v, %v", ok, err)
	}
}
