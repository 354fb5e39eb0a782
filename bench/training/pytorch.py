"""PyTorch's side of make bench: see main.go beside it for what is done."""
import argparse, gzip, os, resource, statistics, sys, time

arguments = argparse.ArgumentParser()
arguments.add_argument("-network", default="mlp")
arguments.add_argument("-threads", type=int, default=1)
arguments.add_argument("-steps", type=int, default=40)
arguments.add_argument("-mnist", default="")
arguments.add_argument("-accuracy", type=float, default=0.96)
a = arguments.parse_args()

import numpy, torch

torch.set_num_threads(a.threads)
torch.manual_seed(1)
nn = torch.nn


def network():
    if a.network == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    if a.network == "mlp-dropout":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.3), nn.Linear(512, 10))
    layers = [
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    if a.network == "cnn-dropout":
        layers += [nn.Dropout(0.4), nn.Linear(32 * 49, 128), nn.ReLU(), nn.Dropout(0.4), nn.Linear(128, 10)]
    else:
        layers += [nn.Linear(32 * 49, 10)]
    return nn.Sequential(*layers)


def cpu_time():
    r = resource.getrusage(resource.RUSAGE_SELF)
    return r.ru_utime + r.ru_stime


def report(wall, cpu):
    print("%.3f %.3f" % (1000 * wall, 1000 * cpu))


model = network()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
loss = nn.CrossEntropyLoss()


def epoch(x, y, batch):
    model.train()
    order = torch.randperm(len(x))
    for i in range(0, len(x), batch):
        rows = order[i:i + batch]
        optimizer.zero_grad()
        loss(model(x[rows]), y[rows]).backward()
        optimizer.step()


def time_steps():
    each = 8
    x, y = torch.rand(128 * each, 1, 28, 28), torch.arange(128 * each) % 10
    wall, cpu = [], []
    for i in range(0, a.steps + 1, each):
        start, used = time.time(), cpu_time()
        epoch(x, y, 128)
        if i > 0:
            wall.append((time.time() - start) / each)
            cpu.append((cpu_time() - used) / each)
    report(statistics.median_high(wall), statistics.median_high(cpu))


def read(part):
    def idx(name, offset):
        return numpy.frombuffer(gzip.open(os.path.join(a.mnist, part + name)).read(), numpy.uint8, offset=offset)
    x = torch.from_numpy(idx("-images-idx3-ubyte.gz", 16).astype(numpy.float32) / 255).reshape(-1, 1, 28, 28)
    return x, torch.from_numpy(idx("-labels-idx1-ubyte.gz", 8).astype(numpy.int64))


def train_until():
    (x, y), (xt, yt) = read("train"), read("t10k")
    start, used = time.time(), cpu_time()
    for i in range(1, 51):
        epoch(x, y, 64)
        model.eval()
        with torch.no_grad():
            share = sum((model(xt[j:j + 1000]).argmax(1) == yt[j:j + 1000]).sum().item() for j in range(0, len(xt), 1000)) / len(xt)
        print("epoch %d: %.4f" % (i, share), file=sys.stderr)
        if share >= a.accuracy:
            report(time.time() - start, cpu_time() - used)
            return
    sys.exit("%s did not reach %s" % (a.network, a.accuracy))


train_until() if a.mnist else time_steps()
