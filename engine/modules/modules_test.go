package modules

import (
	"os"
	"path/filepath"
	"testing"
)

func TestParseSource(t *testing.T) {
	for text, want := range map[string]Source{
		"git::https://example.org/lib.git":                           {"https://example.org/lib.git", "", ""},
		"git::https://example.org/lib.git//a/b?ref=v1.2":             {"https://example.org/lib.git", "a/b", "v1.2"},
		"git::ssh://git@example.org/lib.git//a/?ref=x/y":             {"ssh://git@example.org/lib.git", "a", "x/y"},
		"git::git@example.org:org/lib.git//a?ref=0123456789abcdef00": {"git@example.org:org/lib.git", "a", "0123456789abcdef00"},
		"git::file:///srv/lib.git//a":                                {"file:///srv/lib.git", "a", ""},
	} {
		got, err := ParseSource(text)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", text, got, err, want)
		}
	}
}

// What git would take for an option or a program to run is refused.
func TestParseSourceRefusesWhatIsNoRepository(t *testing.T) {
	for _, text := range []string{
		"https://example.org/lib.git", "git::ext::sh -c touch% /tmp/x", "git::--upload-pack=x", "git::http://example.org/x",
		"git::lib.git", "git::https://", "git::https://h/x.git?ref=-x", "git::https://h/x.git?ref=a:b", "git::https://h/x.git?depth=1",
		"git::https://h/x.git//../y", "git::https://h/x.git\n", "git::file://host/x", "s3::x",
	} {
		if s, err := ParseSource(text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, s)
		}
	}
}

func TestContentIsNamesBytesAndModes(t *testing.T) {
	make := func(change func(dir string)) string {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "a"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "a", "b"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		change(dir)
		d, err := contentOf(dir)
		if err != nil {
			return err.Error()
		}
		return d.String()
	}
	same := make(func(string) {})
	if again := make(func(dir string) { _ = os.Chmod(filepath.Join(dir, "a", "b"), 0o600) }); again != same {
		t.Errorf("got %s, want %s", again, same)
	}
	for name, change := range map[string]func(dir string){
		"bytes": func(dir string) { _ = os.WriteFile(filepath.Join(dir, "a", "b"), []byte("y"), 0o644) },
		"name":  func(dir string) { _ = os.Rename(filepath.Join(dir, "a", "b"), filepath.Join(dir, "a", "c")) },
		"mode":  func(dir string) { _ = os.Chmod(filepath.Join(dir, "a", "b"), 0o755) },
		"link":  func(dir string) { _ = os.Symlink("a/b", filepath.Join(dir, "l")) },
		"out":   func(dir string) { _ = os.Symlink("../../x", filepath.Join(dir, "l")) },
	} {
		if got := make(change); got == same {
			t.Errorf("%s: no difference", name)
		}
	}
}
