"""LightGBM's and scikit-learn's side of make bench: see tables.go beside it."""
import argparse, os, resource, time

arguments = argparse.ArgumentParser()
arguments.add_argument("-work", required=True)
arguments.add_argument("-data", required=True)
arguments.add_argument("-threads", type=int, default=1)
arguments.add_argument("-balanced", action="store_true")
a = arguments.parse_args()
for name in "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS":
    os.environ[name] = str(a.threads)

import lightgbm, numpy, pandas
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


class Stopwatch:
    wall = cpu = 0.0

    def __enter__(self):
        self.start, self.used = time.time(), self.cpu_time()

    def __exit__(self, *_):
        self.wall += time.time() - self.start
        self.cpu += self.cpu_time() - self.used

    @staticmethod
    def cpu_time():
        r = resource.getrusage(resource.RUSAGE_SELF)
        return r.ru_utime + r.ru_stime

    def report(self, **results):
        print("%.3f %.3f" % (1000 * self.wall, 1000 * self.cpu), *("%s=%.4f" % r for r in results.items()))


clock = Stopwatch()
category = "ocean_proximity"


def housing():
    """Each fifth row is not trained on."""
    d = pandas.read_csv(a.data)
    y, x = d.pop("median_house_value").to_numpy(float), d
    test = numpy.arange(len(d)) % 5 == 0
    return x[~test], y[~test], x[test], y[test]


def trees():
    x, y, xt, yt = housing()

    def numbers(part):
        dense = [part[c].to_numpy(numpy.float32) for c in part if c != category]
        dense += [(part[category] == v).to_numpy(numpy.float32) for v in sorted(set(x[category]))]
        return numpy.stack(dense, axis=1)
    parameters = dict(
        objective="regression", learning_rate=0.1, num_leaves=31, min_data_in_leaf=20, min_sum_hessian_in_leaf=1e-3,
        lambda_l2=1, max_bin=255, num_threads=a.threads, verbose=-1)
    with clock:
        model = lightgbm.train(parameters, lightgbm.Dataset(numbers(x), y), 200)
    clock.report(**{"R²": r2_score(yt, model.predict(numbers(xt)))})


def linear():
    x, y, xt, yt = housing()
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), [category]),
            remainder=make_pipeline(SimpleImputer(strategy="median"), StandardScaler())),
        LinearRegression())
    with clock:
        model.fit(x, y)
    clock.report(**{"R²": r2_score(yt, model.predict(xt))})


def logistic():
    d = pandas.read_csv(a.data)
    y, x = d.pop("digit").to_numpy(), d.to_numpy(numpy.float64)
    test = numpy.arange(len(d)) % 5 == 0
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    with clock:
        model.fit(x[~test], y[~test])
    clock.report(accuracy=accuracy_score(y[test], model.predict(x[test])))


def text():
    """Row n of a class, counted from 0, is in fold n mod 5."""
    d = pandas.read_csv(a.data)
    x, y = d["tweet"].to_numpy(str), d["class"].to_numpy()
    fold = d.groupby("class").cumcount().to_numpy() % 5
    weighted = macro = 0
    for k in range(5):
        train, test = fold != k, fold == k
        model = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=100_000, sublinear_tf=True, token_pattern=r"(?u)\w+"),
            LogisticRegression(max_iter=1000, class_weight="balanced" if a.balanced else None))
        with clock:
            model.fit(x[train], y[train])
        p = model.predict(x[test])
        weighted += f1_score(y[test], p, average="weighted") / 5
        macro += f1_score(y[test], p, average="macro") / 5
    clock.report(weighted=weighted, macro=macro)


{"trees": trees, "linear": linear, "logistic": logistic, "text": text}[a.work]()
