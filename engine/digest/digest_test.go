package digest_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flow-pipelines/flow/engine/digest"
)

// The value of an empty input is in the BLAKE3 test vectors.
func TestTextFormNamesTheAlgorithm(t *testing.T) {
	const want = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
	d := digest.OfBytes(nil)
	if d.String() != want {
		t.Errorf("got %s, want %s", d, want)
	}
	back, err := digest.Parse(want)
	if err != nil || back != d {
		t.Errorf("Parse: %v, %v", back, err)
	}
}

func TestReaderAndBytesAgree(t *testing.T) {
	b := bytes.Repeat([]byte("flow"), 100_000)
	d, n, err := digest.OfReader(bytes.NewReader(b))
	if err != nil || n != int64(len(b)) || d != digest.OfBytes(b) {
		t.Errorf("got %v, %d, %v", d, n, err)
	}
}

func TestParseRefusesOtherAlgorithms(t *testing.T) {
	for _, s := range []string{"", "abc", "md5:00", "blake3:00", "blake3:" + strings.Repeat("z", 64)} {
		if d, err := digest.Parse(s); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", s, d)
		}
	}
}

func tree() *rapid.Generator[digest.Tree] {
	return rapid.Custom(func(t *rapid.T) digest.Tree {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[^/\x00]{1,8}`).Filter(func(s string) bool { return s != "." && s != ".." && s != "" }), 0, 8, rapid.ID).Draw(t, "names")
		var tr digest.Tree
		for _, n := range names {
			k := rapid.SampledFrom([]digest.Kind{digest.File, digest.Executable, digest.Link, digest.Dir}).Draw(t, "kind")
			tr = append(tr, digest.Entry{Name: n, Node: digest.Node{
				Kind: k, Digest: digest.OfBytes([]byte(n)),
				Size: rapid.Int64Range(0, 1<<40).Draw(t, "size"), Files: rapid.Int64Range(0, 1000).Draw(t, "files"),
			}})
		}
		tr.Sort()
		return tr
	})
}

func TestTreesSurviveEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := tree().Draw(t, "tree")
		got, err := digest.DecodeTree(tr.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if len(tr) > 0 {
			if d := cmp.Diff(tr, got); d != "" {
				t.Fatal(d)
			}
		}
		if got.Node() != tr.Node() {
			t.Fatal("the digests differ")
		}
	})
}

func FuzzDecodeTree(f *testing.F) {
	f.Add([]byte("flow tree 1\n"))
	f.Add(digest.Tree{{Name: "a", Node: digest.Node{Kind: digest.File, Files: 1}}}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		tr, err := digest.DecodeTree(b)
		if err != nil {
			return
		}
		// What is accepted has exactly one encoding, but for overlong numbers.
		again, err := digest.DecodeTree(tr.Encode())
		if err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
		if d := cmp.Diff(tr, again); d != "" {
			t.Fatal(d)
		}
	})
}
