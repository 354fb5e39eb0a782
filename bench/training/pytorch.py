"""PyTorch's side of make bench: see main.go beside it for what is done."""
import argparse, gzip, math, os, resource, statistics, time

arguments = argparse.ArgumentParser()
arguments.add_argument("-work", default="steps")
arguments.add_argument("-network", default="mlp")
arguments.add_argument("-threads", type=int, default=1)
arguments.add_argument("-steps", type=int, default=40)
arguments.add_argument("-data", default="")
a = arguments.parse_args()

import numpy, torch

torch.set_num_threads(a.threads)
torch.manual_seed(1)
nn = torch.nn
loss = nn.CrossEntropyLoss()


def convolutions():
    return [
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]


def cpu_time():
    r = resource.getrusage(resource.RUSAGE_SELF)
    return r.ru_utime + r.ru_stime


def report(wall, cpu, *results):
    print("%.3f %.3f" % (1000 * wall, 1000 * cpu), *results)


class Training:
    def __init__(self, layers, rate, batch, epochs=0, shift=0):
        self.model = nn.Sequential(*layers)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate)
        self.rate, self.batch, self.epochs, self.shift = rate, batch, epochs, shift

    def share(self, epoch, i, n):
        """Of the learning rate: a warm-up of one epoch, and half a cosine."""
        done = epoch + i / n
        return (1 + math.cos(math.pi * min(1, done / self.epochs))) / 2 * min(1, done + 1 / n)

    def moved(self, x):
        """Images moved by up to shift pixels each way, their edges repeated."""
        if not self.shift:
            return x
        s = self.shift
        wide = nn.functional.pad(x, (s, s, s, s), mode="replicate")
        up, left = torch.randint(0, 2 * s + 1, (2, len(x), 1, 1))
        rows = up + torch.arange(28).reshape(1, 28, 1)
        cols = left + torch.arange(28).reshape(1, 1, 28)
        return wide[torch.arange(len(x)).reshape(-1, 1, 1), 0, rows, cols].unsqueeze(1)

    def epoch(self, x, y, number=0):
        self.model.train()
        order = torch.randperm(len(x))
        n = math.ceil(len(x) / self.batch)
        for i in range(n):
            if self.epochs:
                self.optimizer.param_groups[0]["lr"] = self.rate * self.share(number, i, n)
            rows = order[i * self.batch:(i + 1) * self.batch]
            self.optimizer.zero_grad()
            loss(self.model(self.moved(x[rows])), y[rows]).backward()
            self.optimizer.step()


def time_steps():
    layers = [nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)]
    if a.network == "cnn":
        layers = convolutions() + [nn.Linear(32 * 49, 10)]
    training = Training(layers, 1e-3, 128)
    each = 8
    x, y = torch.rand(128 * each, 1, 28, 28), torch.arange(128 * each) % 10
    wall, cpu = [], []
    for i in range(0, a.steps + 1, each):
        start, used = time.time(), cpu_time()
        training.epoch(x, y)
        if i > 0:
            wall.append((time.time() - start) / each)
            cpu.append((cpu_time() - used) / each)
    report(statistics.median_high(wall), statistics.median_high(cpu))


def read(part):
    def idx(name, offset):
        return numpy.frombuffer(gzip.open(os.path.join(a.data, part + name)).read(), numpy.uint8, offset=offset)
    x = torch.from_numpy(idx("-images-idx3-ubyte.gz", 16).astype(numpy.float32) / 255).reshape(-1, 1, 28, 28)
    return x, torch.from_numpy(idx("-labels-idx1-ubyte.gz", 8).astype(numpy.int64))


def train_mnist():
    (x, y), (xt, yt) = read("train"), read("t10k")
    start, used = time.time(), cpu_time()
    if a.network == "cnn":
        training = Training(
            convolutions() + [nn.Dropout(0.4), nn.Linear(32 * 49, 128), nn.ReLU(), nn.Dropout(0.4), nn.Linear(128, 10)],
            2e-3, 64, epochs=20, shift=2)
    else:
        training = Training(
            [nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.3), nn.Linear(512, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 10)],
            2e-3, 64, epochs=30)
    for number in range(training.epochs):
        training.epoch(x, y, number)
    wall, cpu = time.time() - start, cpu_time() - used
    training.model.eval()
    with torch.no_grad():
        right = sum((training.model(xt[i:i + 1000]).argmax(1) == yt[i:i + 1000]).sum().item() for i in range(0, len(xt), 1000))
    report(wall, cpu, "accuracy=%.4f" % (right / len(xt)))


{"steps": time_steps, "mnist": train_mnist}[a.work]()
