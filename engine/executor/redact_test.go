package executor

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// redactIn writes text in pieces and returns what came out.
func redactIn(t interface{ Fatal(...any) }, s *Secrets, pieces ...string) string {
	var b bytes.Buffer
	r := NewRedactor(&b, s)
	for _, p := range pieces {
		if n, err := r.Write([]byte(p)); err != nil || n != len(p) {
			t.Fatal(n, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSecretsAreHidden(t *testing.T) {
	s := NewSecrets([]string{"hush-hush", "hush-hush-hush", "abc", "with \"quotes\"", "-----BEGIN KEY-----\nMIIEvQIBADAN\nab\n"})
	tests := []struct{ in, want string }{
		{"nothing", "nothing"},
		{"a hush-hush b", "a (sensitive) b"},
		{"a hush-hush-hush b", "a (sensitive) b"},
		{"hush-hush-hus", "(sensitive)-hus"},
		{"hush-hus", "hush-hus"},
		{"abc is too short", "abc is too short"},
		{`{"v": "with \"quotes\""}`, `{"v": "(sensitive)"}`},
		{"key: MIIEvQIBADAN.", "key: (sensitive)."},
		{"ab", "ab"},
		{"hush-hushhush-hush", "(sensitive)(sensitive)"},
	}
	for _, tt := range tests {
		if got := redactIn(t, s, tt.in); got != tt.want {
			t.Errorf("in one piece, %q: got %q, want %q", tt.in, got, tt.want)
		}
		if got := redactIn(t, s, strings.Split(tt.in, "")...); got != tt.want {
			t.Errorf("byte by byte, %q: got %q, want %q", tt.in, got, tt.want)
		}
		if got := s.Redact(tt.in); got != tt.want {
			t.Errorf("as a text, %q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

// What programs usually make of a secret is hidden too.
func TestFormsOfSecretsAreHidden(t *testing.T) {
	secret := "s3cret/+ü&\"<'key'>"
	s := NewSecrets([]string{secret})
	ascii, _ := json.Marshal(secret)
	for form, text := range map[string]string{
		"json":           string(ascii),
		"python's json":  `"s3cret/+\u00fc&\"<'key'>"`,
		"query":          "https://x.org/?key=" + url.QueryEscape(secret) + "&more=1",
		"path":           "https://x.org/" + url.PathEscape(secret) + "/more",
		"html":           "<b>" + html.EscapeString(secret) + "</b>",
		"shell":          `+ curl -H 's3cret/+ü&"<'\''key'\''>'`,
		"base64":         base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 for URL": base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"basic auth":     "Basic " + base64.StdEncoding.EncodeToString([]byte("someone:"+secret)),
		"of a name of 1": base64.StdEncoding.EncodeToString([]byte("a:" + secret + "\n")),
		"of a name of 2": base64.StdEncoding.EncodeToString([]byte("ab:" + secret + "more")),
	} {
		if got := redactIn(t, s, text); !strings.Contains(got, Hidden) || strings.Contains(got, "3cret") || strings.Contains(got, base64.RawStdEncoding.EncodeToString([]byte(secret))[4:16]) {
			t.Errorf("%s: %s became %s", form, text, got)
		}
	}
}

// Base64 of any text with a secret in it tells no more of it than the letters at
// its edges, which it shares with what is around it.
func TestBase64AroundSecretsIsHidden(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringOfN(rapid.RuneFrom([]rune("abcxyz0189-_")), 12, 40, -1).Draw(t, "secret")
		before, after := rapid.String().Draw(t, "before"), rapid.String().Draw(t, "after")
		got := NewSecrets([]string{secret}).Redact(base64.StdEncoding.EncodeToString([]byte(before + secret + after)))
		if !strings.Contains(got, Hidden) {
			t.Fatalf("not hidden in %q", got)
		}
	})
}

func TestNoSecretsHideNothing(t *testing.T) {
	for _, s := range []*Secrets{nil, NewSecrets(nil), NewSecrets([]string{"", "a", "no"})} {
		if !s.Empty() || s.Redact("a no b") != "a no b" || redactIn(t, s, "a n", "o b") != "a no b" {
			t.Errorf("%+v hides something", s)
		}
	}
}

func TestWhatCannotBeASecretIsPassedOnAtOnce(t *testing.T) {
	var b bytes.Buffer
	r := NewRedactor(&b, NewSecrets([]string{"hush-hush"}))
	for _, step := range []struct{ write, want string }{
		{"epoch 1\n", "epoch 1\n"}, {"epoch 2 hu", "epoch 1\nepoch 2 "}, {"mid\n", "epoch 1\nepoch 2 humid\n"},
	} {
		_, _ = r.Write([]byte(step.write))
		if b.String() != step.want {
			t.Errorf("after %q: got %q, want %q", step.write, b.String(), step.want)
		}
	}
}

// However a text is divided, the same comes out, and no secret.
func TestDivisionDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 12, -1)
		s := NewSecrets(rapid.SliceOfN(letters, 0, 4).Draw(t, "secrets"))
		pieces := rapid.SliceOfN(letters, 0, 10).Draw(t, "pieces")
		got, want := redactIn(t, s, pieces...), redactIn(t, s, strings.Join(pieces, ""))
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		if whole := s.Redact(strings.Join(pieces, "")); whole != want {
			t.Fatalf("as a text: got %q, want %q", whole, want)
		}
		for _, texts := range s.texts {
			for _, text := range texts {
				if strings.Contains(got, text) {
					t.Fatalf("%q is in %q", text, got)
				}
			}
		}
	})
}
