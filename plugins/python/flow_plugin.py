"""Stage types for flow, in Python. One file, without dependencies.

    from flow_plugin import Plugin, file, string

    plugin = Plugin("hello", "0.1.0")

    @plugin.stage_type(
        summary="A greeting in a file",
        arguments={"who": string("Whom to greet.", required=True)},
        outputs={"text": file("greeting.txt", "The greeting.")},
    )
    def greet(run):
        with open(run.outputs["text"], "w") as f:
            f.write(f"Hello, {run.args.who}\n")

    if __name__ == "__main__":
        plugin.main()

The program is called flow-plugin-hello. flow starts it with one word: describe,
run or check. In a run, the current directory holds the stage's inputs, run.args
are the arguments with their defaults, run.outputs the paths to write, and what
the function returns are the stage's metrics. What is printed goes to the stage's
log. A mistake of the user's is raised as a Problem; flow then points at the line
of HCL. The same arguments and inputs must give the same bytes.
"""

import csv
import gzip
import json
import os
import sys
import traceback

__all__ = [
    "Plugin", "Problem", "Problems", "Run", "Args",
    "string", "number", "boolean", "anything", "artifact", "stage", "expression", "list_of", "map_of",
    "block", "choice", "steps", "file", "directory", "trial",
]
__version__ = "0.1.0"

PROTOCOL = 1
EXIT_PROBLEM = 2
EXIT_USAGE = 64


class Problem(Exception):
    """A mistake of the user's at an argument: "target", "layers[0].size"."""

    def __init__(self, path, summary, detail=""):
        super().__init__(f"{path}: {summary}" if path else summary)
        self.path, self.summary, self.detail = path, summary, detail

    def _json(self):
        return {"path": self.path, "summary": self.summary, "detail": self.detail}


class Problems(Exception):
    """Several mistakes, to be shown at once."""

    def __init__(self, problems):
        super().__init__("; ".join(str(p) for p in problems))
        self.problems = list(problems)


class Args(dict):
    """Arguments: args.epochs or args["epochs"]; what was left out is None."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)


# --- what a block may hold ---------------------------------------------------


class _Argument:
    def __init__(self, type, doc="", required=False, default=None, one_of=None):
        self.type, self.doc, self.required, self.default, self.one_of = type, doc, required, default, one_of

    def _json(self, name):
        out = {"name": name, "type": self.type, "doc": self.doc}
        if self.required:
            out["required"] = True
        if self.default is not None:
            out["default"] = self.default
        if self.one_of:
            out["one_of"] = list(self.one_of)
        return out


def _kind(type):
    def make(doc="", *, required=False, default=None, one_of=None):
        return _Argument(type, doc, required, default, one_of)

    return make


string = _kind("string")
number = _kind("number")
boolean = _kind("bool")
anything = _kind("any")
artifact = _kind("artifact")  # a file: a stage, an output or a path
stage = _kind("stage")  # a stage as a whole: address, outputs, metrics
expression = _kind("expression")


def list_of(element, doc="", *, required=False, default=None):
    """A list: list_of(string(), "Columns to drop.")."""
    return _Argument(f"list({element.type})", doc, required, default)


def map_of(element, doc="", *, required=False, default=None):
    """A map with text as keys: map_of(artifact(), "Tables by name.")."""
    return _Argument(f"map({element.type})", doc, required, default)


class _Block:
    def __init__(self, kind, doc, arguments=None, blocks=None, label="", required=False, variants=None):
        self.kind, self.doc, self.label, self.required = kind, doc, label, required
        self.arguments, self.blocks, self.variants = arguments or {}, blocks or {}, variants or {}

    def _json(self, name):
        out = {"name": name, "kind": self.kind, "doc": self.doc}
        if self.required:
            out["required"] = True
        if self.label:
            out["label"] = self.label
        body = _body(self.arguments, self.blocks)
        if body:
            out["body"] = body
        if self.variants:
            out["variants"] = [v._json(n) for n, v in self.variants.items()]
        return out


def block(doc, arguments=None, blocks=None, *, many=False, label="", required=False):
    """A nested block; with many, any number of them, each perhaps with a label."""
    return _Block("repeated" if many else "single", doc, arguments, blocks, label, required)


def choice(doc, variants, *, required=False):
    """A block whose label picks one of the variants: {"adam": block(…)}."""
    return _Block("choice", doc, required=required, variants=variants)


def steps(doc, variants):
    """Blocks whose types are the variants, in the order in which they are written."""
    return _Block("steps", doc, variants=variants)


def _body(arguments, blocks):
    out = {}
    if arguments:
        out["arguments"] = [a._json(n) for n, a in arguments.items()]
    if blocks:
        out["blocks"] = [b._json(n) for n, b in blocks.items()]
    return out


class _Output:
    def __init__(self, path, doc, dir, each, if_):
        self.path, self.doc, self.dir, self.each, self.if_ = path, doc, dir, each, if_

    def _json(self, name):
        out = {"name": name, "path": self.path, "doc": self.doc}
        for key, value in (("dir", self.dir), ("each", self.each), ("if", self.if_)):
            if value:
                out[key] = value
        return out


def file(path, doc, *, each="", if_=""):
    """An output that is a file. {ARGUMENT} in its path stands for a text argument."""
    return _Output(path, doc, False, each, if_)


def directory(path, doc, *, each="", if_=""):
    """An output that is a directory."""
    return _Output(path, doc, True, each, if_)


def trial(name, args, files=None, outputs=None, problem=None):
    """A run that `flow plugin test` does: it must succeed, or complain about problem."""
    out = {"name": name, "args": args, "files": files or {}, "outputs": outputs or {}}
    if problem is not None:
        out["problem"] = problem
    return out


# --- a run -------------------------------------------------------------------


class Run:
    """One job."""

    def __init__(self, spec, say):
        self.type, self.address = spec["type"], spec.get("address", "")
        self.args = _args(spec["args"])
        self.outputs = spec["outputs"]
        self.cpus = spec.get("cpus", 1)
        self.checkpoint = spec.get("checkpoint")  # a directory, if the type asked for one
        self._say = say

    def progress(self, step=None, total=None, unit=None, message=None, **metrics):
        """Tell how far the job is, with the values of this step: loss=0.3."""
        event = {"type": "progress"}
        for key, value in (("step", step), ("total", total), ("unit", unit), ("message", message)):
            if value is not None:
                event[key] = value
        if metrics:
            # A loss that is not a number is worth a line, and is none in JSON.
            finite = {k: float(v) for k, v in metrics.items() if float(v) - float(v) == 0}
            if finite:
                event["metrics"] = finite
        self._say(event)

    def log(self, text):
        """Write a line to the stage's log; print does the same."""
        self._say({"type": "log", "text": str(text)})


def _args(value):
    if isinstance(value, dict):
        return Args({k: _args(v) for k, v in value.items()})
    if isinstance(value, list):
        return [_args(v) for v in value]
    return value


def _header(path):
    """The columns of a CSV file, None of anything else."""
    if not path or not path.lower().endswith((".csv", ".csv.gz")) or not os.path.isfile(path):
        return None
    try:
        with (gzip.open if path.lower().endswith(".gz") else open)(path, "rt", newline="", encoding="utf-8-sig") as f:
            return next(csv.reader(f), None)
    except (OSError, ValueError, csv.Error):
        return None  # the run tells what is wrong with it


def _plain(value):
    if hasattr(value, "item"):  # a number of numpy or torch
        return value.item()
    raise TypeError(f"{type(value).__name__} is no value of JSON")


# --- a plugin ----------------------------------------------------------------


class StageType:
    def __init__(self, name, function, description):
        self.name, self.function, self.description = name, function, description
        self.judge = None

    def check(self, function):
        """Decorator: check(args, inputs) judges arguments before anything runs.

        inputs[PATH_OF_ARGUMENT].path is the path, .file where the file lies if
        it is there, and .columns are those of a table if they are known: of a
        CSV file that is there, or of one that a stage will write. It raises
        Problem, and may return the columns of outputs: {"data": ["a", "b"]}.
        """
        self.judge = function
        return function


class Plugin:
    """A plugin and its stage types.

    versions are those of the engines that it computes with; of packages, names
    of installed ones, they are found out. They count in the key of each stage.
    files are further files that the plugin is made of, relative to its module:
    data that it reads, or modules that are imported late. Modules that lie
    beside it and are imported at once are found.
    """

    def __init__(self, name, version, summary="", packages=(), versions=None, files=()):
        self.name, self.version, self.summary = name, version, summary
        self.packages, self.versions, self.files = list(packages), dict(versions or {}), list(files)
        self.types = {}
        self._module = os.path.realpath(sys._getframe(1).f_code.co_filename)

    def stage_type(self, name=None, *, summary, arguments=None, blocks=None, outputs=None, version=1, doc="",
                   example="", metrics="", effect=False, checkpoint=False, resume_over=(), trials=()):
        def register(function):
            called = name or function.__name__
            description = {
                "name": called, "version": version, "summary": summary, "body": _body(arguments, blocks),
                "outputs": [o._json(n) for n, o in (outputs or {}).items()],
            }
            for key, value in (("doc", doc), ("example", example), ("metrics", metrics), ("effect", effect), ("checkpoint", checkpoint), ("resume_over", list(resume_over)), ("trials", list(trials))):
                if value:
                    description[key] = value
            self.types[called] = StageType(called, function, description)
            return self.types[called]

        return register

    def describe(self):
        import importlib.metadata as metadata

        versions, watch = dict(self.versions), [os.path.realpath(sys.executable)]
        versions["python"] = ".".join(map(str, sys.version_info[:2]))
        for package in self.packages:
            try:
                dist = metadata.distribution(package)
            except metadata.PackageNotFoundError:
                raise SystemExit(f"error: the package {package} is not installed for {sys.executable}") from None
            versions[package] = dist.version
            # What an installer wrote about the package changes whenever it does.
            about = str(getattr(dist, "_path", ""))
            watch += [p for p in (os.path.join(about, n) for n in ("RECORD", "METADATA", "PKG-INFO")) if os.path.isfile(p)]
        files, folders = self._files()
        watch += folders
        program = os.path.realpath(sys.argv[0])
        files.discard(program)
        out = {
            "protocol": PROTOCOL, "name": self.name, "version": self.version,
            "summary": self.summary or next((t.description["summary"] for t in self.types.values()), ""),
            "versions": versions, "files": sorted(files), "watch": watch,
            "reads": sorted({sys.prefix, *map(os.path.dirname, files)}),
            "types": [t.description for t in self.types.values()],
        }
        if self._module != program:
            out["starter"] = True
        if any(t.judge for t in self.types.values()):
            out["check"] = True
        return out

    def _files(self):
        """The files that the plugin is made of, named ones and modules beside it, and the folders of these."""
        home = os.path.dirname(self._module)
        files = {self._module, os.path.realpath(__file__), *(os.path.realpath(os.path.join(home, f)) for f in self.files)}
        folders = []
        if os.path.basename(home) in ("site-packages", "dist-packages"):
            return files, folders  # everything that is installed lies beside it
        # All of them, imported by now or not: a function may import what it needs.
        for folder, inner, names in os.walk(home):
            modules = [n for n in names if n.endswith(".py")]
            if not modules and folder != home:
                inner.clear()  # no package
                continue
            inner[:] = sorted(n for n in inner if n.isidentifier() and n not in ("__pycache__", "site-packages"))
            files.update(os.path.realpath(os.path.join(folder, n)) for n in modules)
            folders.append(os.path.realpath(folder))
        return files, folders

    def main(self, argv=None):
        """Answer the word that flow started the program with, and exit."""
        words = sys.argv[1:] if argv is None else argv
        # Standard output is flow's; what anybody prints is for people.
        out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        sys.stdout.flush()
        os.dup2(2, 1)

        def say(message):
            out.write(json.dumps(message, ensure_ascii=False, allow_nan=False, default=_plain) + "\n")
            out.flush()

        if words == ["describe"]:
            say(self.describe())
            status = 0
        elif words == ["run"]:
            status = self._run(say)
        elif words == ["check"]:
            status = self._check(say)
        else:
            print(f"error: flow-plugin-{self.name} is a plugin of flow, which starts it with describe, run or check", file=sys.stderr)
            status = EXIT_USAGE
        out.close()
        sys.stdout.flush()
        sys.exit(status)

    def _message(self, text):
        try:
            message = json.loads(text)
        except ValueError as e:
            print(f"error: read standard input: {e}", file=sys.stderr)
            return None, None
        if message.get("protocol") != PROTOCOL:
            print(f"error: flow speaks version {message.get('protocol')} of the protocol, this plugin {PROTOCOL}", file=sys.stderr)
            return None, None
        found = self.types.get(message.get("type"))
        if found is None:
            print(f"error: this plugin has no stage type {message.get('type')!r}", file=sys.stderr)
        return message, found

    def _run(self, say):
        spec, found = self._message(sys.stdin.read())
        if found is None:
            return EXIT_USAGE
        try:
            metrics = found.function(Run(spec, say))
        except (Problem, Problems) as e:
            for p in getattr(e, "problems", [e]):
                say({"type": "problem", **p._json()})
            return EXIT_PROBLEM
        except Exception:
            traceback.print_exc()
            return 1
        if metrics:
            try:
                say({"type": "metrics", "values": metrics})
            except (TypeError, ValueError) as e:
                print(f"error: the metrics are not JSON: {e}", file=sys.stderr)
                return 1
        return 0

    def _check(self, say):
        """Answer questions, each as it comes, until there are no more."""
        for line in iter(sys.stdin.readline, ""):
            question, found = self._message(line)
            if found is None:
                return EXIT_USAGE
            answer = {"id": question["id"]}
            try:
                if found.judge:
                    inputs = _args(question.get("inputs", {}))
                    for i in inputs.values():
                        i.setdefault("columns", _header(i.file))
                    columns = found.judge(_args(question["args"]), inputs)
                    if columns:
                        answer["columns"] = columns
            except (Problem, Problems) as e:
                answer["problems"] = [p._json() for p in getattr(e, "problems", [e])]
            except Exception:
                traceback.print_exc()
                return 1
            say(answer)
        return 0
