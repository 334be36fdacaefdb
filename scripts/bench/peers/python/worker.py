"""Serves Google ScaNN or faiss to scripts/bench: one JSON object a line in, one out; vectors and rows pass as raw files."""

import json
import os
import sys
import time

import numpy as np

# The libraries print to file descriptor 1, which carries our answers.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def peak_bytes():
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def size_of(directory):
    return sum(os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(directory) for name in names)


ROWS_AT_ONCE = 16_384


def read_rows(path, dimensions, count, normalise):
    """The first rows of a file, normalised if asked, without a second copy of them at any time."""
    rows = np.fromfile(path, np.float32, count * dimensions).reshape(count, dimensions)
    if normalise:
        for first in range(0, count, ROWS_AT_ONCE):
            part = rows[first : first + ROWS_AT_ONCE]
            norms = np.linalg.norm(part, axis=1, keepdims=True)
            part /= np.where(norms > 0, norms, 1)
    return rows


def unique(knobs):
    return list(dict.fromkeys(knobs))


class Scann:
    def __init__(self, vectors, metric, threads, k, directory):
        import scann

        count = len(vectors)
        leaves = max(1, int(round(np.sqrt(count) * 2)))
        measure = "squared_l2" if metric == "squared_l2" else "dot_product"
        # Score-aware quantization is for products; 0.2 is what ScaNN's own benchmarks take.
        threshold = 0.2 if measure == "dot_product" else float("nan")
        builder = scann.scann_ops_pybind.builder(vectors, k, measure).set_n_training_threads(threads)
        builder = builder.tree(leaves, min(leaves, 100), training_sample_size=min(count, 250_000))
        started = time.perf_counter()
        self.index = (
            builder.score_ah(2, anisotropic_quantization_threshold=threshold).reorder(max(k, 100)).build()
        )
        self.build_seconds = time.perf_counter() - started
        self.index.set_num_threads(threads)
        self.threads = threads
        self.index.serialize(directory)
        sweep = [(0.005, 40), (0.01, 60), (0.02, 80), (0.035, 100), (0.05, 120), (0.08, 150), (0.15, 300), (0.35, 400)]
        self.knobs = unique(
            f"{max(1, round(part * leaves))}/{max(k, round(c * times * k / 10))}" for part, c in sweep for times in (1, 3)
        )

    def set_knob(self, knob):
        self.leaves, self.reorder = (int(part) for part in knob.split("/"))

    def batch(self, queries, k):
        search = self.index.search_batched if self.threads == 1 else self.index.search_batched_parallel
        return search(
            queries, final_num_neighbors=k, leaves_to_search=self.leaves, pre_reorder_num_neighbors=self.reorder
        )[0]

    def single(self, query, k):
        self.index.search(
            query, final_num_neighbors=k, leaves_to_search=self.leaves, pre_reorder_num_neighbors=self.reorder
        )


class Faiss:
    def __init__(self, vectors, metric, threads, k, directory):
        import faiss

        faiss.omp_set_num_threads(threads)
        count, dimensions = vectors.shape
        lists = max(1, int(round(np.sqrt(count) * 2)))
        codes = dimensions // 2 if dimensions % 2 == 0 else dimensions
        measure = faiss.METRIC_L2 if metric == "squared_l2" else faiss.METRIC_INNER_PRODUCT
        started = time.perf_counter()
        self.index = faiss.index_factory(dimensions, f"IVF{lists},PQ{codes}x4fs,RFlat", measure)
        self.index.train(vectors)
        self.index.add(vectors)
        self.build_seconds = time.perf_counter() - started
        faiss.write_index(self.index, os.path.join(directory, "index.faiss"))
        self.space = faiss.ParameterSpace()
        sweep = [(0.003, 4), (0.006, 8), (0.012, 10), (0.025, 12), (0.05, 16), (0.1, 32), (0.2, 64), (0.4, 64)]
        self.knobs = unique(
            f"{max(1, round(part * lists))}/{factor * times}" for part, factor in sweep for times in (1, 4)
        )

    def set_knob(self, knob):
        nprobe, factor = (int(part) for part in knob.split("/"))
        self.space.set_index_parameter(self.index, "nprobe", nprobe)
        self.space.set_index_parameter(self.index, "k_factor_rf", factor)

    def batch(self, queries, k):
        return self.index.search(queries, k)[1]

    def single(self, query, k):
        self.index.search(query[None], k)


ENGINES = {"scann": Scann, "faiss-cpu": Faiss}


class Worker:
    def build(self, request):
        metric, dimensions = request["metric"], request["dimensions"]
        cosine = metric == "cosine"
        vectors = read_rows(request["vectorsFile"], dimensions, request["rows"], cosine)
        self.queries = read_rows(request["queriesFile"], dimensions, request["queries"], cosine)
        engine = ENGINES[request["engine"]]
        self.engine = engine(vectors, metric, request["threads"], request["k"], request["directory"])
        return {
            "buildSeconds": self.engine.build_seconds,
            "bytes": size_of(request["directory"]),
            "knobs": self.engine.knobs,
            "peakBytes": peak_bytes(),
        }

    def knob(self, request):
        self.engine.set_knob(request["knob"])
        return {}

    def measure(self, request):
        k = request["k"]
        started = time.perf_counter()
        rows = self.engine.batch(self.queries, k)
        elapsed = time.perf_counter() - started
        latencies = []
        for query in self.queries[: request["latencyQueries"]]:
            before = time.perf_counter_ns()
            self.engine.single(query, k)
            latencies.append((time.perf_counter_ns() - before) / 1000)
        if request.get("rowsFile"):
            # ScaNN has unsigned rows and marks what is missing by the greatest.
            np.asarray(rows).astype(np.int32).tofile(request["rowsFile"])
        return {"qps": len(self.queries) / elapsed, "latencies": latencies}


def main():
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request["op"])(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other side is to hear of it
            answer = {"error": f"{type(error).__name__}: {error}"}
        ANSWERS.write(json.dumps(answer) + "\n")
        ANSWERS.flush()


main()
