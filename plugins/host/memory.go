package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/replace"
	"github.com/flow-pipelines/flow/plugins/protocol"
)

// memoryVersion is the version of the files in which descriptions are kept.
const memoryVersion = 2

// known is what is remembered of a plugin: its description, the digest of what
// it is made of, and how all that lies on the disk.
type known struct {
	Version     int                   `json:"version"`
	Description *protocol.Description `json:"description"`
	Digest      digest.Digest         `json:"digest"`
	// Stamps are those of the program, its files, and what it watches.
	Stamps map[string]stamp `json:"stamps"`
	// Content is what those files held, for when only a stamp has changed.
	Content map[string]digest.Digest `json:"content"`
	// Seen is the time before anything of this was looked at.
	Seen time.Time `json:"seen"`
}

// stamp is how a file looks from outside.
type stamp struct {
	Size  int64  `json:"size"`
	MTime int64  `json:"mtime"`
	CTime int64  `json:"ctime"`
	Inode uint64 `json:"inode"`
}

// stampOf looks at a file or a directory. Of anything else, such as a device, a
// look tells nothing, and to read it may have no end.
func stampOf(file string) (stamp, error) {
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return stamp{}, &os.PathError{Op: "stat", Path: file, Err: err}
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFDIR || filepath.Clean(file) == "/" {
		return stamp{}, &os.PathError{Op: "read", Path: file, Err: errOdd}
	}
	return stamp{Size: st.Size, MTime: st.Mtim.Nano(), CTime: st.Ctim.Nano(), Inode: st.Ino}, nil
}

// before reports whether the file was last changed well before t.
func (s stamp) before(t time.Time) bool {
	return max(s.MTime, s.CTime) < t.Add(-racyMargin).UnixNano()
}

// racyMargin is how much older than its reading a file must be for its stamp to
// prove that it has not changed since: clocks of file systems tick slowly.
const racyMargin = 20 * time.Millisecond

// mostFiles is how many files a plugin may be made of: each plan looks at them.
const mostFiles = 10_000

var (
	errOdd  = errors.New("it is neither a file nor a directory of the plugin")
	errMany = fmt.Errorf("with it, the plugin is made of more than %d files", mostFiles)
)

// know looks at everything that a description names, which was asked for at seen.
func know(ctx context.Context, program string, d *protocol.Description, seen time.Time) (*known, error) {
	d, err := listed(ctx, program, d)
	if err != nil {
		return nil, err
	}
	k := &known{Version: memoryVersion, Description: d, Stamps: map[string]stamp{}, Content: map[string]digest.Digest{}, Seen: seen}
	for _, f := range k.files(program) {
		s, err := stampOf(f)
		if err != nil {
			return nil, err
		}
		if k.Content[f], err = digestOf(ctx, f); err != nil {
			return nil, err
		}
		k.Stamps[f] = s
	}
	k.Digest = k.digest(program)
	return k, nil
}

// files are all whose change may mean another description.
func (k *known) files(program string) []string {
	return append(append([]string{program}, absolute(program, k.Description.Files)...), k.Description.Watch...)
}

// digest names what the plugin is made of, wherever it lies: the names of its
// files, below the directory of the program where they are, and their content.
func (k *known) digest(program string) digest.Digest {
	d := k.Description
	var parts []string
	if !d.Starter {
		parts = append(parts, k.Content[program].String()+" program")
	}
	for _, f := range absolute(program, d.Files) {
		name, err := filepath.Rel(filepath.Dir(program), f)
		if err != nil || !filepath.IsLocal(name) {
			name = filepath.Base(f)
		}
		parts = append(parts, k.Content[f].String()+" "+filepath.ToSlash(name))
	}
	slices.Sort(parts)
	h := digest.NewHasher()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d %s\n", len(p), p)
	}
	return h.Sum()
}

// listed returns a description with all that lies in the directories among its
// files as files, and the directories as what is watched, and read by jobs.
func listed(ctx context.Context, program string, d *protocol.Description) (*protocol.Description, error) {
	l := *d
	l.Files, l.Watch, l.Reads = nil, slices.Clone(d.Watch), slices.Clone(d.Reads)
	for i, f := range absolute(program, d.Files) {
		if _, err := stampOf(f); err != nil {
			return nil, err
		}
		if info, err := os.Stat(f); err != nil || !info.IsDir() {
			l.Files = append(l.Files, d.Files[i])
			continue
		}
		l.Reads = append(l.Reads, f)
		root, err := filepath.EvalSymlinks(f)
		if err != nil {
			return nil, err
		}
		err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case e.IsDir() && e.Name() == pycache:
				return fs.SkipDir
			case e.IsDir():
				l.Watch = append(l.Watch, path)
			default:
				l.Files = append(l.Files, path)
			}
			if len(l.Files)+len(l.Watch) > mostFiles {
				return &os.PathError{Op: "list", Path: f, Err: errMany}
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	return &l, nil
}

// pycache is a directory that a run makes.
const pycache = "__pycache__"

// digestOf names the content of a file, or which names there are in a directory.
func digestOf(ctx context.Context, file string) (digest.Digest, error) {
	f, err := os.Open(file)
	if err != nil {
		return digest.Digest{}, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return digest.Digest{}, err
	} else if info.IsDir() {
		names, err := f.Readdirnames(-1)
		names = slices.DeleteFunc(names, func(n string) bool { return n == pycache })
		slices.Sort(names)
		return digest.OfBytes([]byte(strings.Join(names, "\x00"))), err
	}
	d, _, err := digest.OfReader(&patient{ctx, f})
	return d, err
}

// patient stops reading when its context ends. It lives for one digest.
type patient struct {
	ctx context.Context //nolint:containedctx
	in  io.Reader
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.in.Read(b)
}

// memory is the file in which the description of a program is kept, "" if the
// user has no cache. The variables count by which a script finds its interpreter
// and what it imports.
func (h *Host) memory(program string) string {
	base := h.getenv("XDG_CACHE_HOME")
	if !filepath.IsAbs(base) {
		home := h.getenv("HOME")
		if !filepath.IsAbs(home) {
			return ""
		}
		base = filepath.Join(home, ".cache")
	}
	of := strings.Join([]string{program, h.getenv("PATH"), h.getenv("PYTHONPATH"), h.getenv("VIRTUAL_ENV")}, "\x00")
	return filepath.Join(base, "flow", "plugins", digest.OfBytes([]byte(of)).Hex()[:32]+".json")
}

// remembered returns what is known of a program, if it is still so.
func (h *Host) remembered(ctx context.Context, program string) (*known, bool) {
	file := h.memory(program)
	if file == "" {
		return nil, false
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, false
	}
	var k known
	if json.Unmarshal(b, &k) != nil || k.Version != memoryVersion || k.Description == nil || k.Description.Protocol != protocol.Version {
		return nil, false
	}
	changed, now := false, time.Now()
	for _, f := range k.files(program) {
		s, err := stampOf(f)
		if err != nil {
			return nil, false
		}
		if s == k.Stamps[f] && s.before(k.Seen) {
			continue
		}
		d, err := digestOf(ctx, f)
		if err != nil || d != k.Content[f] {
			return nil, false
		}
		k.Stamps[f], changed = s, true
	}
	if changed {
		k.Seen = now
		h.remember(program, &k)
	}
	return &k, true
}

// remember keeps what is known of a program. Where that cannot be written down,
// the plugin is asked again next time. Nor is it written down if the plugin was
// being changed while it answered.
func (h *Host) remember(program string, k *known) {
	file := h.memory(program)
	if file == "" {
		return
	}
	for _, s := range k.Stamps {
		if max(s.MTime, s.CTime) > k.Seen.UnixNano() {
			return
		}
	}
	b, err := json.Marshal(k)
	if err = errors.Join(err, os.MkdirAll(filepath.Dir(file), 0o700)); err != nil {
		return
	}
	_ = replace.Quickly(file, b, 0o600)
}
