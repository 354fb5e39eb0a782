package memo

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/replace"
)

// The form on disk: a line with the version, then the length of a JSON document
// and the document, then the files, each as the length of its path, the path and
// its stamp as variable-length integers, then a digest of all before it. It is
// not synced: what a loss of power leaves of it does not fit the digest.
const header = "flow memo 1\n"

var errDamaged = errors.New("the memo is damaged")

// Write writes the memo in the place of an older one.
func Write(name string, m *Memo) (err error) {
	doc, err := json.Marshal(m)
	if err != nil {
		return err
	}
	b := make([]byte, 0, len(header)+len(doc)+64*len(m.files)+64)
	b = append(b, header...)
	b = binary.AppendUvarint(b, uint64(len(doc)))
	b = append(b, doc...)
	b = binary.AppendUvarint(b, uint64(len(m.files)))
	for _, f := range m.files {
		b = binary.AppendUvarint(b, uint64(len(f.path)))
		b = append(b, f.path...)
		b = binary.AppendUvarint(b, f.inode)
		b = binary.AppendVarint(b, f.size)
		b = binary.AppendVarint(b, f.mtime)
		b = binary.AppendVarint(b, f.ctime)
		b = binary.AppendUvarint(b, uint64(f.mode))
	}
	sum := digest.OfBytes(b)
	return replace.Quickly(name, append(b, sum[:]...), 0o600)
}

// Read reads a memo. All errors mean that there is none.
func Read(name string) (*Memo, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(b) < digest.Size || !bytes.HasPrefix(b, []byte(header)) {
		return nil, errDamaged
	}
	b, sum := b[:len(b)-digest.Size], b[len(b)-digest.Size:]
	if d := digest.OfBytes(b); !bytes.Equal(d[:], sum) {
		return nil, errDamaged
	}
	d := decoder{b[len(header):]}
	m := &Memo{}
	if err := json.Unmarshal(d.bytes(), m); err != nil {
		return nil, err
	}
	m.files = make([]file, d.uvarint())
	for i := range m.files {
		m.files[i] = file{string(d.bytes()), stamp{
			inode: d.uvarint(), size: d.varint(), mtime: d.varint(), ctime: d.varint(), mode: uint32(d.uvarint()),
		}}
	}
	return m, nil
}

// decoder reads what Write wrote: the digest vouches for that.
type decoder struct{ b []byte }

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}
