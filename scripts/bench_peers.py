"""Measures the worker and llama.cpp on the same GGUF files in turns and prints one table of ratios.

Called by bench_peers.sh, which builds llama.cpp. Each round runs every case of ours and then of each build of theirs;
the medians of all rounds count. Fractions are of the memory's read bandwidth that the same round measured, with the bytes
that a step must read: all weights but the embedding table, and the cache.
"""
import argparse
import http.client
import json
import os
import random
import signal
import socket
import statistics
import string
import subprocess
import sys
import tempfile
import threading
import time

CONTEXTS, PROMPTS, BATCH = (16, 1024), (128, 512), 8
START_CONTEXT = 2048  # tokens of the cache in the measurement of start and memory


def fail(text):
    sys.exit(f"bench_peers: {text}")


def run(command, env=None):
    """Returns the standard output of a command; one that fails ends the run with what it said."""
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        fail(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout


class Ours:
    name = "ours"

    def __init__(self, binary, threads, tokens):
        self.binary, self.threads, self.tokens = binary, threads, tokens

    def model(self, shape, form):
        """The random model's file, written if it is not there."""
        dtype = {"bf16": "gguf-bf16", "f16": "gguf-f16", "f32": "gguf-f32"}.get(form, form)
        return run([self.binary, "bench", "--prepare", "--shape", shape, "--dtype", dtype]).strip()

    def measure(self, model):
        """One run of every case: speeds by case, and the report they are from."""
        report = json.loads(run([
            self.binary, "bench", "--model", model, "--json", "--repeats", "1", "--process=false", "--threads", str(self.threads),
            "--tokens", str(self.tokens), "--contexts", ",".join(map(str, CONTEXTS)), "--batches", str(BATCH),
            "--prompts", ",".join(map(str, PROMPTS))]))
        speeds = {decode_case(d["batch"], d["prompt"]): d["tokens_per_second"] for d in report["decode"]}
        speeds.update({f"prefill {p['tokens']}": p["tokens_per_second"] for p in report["prefill"]})
        return speeds, report

    def serve(self, model, port, cache_bytes):
        return [self.binary, "serve", "--model", model, "--port", str(port), "--local-mode", "--threads", str(self.threads),
                "--max-batch", "1", "--max-context", str(START_CONTEXT), "--kv-cache-mb", str(-(-cache_bytes >> 20))], None

    def request(self, prompt):
        return "/execute", {"job_id": f"peer-{random.random()}", "prompt": prompt, "max_tokens": 1, "temperature": 0}

    def is_token(self, line):
        return line.startswith(b'data: {"type":"token"')


class Theirs:
    def __init__(self, folder, build, threads, tokens):
        self.name, self.bin, self.threads, self.tokens = build, f"{folder}/native/bin", threads, tokens
        self.env = dict(os.environ, LD_LIBRARY_PATH=f"{folder}/{build}/bin:{folder}/native/bin")

    def bench(self, model, *args):
        out = run([f"{self.bin}/llama-bench", "-m", model, "-t", str(self.threads), "-r", "1", "-o", "json", *args], self.env)
        return json.loads(out)

    def runs(self, model):
        """Whether it computes a prompt at all: some compilers' code for AMX ends with an illegal instruction."""
        command = [f"{self.bin}/llama-bench", "-m", model, "-t", str(self.threads), "-r", "1", "-p", "128", "-n", "0"]
        code = subprocess.run(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
        if code < 0:
            print(f"bench_peers: llama.cpp, {self.name}, is left out: it ends with {signal.Signals(-code).name} on this machine", file=sys.stderr)
        return code >= 0

    def measure(self, model):
        speeds = {}
        for row in self.bench(model, "-p", ",".join(map(str, PROMPTS)), "-n", "0"):
            speeds[f"prefill {row['n_prompt']}"] = row["avg_ts"]
        for row in self.bench(model, "-p", "0", "-n", str(self.tokens), "-d", ",".join(map(str, CONTEXTS))):
            speeds[decode_case(1, row["n_depth"])] = row["avg_ts"]
        out = run([f"{self.bin}/llama-batched-bench", "-m", model, "-t", str(self.threads), "-c", str(2 * BATCH * (16 + self.tokens)),
                   "-npp", "16", "-ntg", str(self.tokens), "-npl", str(BATCH), "--output-format", "jsonl"], self.env)
        rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        speeds[decode_case(BATCH, 16)] = rows[-1]["speed_tg"]
        return speeds, None

    def serve(self, model, port, _):
        return [f"{self.bin}/llama-server", "-m", model, "-t", str(self.threads), "--host", "127.0.0.1", "--port", str(port),
                "-c", str(START_CONTEXT), "-np", "1"], self.env

    def request(self, prompt):
        return "/completion", {"prompt": prompt, "n_predict": 1, "stream": True, "cache_prompt": False, "ignore_eos": True, "temperature": 0}

    def is_token(self, line):
        return line.startswith(b"data: {")


def decode_case(batch, context):
    return f"decode, context {context}" if batch == 1 else f"decode, {batch} at once"


def free_port():
    """One that nobody uses now, below those that kernels give to outgoing connections."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Sampler(threading.Thread):
    """The peak of a process's private memory: what no file backs."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.ended = pid, 0, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.02):
            try:
                with open(f"/proc/{self.pid}/status") as f:
                    fields = dict(line.split(":", 1) for line in f)
            except OSError:
                return
            self.peak = max(self.peak, sum(int(fields[k].split()[0]) << 10 for k in ("RssAnon", "RssShmem") if k in fields))


def first_token(program, port, prompt):
    """Sends a prompt and returns when its first token is there. (urllib reads the system's certificates for it first, on the
    processors that the server computes with.)"""
    path, body = program.request(prompt)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        for line in answer:
            if program.is_token(line):
                at = time.perf_counter()
                answer.read()
                return at
    finally:
        connection.close()
    fail(f"{program.name}: the server sent no token")


def start(program, model, cache_bytes):
    """Seconds from the start of the server's process to the first token of 16, and the private memory beyond the cache at its
    peak, a prompt of 512 tokens included."""
    port = free_port()
    command, env = program.serve(model, port, cache_bytes)
    with tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        sampler = Sampler(server.pid)
        try:
            await_ready(program, server, port, log)
            took = first_token(program, port, letters(16)) - began
            first_token(program, port, letters(512))
        finally:
            sampler.ended.set()
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    return took, max(sampler.peak - cache_bytes, 0)


def await_ready(program, server, port, log):
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        if is_ready(port):
            return
        if server.poll() is not None:
            log.seek(0)
            fail(f"{program.name}: the server ended with {server.returncode}: {log.read().decode(errors='replace').strip()[-600:]}")
        time.sleep(0.002)
    fail(f"{program.name}: the server was not ready within ten minutes")


def is_ready(port):
    """Asks by a bare socket: urllib takes a millisecond of a processor that the server is using."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            s.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return s.recv(64).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def letters(n):
    return "".join(random.choices(string.ascii_lowercase, k=n))


def measure(form, model, ours, theirs, repeats, with_start):
    """Rounds of all programs in turns: for each program a list of speeds, and the reports of ours."""
    rounds, reports = {p.name: [] for p in (ours, *theirs)}, []
    for i in range(repeats):
        print(f"bench_peers: {form}, round {i + 1} of {repeats}", file=sys.stderr)
        for program in (ours, *theirs):
            speeds, report = program.measure(model)
            if report:
                reports.append(report)
            rounds[program.name].append(speeds)
    if not with_start:
        return rounds, reports
    cache = reports[0]["cache_bytes_per_token"] * START_CONTEXT
    programs = (ours, *theirs)
    for program in programs:
        start(program, model, cache)  # the files and programs are in memory then
    for i in range(repeats):
        for program in programs:
            took, private = start(program, model, cache)
            rounds[program.name][i]["start to first token"] = took
            rounds[program.name][i]["private memory"] = private
    return rounds, reports


def summary(form, rounds, reports):
    """One row a case: medians, the best of their builds, the ratio by which ours is better, fractions of the read limit."""
    steps = {decode_case(d["batch"], d["prompt"]): d["step_bytes"] / d["batch"] for d in reports[0]["decode"]}
    limit = statistics.median(max(l["read_gb_per_second"] for l in r["limits"]) for r in reports)
    medians = {name: {case: statistics.median(r[case] for r in of) for case in of[0]} for name, of in rounds.items()}
    ours = medians.pop("ours")
    rows = []
    for case, value in ours.items():
        less_is_better = case in ("start to first token", "private memory")
        best = (min if less_is_better else max)(medians, key=lambda b: medians[b][case])
        peer = medians[best][case]
        row = {"format": form, "case": case, "ours": value, "theirs": peer, "build": best,
               "ratio": (peer / value if less_is_better else value / peer) if value and peer else None,
               "all_builds": {b: m[case] for b, m in medians.items()}}
        if case in steps:
            row["ours_fraction"], row["theirs_fraction"] = (v * steps[case] / 1e9 / limit for v in (value, peer))
        rows.append(row)
    return rows, limit


def show(value, case):
    if case == "private memory":
        return f"{value / 2**20:.0f} MiB"
    return f"{value:.2f} s" if case == "start to first token" else f"{value:.1f}"


def table(rows):
    out = ["| format | case | ours | llama.cpp | its build | ratio | ours, of the read limit | llama.cpp |", "|---|---|---|---|---|---|---|---|"]
    for r in rows:
        fractions = [f"{100 * r[k]:.0f} %" if k in r else "" for k in ("ours_fraction", "theirs_fraction")]
        ratio = f"{r['ratio']:.2f}" if r["ratio"] else "-"
        out.append(f"| {r['format']} | {r['case']} | {show(r['ours'], r['case'])} | {show(r['theirs'], r['case'])} | {r['build']} | {ratio} | "
                   f"{fractions[0]} | {fractions[1]} |")
    return "\n".join(out)


def arguments():
    p = argparse.ArgumentParser(prog="bench_peers.sh", description="the worker and llama.cpp on the same files, in turns")
    p.add_argument("--ours", required=True, help=argparse.SUPPRESS)
    p.add_argument("--peers", required=True, help=argparse.SUPPRESS)
    p.add_argument("--builds", required=True, help=argparse.SUPPRESS)
    p.add_argument("--spare", help=argparse.SUPPRESS)  # a build for where one of those does not run
    p.add_argument("--formats", default="bf16,q8_0,q4_0,q4_k_m", help="number formats of the random model, with commas (%(default)s)")
    p.add_argument("--model", help="a GGUF file of your own, instead of random ones")
    p.add_argument("--shape", default="tinyllama", help="shape of the random model (%(default)s)")
    p.add_argument("--repeats", type=int, default=5, help="rounds; medians count (%(default)s)")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="compute threads of both (%(default)s)")
    p.add_argument("--tokens", type=int, default=48, help="tokens decoded in one timing (%(default)s)")
    p.add_argument("--no-start", action="store_true", help="leave out the start of the servers and their memory")
    p.add_argument("--json", metavar="FILE", help="write every round and the rows of the table there")
    a = p.parse_args()
    if a.repeats < 1 or a.threads < 1 or a.tokens < 2:
        p.error("--repeats and --threads must be at least 1, --tokens at least 2")
    return a


def builds_that_run(a, model):
    theirs = [Theirs(a.peers, build, a.threads, a.tokens) for build in a.builds.split()]
    running = [t for t in theirs if t.runs(model)]
    if len(running) < len(theirs) and a.spare:
        running += [t for t in [Theirs(a.peers, a.spare, a.threads, a.tokens)] if t.runs(model)]
    return running or fail("no build of llama.cpp runs on this machine: try another compiler (CXX) after removing its folder in the cache")


def main():
    a = arguments()
    ours = Ours(a.ours, a.threads, a.tokens)
    theirs = None
    rows, record = [], {}
    for form in [os.path.basename(a.model)] if a.model else a.formats.split(","):
        model = a.model or ours.model(a.shape, form)
        theirs = theirs or builds_that_run(a, model)
        rounds, reports = measure(form, model, ours, theirs, a.repeats, not a.no_start)
        of_form, limit = summary(form, rounds, reports)
        rows += of_form
        record[form] = {"model": model, "read_gb_per_second": limit, "rounds": rounds, "reports": reports}
        print(f"bench_peers: {form}: the memory was read at {limit:.1f} GB/s", file=sys.stderr)
    print(table(rows))
    print(f"\nTokens a second but for start and memory; medians of {a.repeats} rounds in turns, {a.threads} threads, {record[form]['reports'][0]['device']}.\n"
          "A ratio above 1 says that ours is better. Memory is private memory at its peak beyond the cache.")
    if a.json:
        with open(a.json, "w") as f:
            json.dump({"rows": rows, "record": record}, f, indent=1)


if __name__ == "__main__":
    main()
