"""The plugin torch, with the stage type torch_train: training with PyTorch.

The user gives a model and a data set by dotted names, or a common table, text or
folder of images. The same arguments, inputs and seed give the same bytes on the
same kind of device: the order of examples and all random numbers follow from the
seed and the epoch, and the number of threads is an argument. So a run that goes on
from a checkpoint comes to what it would have come to without the interruption.

torch is imported in a run alone: a plan asks what the plugin is, and must not wait.
"""

import copy
import csv
import gzip
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import struct
import subprocess
import sys
import zlib

from flow_plugin import (
    Plugin, Problem, Run, anything, artifact, boolean, file, list_of, number, string, trial,
)

plugin = Plugin("torch", "0.1.0", "Training with PyTorch", packages=["torch"])

TABLE = "a,b,label\n" + "".join(f"{i % 7},{i % 5},{'x' if i % 7 > i % 5 else 'y'}\n" for i in range(64))
SMALL = {"data": "in.csv", "target": "label", "epochs": 3, "batch_size": 16, "seed": 7, "learning_rate": 0.05, "optimizer": "adam",
         "device": "cpu", "precision": "float32", "threads": 1, "processes": 1, "deterministic": True, "hidden": [8], "onnx": False,
         "kind": "table", "model": "mlp", "loss": "auto", "image_size": 32, "buckets": 4096, "checkpoint_every": 1}

EXAMPLE = '''torch_train "digits" {
  data       = split.holdout.train
  validation = split.holdout.validation
  target     = "digit"
  code       = ["src/net.py"]
  model      = "net.Net"
  epochs     = 20
  device     = "auto"
  onnx       = true
}'''

DOC = """The **model** is `mlp` (layers of `hidden` units), or the dotted name of something in
`code` that is called with `model_args` and returns a `torch.nn.Module`. The **data** is a
table (CSV), texts (a CSV with the column `text`), images (a folder for each class, or a
pair of IDX files, `…images-idx3-ubyte` and `…labels-idx1-ubyte`, perhaps with `.gz`), or, by `dataset`, the dotted name of something that is called with the path and returns a
`torch.utils.data.Dataset` of pairs (input, target).

A run that is interrupted goes on from the last epoch that was saved, and comes to the same
bytes.

`resources { gpus = 2 }` gives the stage two GPUs, and one process trains on each of them,
started by torchrun. They share each batch, so the result is that of one GPU but for rounding.
`processes` sets their number by hand; on the CPU they use gloo.

The model takes the data as it is: of a table, the scale of the columns is part of it."""


@plugin.stage_type(
    summary="A model trained with PyTorch",
    doc=DOC,
    example=EXAMPLE,
    metrics="`loss` of the last epoch, `validation` with `loss` and, for classes, `accuracy`, and `epochs`.",
    version=2,
    checkpoint=True,
    resume_over=["epochs"],
    arguments={
        "data": artifact("What is trained on: a CSV file, a folder of images, or what the data set takes.", required=True),
        "validation": artifact("The same, of examples that are not trained on."),
        "target": string("The column of a table that is learnt."),
        "kind": string("What the data is; dataset takes its place.", default="table", one_of=["table", "text", "images"]),
        "code": list_of(artifact(), "Files with the user's modules."),
        "dataset": string("Dotted name of what makes the data set: \"loader.Rows\"."),
        "model": string("mlp, or the dotted name of what makes the model: \"net.Net\".", default="mlp"),
        "model_args": anything("Arguments by name for the model."),
        "hidden": list_of(number(), "Units of the layers of mlp.", default=[64]),
        "loss": string("auto, cross_entropy, mse, or a dotted name.", default="auto"),
        "optimizer": string("How weights are changed.", default="adam", one_of=["sgd", "adam", "adamw"]),
        "learning_rate": number("Size of the steps.", default=0.001),
        "epochs": number("How often all examples are seen.", default=10),
        "batch_size": number("Examples in a step, of all processes together.", default=64),
        "seed": number("Where random numbers begin.", default=1),
        "device": string("auto takes the GPUs that the stage has (`resources { gpus = 1 }`), else the CPU.", default="auto", one_of=["auto", "cpu", "cuda"]),
        "precision": string("Of products; bfloat16 and float16 are mixed with float32.", default="float32", one_of=["float32", "bfloat16", "float16"]),
        "threads": number("Threads on the CPU. They change the last bits, so they are part of the key.", default=1),
        "processes": number("Processes that train together; left out, one for each GPU that the stage has."),
        "deterministic": boolean("Use only operations that give the same result each time.", default=True),
        "checkpoint_every": number("Epochs from one checkpoint to the next.", default=1),
        "image_size": number("Width and height to which images of folders are brought.", default=32),
        "buckets": number("Into how many numbers words of a text are hashed.", default=4096),
        "onnx": boolean("Write the model as ONNX too.", default=False),
    },
    outputs={
        "model": file("model.pt", "The weights (state_dict), classes and shape of the input, for torch.load."),
        "onnx": file("model.onnx", "The model as ONNX, with a batch of any size.", if_="onnx"),
    },
    trials=[
        trial("a table", SMALL, {"in.csv": TABLE}, {"model": "out/model.pt"}),
        trial("no such column", {**SMALL, "target": "lable"}, {"in.csv": TABLE}, {"model": "out/model.pt"}, problem="target"),
        trial("no such model", {**SMALL, "model": "nowhere.Net"}, {"in.csv": TABLE}, {"model": "out/model.pt"}, problem="model"),
    ],
)
def torch_train(run):
    n = processes_of(run.args)
    if n > 1:
        return together(run, n)
    return train(run, rank=0, world=1)


@torch_train.check
def _(args, inputs):
    for name in ("epochs", "batch_size", "threads", "processes", "checkpoint_every"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise Problem(name, "At least 1 is needed", "Give a whole number from 1 on.")
    if args.onnx:
        need_onnx()
    columns = inputs["data"].columns if "data" in inputs else None
    if columns and not args.dataset and args.kind != "images":
        need_target(args, columns)


def need_onnx():
    """PyTorch writes ONNX with the package onnx, before version 2 without. To import
    torch for that would keep a plan waiting."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return  # the run tells
    if not version.startswith("1.") and importlib.util.find_spec("onnx") is None:
        raise lacks_onnx(version)


def lacks_onnx(version):
    return Problem("onnx", "The package onnx is not installed",
                   f"PyTorch {version} needs it to write ONNX. Install it: {sys.executable} -m pip install onnx")


def need_target(args, columns):
    if not args.target:
        raise Problem("target", "No target", "Name the column that is learnt: " + ", ".join(columns[:20]) + ".")
    if args.target not in columns:
        raise Problem("target", f'No column "{args.target}"', "The data has " + ", ".join(columns[:20]) + ".")


# --- several processes -------------------------------------------------------


def lent():
    """The GPUs that flow lent to the stage, which it says by a variable."""
    names = os.environ.get("CUDA_VISIBLE_DEVICES", "") + "," + os.environ.get("ROCR_VISIBLE_DEVICES", "")
    return [n for n in names.split(",") if n.strip()]


def processes_of(a):
    if a.processes:
        return int(a.processes)
    return 1 if a.device == "cpu" else max(1, len(lent()))


def together(run, processes):
    """Train in several processes, which torchrun starts; the first one speaks for all."""
    spec = {"type": run.type, "address": run.address, "args": run.args, "outputs": run.outputs, "cpus": run.cpus, "checkpoint": run.checkpoint}
    path = os.path.join(os.environ.get("TMPDIR", "."), "torchrun-spec.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(spec, f)
    search = os.pathsep.join([os.path.dirname(os.path.realpath(__file__)), *filter(None, sys.path)])
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", os.path.realpath(__file__), path]
    metrics, problem = {}, None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": search}) as p:
        for line in p.stdout:
            if not line.startswith("flow "):
                print(line, end="")
                continue
            event = json.loads(line[5:])
            if event["type"] == "metrics":
                metrics = event["values"]
            elif event["type"] == "problem":
                problem = Problem(event["path"], event["summary"], event["detail"])
            else:
                run._say(event)
    if problem:
        raise problem
    if p.returncode:
        raise RuntimeError(f"torchrun ended with status {p.returncode}")
    return metrics


def worker(path):
    """What torchrun starts."""
    with open(path, encoding="utf-8") as f:
        spec = json.load(f)
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])

    def say(event):
        if rank == 0:
            # One write a line: the other processes print too.
            os.write(1, ("flow " + json.dumps(event) + "\n").encode())

    try:
        say({"type": "metrics", "values": train(Run(spec, say), rank, world)})
    except Problem as e:
        say({"type": "problem", "path": e.path, "summary": e.summary, "detail": e.detail})
        sys.exit(2)


# --- training ----------------------------------------------------------------


def train(run, rank, world):
    # Before CUDA starts: without it, its products are not the same each time.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    a = run.args
    for c in a.code or []:
        sys.path.insert(0, c if os.path.isdir(c) else os.path.dirname(c) or ".")
    sys.dont_write_bytecode = True
    torch.set_num_threads(int(a.threads))
    if a.deterministic:
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    device = device_of(torch, a, rank, world)
    if world > 1:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    torch.manual_seed(int(a.seed))

    examples = Examples(torch, a)
    data = examples.load(a.data)
    held = examples.load(a.validation) if a.validation else None
    model = model_of(torch, a, examples).to(device)
    if a.onnx and rank == 0:
        # What cannot be written must not come out after hours of training.
        write_onnx(torch, model_to_write(torch, copy.deepcopy(model), examples), data, os.devnull)
    criterion = loss_of(torch, a, examples)
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    optimizer = kinds[a.optimizer](model.parameters(), lr=a.learning_rate)
    trained = torch.nn.parallel.DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None) if world > 1 else model
    mixed = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(a.precision)
    scaled = a.precision == "float16" and device.type == "cuda"
    scaler = torch.amp.GradScaler("cuda", enabled=scaled) if hasattr(torch, "amp") and hasattr(torch.amp, "GradScaler") else torch.cuda.amp.GradScaler(enabled=scaled)

    saved = os.path.join(run.checkpoint, "epoch.pt") if run.checkpoint else None
    first, loss = 0, 0.0
    if saved and os.path.exists(saved):
        state = torch.load(saved, map_location=device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scaler.load_state_dict(state["scaler"])
        first, loss = state["epoch"], state["loss"]
        run.log(f"going on after epoch {first}")

    def batches(ds, epoch, shuffled):
        order = torch.randperm(len(ds), generator=torch.Generator().manual_seed(int(a.seed) * 1_000_003 + epoch)) if shuffled else torch.arange(len(ds))
        for chunk in order.split(int(a.batch_size)):
            if shuffled and world > 1:
                # Each process has as many examples, or they would wait for each other.
                chunk = chunk[: len(chunk) - len(chunk) % world][rank::world]
                if len(chunk) == 0:
                    continue
            if isinstance(ds, torch.utils.data.TensorDataset):
                x, y = ds[chunk]
            else:
                pairs = [ds[i] for i in chunk.tolist()]
                x, y = torch.stack([torch.as_tensor(x) for x, _ in pairs]), torch.stack([torch.as_tensor(y) for _, y in pairs])
            yield x.to(device), y.to(device)

    def evaluate():
        model.eval()
        total, right, seen = 0.0, 0, 0
        with torch.no_grad():
            for x, y in batches(held, 0, False):
                out = model(x)
                total += float(criterion(out, y)) * len(x)
                if examples.classes is not None:
                    right += int((out.argmax(1) == y).sum())
                seen += len(x)
        found = {"loss": total / max(1, seen)}
        if examples.classes is not None:
            found["accuracy"] = right / max(1, seen)
        return found

    for epoch in range(first, int(a.epochs)):
        # Random numbers of an epoch follow from it, so that one can begin here.
        torch.manual_seed(int(a.seed) * 1_000_003 + epoch)
        trained.train()
        total, seen = 0.0, 0
        for x, y in batches(data, epoch, True):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, dtype=mixed or torch.bfloat16, enabled=mixed is not None):
                value = criterion(trained(x), y)
            scaler.scale(value).backward()
            scaler.step(optimizer)
            scaler.update()
            total, seen = total + float(value.detach()) * len(x), seen + len(x)
        if world > 1:
            sums = torch.tensor([total, float(seen)], dtype=torch.float64, device=device)
            torch.distributed.all_reduce(sums)
            total, seen = sums.tolist()
        loss = total / max(1, seen)
        shown = {"loss": loss}
        if held is not None:
            shown.update({f"validation.{k}": v for k, v in evaluate().items()})
        run.progress(step=epoch + 1, total=int(a.epochs), unit="epoch", **shown)
        if saved and rank == 0 and (epoch + 1) % int(a.checkpoint_every) == 0:
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scaler": scaler.state_dict(), "epoch": epoch + 1, "loss": loss}, saved + ".new")
            os.replace(saved + ".new", saved)

    metrics = {"loss": loss, "epochs": int(a.epochs)}
    if held is not None:
        metrics["validation"] = evaluate()
    if rank == 0:
        write(torch, run, model, examples, data)
    if world > 1:
        torch.distributed.destroy_process_group()
    return metrics


def write(torch, run, model, examples, data):
    state = {"model": model.cpu().state_dict(), "classes": examples.classes, "shape": list(torch.as_tensor(data[0][0]).shape)}
    if examples.scale:
        state.update(columns=examples.columns, **examples.scale)
    torch.save(state, run.outputs["model"])
    if run.args.onnx:
        write_onnx(torch, model_to_write(torch, model, examples), data, run.outputs["onnx"])


def write_onnx(torch, model, data, path):
    # The exporter by tracing needs the package onnx at most; its successor, more.
    older = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    try:
        torch.onnx.export(model, torch.as_tensor(data[0][0]).unsqueeze(0), path, input_names=["input"], output_names=["output"],
                          opset_version=14, dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}}, **older)
    except Exception as e:
        if importlib.util.find_spec("onnx") is None and "onnx" in str(e):
            raise lacks_onnx(torch.__version__) from e
        raise Problem("onnx", "The model cannot be written as ONNX", f"{type(e).__name__}: {e}") from e


def model_to_write(torch, model, examples):
    """The model as it is used: with the scaling of a table's columns before it."""
    model, scale = model.cpu().eval(), examples.scale
    if not scale:
        return model

    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model
            self.register_buffer("mean", scale["mean"])
            self.register_buffer("std", scale["std"])

        def forward(self, x):
            return self.model((x - self.mean) / self.std)

    return Scaled().eval()


def device_of(torch, a, rank, world):
    there = torch.cuda.is_available()
    if a.device != "cpu" and lent() and not there:
        raise Problem("device", "PyTorch does not see the GPUs of the stage",
                      f"It has {len(lent())}, and PyTorch {torch.__version__} finds none: it may be one for the CPU alone. Install another, or use cpu.")
    if a.device == "cuda" and not there:
        raise Problem("device", "There is no GPU", "The stage has none. Ask for one by resources { gpus = 1 }, or use auto or cpu.")
    if a.device == "cpu" or not there:
        return torch.device("cpu")
    if world > torch.cuda.device_count():
        raise Problem("processes", "More processes than GPUs", f"The stage has {torch.cuda.device_count()}. Ask for more by resources {{ gpus = {world} }}.")
    return torch.device("cuda", rank)


def named(path, argument):
    """What a dotted name of the user's stands for."""
    module, _, name = path.replace(":", ".").rpartition(".")
    if not module:
        raise Problem(argument, f'"{path}" is no dotted name', 'Write MODULE.NAME, such as "net.Net", and the file in code.')
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as e:
        raise Problem(argument, f"No module {e.name}", "Its file is to be listed in code.") from e
    if not hasattr(found, name):
        raise Problem(argument, f"{module} has no {name}", f"It is in {found.__file__}.")
    return getattr(found, name)


def model_of(torch, a, examples):
    if a.model != "mlp":
        return named(a.model, "model")(**(a.model_args or {}))
    if examples.inputs is None:
        raise Problem("model", "mlp does not fit this data set", "With dataset, name a model of your own.")
    layers, width = [torch.nn.Flatten()], examples.inputs
    for h in a.hidden:
        layers += [torch.nn.Linear(width, int(h)), torch.nn.ReLU()]
        width = int(h)
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, len(examples.classes) if examples.classes is not None else 1))


def loss_of(torch, a, examples):
    name = a.loss
    if name == "auto":
        name = "mse" if examples.classes is None and not a.dataset else "cross_entropy"
    if name == "cross_entropy":
        return torch.nn.CrossEntropyLoss()
    if name == "mse":
        return lambda out, y: torch.nn.functional.mse_loss(out.reshape(y.shape), y)
    return named(name, "loss")


def read_idx(path, dimensions):
    """The shape and the bytes of an IDX file, which MNIST and its kin are published as."""
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
        raw = f.read()
    shape = struct.unpack_from(f">{dimensions}I", raw, 4) if len(raw) >= 4 + 4 * dimensions else ()
    size = 1
    for n in shape:
        size *= n
    values = bytearray(raw[4 + 4 * dimensions:])
    if raw[:4] != bytes([0, 0, 8, dimensions]) or len(values) != size:
        raise Problem("data", f"{os.path.basename(path)} is no IDX file", f"{path}: expected bytes in {dimensions} dimensions, as many as its head says.")
    return shape, values


class Examples:
    """Examples of the common kinds; what is fitted is fitted to the first data loaded."""

    def __init__(self, torch, a):
        self.torch, self.a = torch, a
        self.classes, self.inputs, self.columns, self.scale = None, None, None, None

    def load(self, path):
        if self.a.dataset:
            return named(self.a.dataset, "dataset")(path)
        return {"table": self.table, "text": self.text, "images": self.images}[self.a.kind](path)

    def rows(self, path):
        with open(path, newline="", encoding="utf-8") as f:
            rows = list(csv.DictReader(f))
        if not rows:
            raise Problem("data", "There are no rows", f"{path} has a header at most.")
        need_target(self.a, list(rows[0]))
        return rows

    def targets(self, values):
        torch = self.torch
        if self.columns is None:
            try:
                [float(v) for v in values]
            except ValueError:
                self.classes = sorted(set(values))
        if self.classes is None:
            return torch.tensor([float(v) for v in values])
        unknown = sorted(set(values) - set(self.classes))
        if unknown:
            raise Problem("validation", f'"{unknown[0]}" is no class of the training data', "It has " + ", ".join(self.classes[:20]) + ".")
        return torch.tensor([self.classes.index(v) for v in values])

    def table(self, path):
        torch, rows = self.torch, self.rows(path)
        y = self.targets([r[self.a.target] for r in rows])
        names = self.columns or [c for c in rows[0] if c != self.a.target]
        try:
            x = torch.tensor([[float(r[c]) for c in names] for r in rows])
        except (ValueError, KeyError, TypeError) as e:
            raise Problem("data", "A column is not of numbers", f"{path}: {e}. Encode it first, or write a data set of your own.") from e
        if self.columns is None:
            self.columns, self.inputs = names, len(names)
            self.scale = {"mean": x.mean(0), "std": x.std(0).clamp_min(1e-8)}
        return torch.utils.data.TensorDataset((x - self.scale["mean"]) / self.scale["std"], y)

    def text(self, path):
        torch, rows, n = self.torch, self.rows(path), int(self.a.buckets)
        if "text" not in rows[0]:
            raise Problem("data", 'No column "text"', "The data has " + ", ".join(rows[0]) + ".")
        y = self.targets([r[self.a.target] for r in rows])
        x = torch.zeros(len(rows), n)
        for i, r in enumerate(rows):
            for word in r["text"].lower().split():
                x[i, zlib.crc32(word.encode()) % n] += 1
        self.columns, self.inputs = ["text"], n
        return torch.utils.data.TensorDataset(x.log1p(), y)

    def images(self, path):
        if not os.path.isdir(path):
            raise Problem("data", "Images lie in a directory", f"{path} is a file. Give the directory with a folder for each class, or with the IDX files.")
        pair = [[f for f in sorted(os.listdir(path)) if kind in f.replace(".", "-")] for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
        if any(pair):
            return self.idx(path, *pair)
        return self.folders(path)

    def idx(self, path, images, labels):
        if len(images) != 1 or len(labels) != 1:
            raise Problem("data", "IDX files come in pairs", f"{path} holds {len(images)} of images and {len(labels)} of labels; one of each makes a data set.")
        torch = self.torch
        x = read_idx(os.path.join(path, images[0]), 3)
        y = read_idx(os.path.join(path, labels[0]), 1)
        if len(x[1]) == 0 or x[0][0] != y[0][0]:
            raise Problem("data", "IDX files do not fit together", f"{path} has {x[0][0]} images and {y[0][0]} labels.")
        n, height, width = x[0]
        pixels = torch.frombuffer(x[1], dtype=torch.uint8).reshape(n, 1, height, width) / 255
        found = torch.frombuffer(y[1], dtype=torch.uint8).long()
        if self.columns is None:
            self.columns, self.inputs = ["image"], height * width
            self.classes = [str(c) for c in range(int(found.max()) + 1)]
        if int(found.max()) >= len(self.classes):
            raise Problem("validation", f'"{int(found.max())}" is no class of the training data', f"It has 0 to {len(self.classes) - 1}.")
        return torch.utils.data.TensorDataset(pixels, found)

    def folders(self, path):
        try:
            from PIL import Image
        except ModuleNotFoundError as e:
            raise Problem("kind", "Images need the package Pillow", f"Install it: {sys.executable} -m pip install pillow") from e
        torch, size = self.torch, int(self.a.image_size)
        found = sorted(d for d in os.listdir(path) if os.path.isdir(os.path.join(path, d)))
        if not found:
            raise Problem("data", "No folders of images", f"{path} holds a folder for each class.")
        files = [(os.path.join(path, c, f), c) for c in found for f in sorted(os.listdir(os.path.join(path, c))) if not f.startswith(".")]
        if self.columns is None:
            self.classes = found
        x = torch.empty(len(files), 3, size, size)
        for i, (name, _) in enumerate(files):
            with Image.open(name) as image:
                raw = image.convert("RGB").resize((size, size), Image.BILINEAR).tobytes()
            x[i] = torch.frombuffer(bytearray(raw), dtype=torch.uint8).reshape(size, size, 3).permute(2, 0, 1) / 255
        unknown = sorted(set(found) - set(self.classes))
        if unknown:
            raise Problem("validation", f'"{unknown[0]}" is no class of the training data', "It has " + ", ".join(self.classes[:20]) + ".")
        self.columns = self.columns or ["image"]
        y = torch.tensor([self.classes.index(c) for _, c in files])
        self.inputs = 3 * size * size
        return torch.utils.data.TensorDataset(x, y)


if __name__ == "__main__":
    worker(sys.argv[1])
