"""What the sweeps share: running commands on all cores, link lines of each target, and the report.

A sweep compares lode with clang on programs that judge themselves (exit status 0) or print something. Whatever clang
says about a program (does it compile, does its own build pass, what does it print) and the bitcode it makes is kept in a
cache folder, so that the second sweep costs only lode and the runs.

Standard library only.
"""
import collections
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CLANG = os.environ.get("LODE_CLANG", "clang-19")
SKIPPED = 77  # the exit status by which ctest knows a test that could not be done


class Outcome:
    """How a command ended: status (negative: minus the signal), out and err as bytes, timed_out."""

    def __init__(self, status, out, err, timed_out=False):
        self.status, self.out, self.err, self.timed_out = status, out, err, timed_out

    def ok(self):
        return self.status == 0 and not self.timed_out

    def reason(self):
        """One line: why it failed."""
        if self.timed_out:
            return "timeout"
        text = self.err.decode("utf-8", "replace").strip()
        first = next((l for l in text.splitlines() if "error" in l.lower()), text.splitlines()[0] if text else "")
        first = re.sub(r"\S*/", "", first)[:240]
        if self.status < 0:
            try:
                name = signal.Signals(-self.status).name
            except ValueError:
                name = f"signal {-self.status}"
            return f"{name} {first}".strip()
        return f"exit {self.status} {first}".strip()


# Bytes of data that a command may have; 0: any. A linker under AddressSanitizer asks for terabytes of address space.
MEMORY = int(os.environ.get("LODE_SWEEP_GIB", "4")) << 30


def run(command, seconds=20, cwd=None, stdin=subprocess.DEVNULL, memory=MEMORY):
    """Runs a command in a process group of its own and kills the group after `seconds`."""
    def limits():
        import resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory:
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    try:
        p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=stdin, cwd=cwd,
                             start_new_session=True, preexec_fn=limits)
    except OSError as e:
        return Outcome(127, b"", str(e).encode())
    try:
        out, err = p.communicate(timeout=seconds)
        return Outcome(p.returncode, out, err)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        out, err = p.communicate()
        return Outcome(-9, out, err, True)


def parallel(function, items, jobs, label):
    """function(item) for every item on `jobs` threads, in input order; progress on a terminal's stderr."""
    results = [None] * len(items)
    done = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(function, item): i for i, item in enumerate(items)}
        for f in concurrent.futures.as_completed(futures):
            results[futures[f]] = f.result()
            done += 1
            if sys.stderr.isatty() and (done % 20 == 0 or done == len(items)):
                print(f"\r{label}: {done}/{len(items)}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty() and items:
        print(file=sys.stderr)
    return results


_paths = {}


def gcc_file(name, gcc="gcc"):
    if (gcc, name) not in _paths:
        _paths[gcc, name] = run([gcc, "-print-file-name=" + name]).out.decode().strip()
    return _paths[gcc, name]


def needs(*tools):
    """Ends the sweep, with the reason, where a tool is missing: without it no program would count."""
    for tool in tools:
        if not shutil.which(tool):
            print(f"SKIPPED: {tool} is not installed")
            sys.exit(SKIPPED)


class Target:
    """One target: how clang is called for it, how a program is linked and run."""

    def __init__(self, name):
        self.name = name
        self.wasm = name.startswith("wasm")
        self.clang_flags = {"x86_64": [], "riscv64": ["--target=riscv64-linux-gnu"],
                            "wasm32": ["--target=wasm32-wasi"]}[name]
        self.emulation = {"x86_64": "elf_x86_64", "riscv64": "elf64lriscv", "wasm32": "wasm32"}[name]
        self.runner = {"x86_64": [], "riscv64": ["qemu-riscv64", "-L", "/usr/riscv64-linux-gnu"], "wasm32": None}[name]
        self.gcc = {"x86_64": "gcc", "riscv64": "riscv64-linux-gnu-gcc", "wasm32": None}[name]

    def tools(self):
        """What making and running a program for it takes."""
        if self.wasm:
            return [CLANG, "wasm-ld-19", "node"]
        return [CLANG, self.gcc, "ld.lld-19", *self.runner[:1]]

    def static_link(self, inputs, output):
        """The arguments of a linker for a static program with libc (no linker name)."""
        if self.wasm:
            lib = "/usr/lib/wasm32-wasi"
            return ["-L" + lib, lib + "/crt1-command.o", *inputs, "-lm", "-lc",
                    "-lwasi-emulated-signal", "-lwasi-emulated-mman", "-lwasi-emulated-process-clocks",
                    "-lwasi-emulated-getpid", self.wasm_builtins(), "-o", output]
        f = lambda n: gcc_file(n, self.gcc)
        d = lambda n: "-L" + os.path.dirname(os.path.realpath(f(n)))
        return ["-m", self.emulation, "-static", f("crt1.o"), f("crti.o"), f("crtbeginT.o"), *inputs,
                d("libgcc.a"), d("libc.a"), "-lm", "--start-group", "-lgcc", "-lgcc_eh", "-lc",
                "--end-group", f("crtend.o"), f("crtn.o"), "-o", output]

    def dynamic_link(self, inputs, output):
        """The same for a position-independent program with shared libc."""
        f = lambda n: gcc_file(n, self.gcc)
        d = lambda n: "-L" + os.path.dirname(os.path.realpath(f(n)))
        loader = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "riscv64": "/lib/ld-linux-riscv64-lp64d.so.1"}[self.name]
        return ["-m", self.emulation, "-pie", "-dynamic-linker", loader, f("Scrt1.o"), f("crti.o"), f("crtbeginS.o"),
                *inputs, d("libgcc.a"), d("libc.so"), "-lm", "-lgcc", "--push-state", "--as-needed", "-lgcc_s",
                "--pop-state", "-lc", f("crtendS.o"), f("crtn.o"), "-o", output]

    def wasm_builtins(self):
        """compiler-rt for wasm: 128-bit arithmetic, long double."""
        if "builtins" not in _paths:
            _paths["builtins"] = run([CLANG, "--target=wasm32-wasi", "-print-libgcc-file-name"]).out.decode().strip()
        return _paths["builtins"]

    def stack_guard_stub(self, cache):
        """Debian's compiler-rt for wasm wants a stack guard from libc, which wasi-libc does not have."""
        o = os.path.join(cache, "stack_guard.wasm32.o")
        if not os.path.exists(o):
            c = os.path.join(cache, "stack_guard.c")
            with open(c, "w") as f:
                f.write("unsigned long __stack_chk_guard = 0x2a; void __stack_chk_fail(void) { __builtin_trap(); }\n")
            run([CLANG, "--target=wasm32-wasi", "-O1", "-c", c, "-o", o])
        return o


class WasmRunner:
    """Runs modules under node's WASI, many a process (starting node costs more than most programs); a process that
    makes no progress for `seconds`, or dies, is replaced, and the module it was at is the culprit."""

    def __init__(self, jobs):
        self.script = os.path.join(HERE, "wasi_runner.mjs")
        self.idle = []
        self.lock = threading.Lock()

    def _take(self):
        with self.lock:
            if self.idle:
                return self.idle.pop()
        return subprocess.Popen(["node", "--no-warnings", self.script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, start_new_session=True)

    def run(self, module, seconds=20, args=()):
        p = self._take()
        killer = threading.Timer(seconds, lambda: os.killpg(p.pid, signal.SIGKILL))
        killer.start()
        try:
            p.stdin.write((json.dumps({"module": module, "args": list(args)}) + "\n").encode())
            p.stdin.flush()
            line = p.stdout.readline()
        except OSError:
            line = b""
        timed_out = not killer.is_alive()
        killer.cancel()
        if not line:
            p.wait()
            p.stdin.close()
            p.stdout.close()
            return Outcome(-9, b"", b"node died", timed_out)
        with self.lock:
            self.idle.append(p)
        answer = json.loads(line)
        return Outcome(answer["status"], answer["out"].encode("latin-1"), answer["err"].encode())

    def close(self):
        for p in self.idle:
            p.stdin.close()
            p.wait()
            p.stdout.close()
        self.idle = []


class Cache:
    """A folder of small JSON verdicts and of files, keyed by whatever decides them."""

    def __init__(self, path):
        self.path = path
        os.makedirs(path, exist_ok=True)

    def key(self, *parts):
        return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:24]

    def file(self, key, suffix):
        return os.path.join(self.path, key + suffix)

    def get(self, key):
        try:
            with open(self.file(key, ".json")) as f:
                return json.load(f)
        except (OSError, ValueError):
            return None

    def put(self, key, value):
        temp = self.file(key, f".{threading.get_ident()}.tmp")
        with open(temp, "w") as f:
            json.dump(value, f)
        os.replace(temp, self.file(key, ".json"))


def content_key(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()[:16]


def report(title, results, out_path):
    """results: list of (name, reason or None). Writes the failures to out_path, prints counts and grouped reasons."""
    failures = [(n, r) for n, r in results if r]
    if out_path:
        os.makedirs(os.path.dirname(os.path.abspath(out_path)), exist_ok=True)
        with open(out_path, "w") as f:
            for n, r in failures:
                f.write(f"{n}\t{r}\n")
    groups = collections.defaultdict(list)
    for n, r in failures:
        groups[re.sub(r"\b[\w.+-]+\.(bc|c|o|wasm)\b|0x[0-9a-f]+|\d+|'[^']*'", "_", r)].append(n)
    for r, names in sorted(groups.items(), key=lambda g: -len(g[1]))[:25]:
        example = next(why for n, why in failures if n == names[0])
        print(f"{len(names):5}  {example[:160]}   [{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}]")
    print(f"{title}: {len(results)} programs, {len(results) - len(failures)} pass, {len(failures)} fail"
          + (f" (listed in {out_path})" if failures and out_path else ""))
    return 1 if failures else 0


def add_common_arguments(parser):
    parser.add_argument("--lode", default=os.environ.get("LODE", os.path.join(TOP, "build/release/lode")), help="the linker")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--cache", default=os.path.join(TOP, "build/sweep-cache"))
    parser.add_argument("--out", help="file for the list of failures")
    parser.add_argument("--timeout", type=float, default=20, help="seconds for one program's run")
