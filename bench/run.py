#!/usr/bin/env python3
"""Speed, size and memory of lode beside its peers, both sides measured in the same run; medians.

    bench/run.py                    everything that the machine has the inputs and peers for
    bench/run.py --only link,wasm   some parts: compile, kept, phases, runtime, size, wasm, link
    bench/run.py --runs 9 --lua ~/lua --lode build/release/lode

    compile   bitcode to executable as whole processes, SQLite at -O0 and -O1: lode | llc -O0 then ld.lld; with peak memory
    kept      what keeping functions saves: lode with a cold and a warm --mir-cache, unchanged and with one function changed; flushes of a
              Linker after one function was replaced, and its memory
    phases    where lode spends that time (its --stats)
    runtime   a SQLite workload of 60,000 rows, built from the same bitcode by lode, by llc -O0, by clang -O1
    size      text of the same
    wasm      code-section bytes of SQLite, Lua (--lua CHECKOUT) and the kernels beside this file; time of bitcode to module
    start     what a process costs before its work: fork and exec of `true`, lode --version, lode and its peers with a compiler's options and an
              input that is not there, and the smallest link there is; --starts N runs each, by turns; beside another lode's, --old LODE
    edits     a linker kept in a C program: --edits edits with a flush into memory each, of a library of 20 and of 200 functions; CPU time of one, and
              memory along the way
    text      AIR text of --functions functions (bench/many_functions.py): read and verified, linked; beside another lode's, --old LODE
    relink    relinks in place after edits of generated programs, SQLite, LLVM and a cargo project, beside the full links of all (bench/relinks.py)
    link      native objects: lode | ld.lld | mold | ld.bfd on SQLite with libc; LLVM and clang if their static libraries are installed

Runs of the contenders are interleaved; outputs go to memory (/dev/shm) when there is room. A peer that is not installed
is named and left out. Inputs: build/inputs/sqlite (scripts/fetch-sqlite.sh). Standard library only.
"""
import argparse
import json
import os
import re
import resource
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TOP, "tests/sweeps"))
import relinks  # noqa: E402
import sweep  # noqa: E402

CLANG, LLC, LLD, WASM_LD = "clang-19", "llc-19", "ld.lld-19", "wasm-ld-19"
SQLITE_FLAGS = ["-w", "-DSQLITE_ENABLE_MATH_FUNCTIONS", "-DSQLITE_OMIT_LOAD_EXTENSION"]
WASI_FLAGS = ["--target=wasm32-wasi", "-DSQLITE_THREADSAFE=0", "-D_WASI_EMULATED_GETPID", "-D_WASI_EMULATED_MMAN", "-D_WASI_EMULATED_SIGNAL"]


class Failed(Exception):
    pass


class Sample:
    def __init__(self, wall=0.0, cpu=0.0, memory=0):
        self.wall, self.cpu, self.memory = wall, cpu, memory

    def __add__(self, o):
        return Sample(self.wall + o.wall, self.cpu + o.cpu, max(self.memory, o.memory))


def measure(commands, cwd=None):
    """Runs the commands one after the other; wall seconds, user+system seconds, and the largest resident size in bytes."""
    total = Sample()
    for c in commands:
        start = time.perf_counter()
        p = subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=cwd)
        err = p.stderr.read()
        _, status, usage = os.wait4(p.pid, 0)
        wall = time.perf_counter() - start
        p.returncode = status
        p.stderr.close()
        if status != 0:
            raise Failed(f"{os.path.basename(c[0])}: " + (err.decode(errors='replace').strip().splitlines() or [f"status {status}"])[0][:200])
        total += Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
    return total


def compare(contenders, runs):
    """contenders: {name: list of commands}. Interleaved runs after one warm-up; {name: (median wall, median cpu, memory)};
    a contender that fails gets its complaint."""
    samples, broken = {n: [] for n in contenders}, {}
    for r in range(runs + 1):
        for name, commands in contenders.items():
            if name in broken:
                continue
            try:
                s = measure(commands)
                if r:
                    samples[name].append(s)
            except Failed as e:
                broken[name] = str(e)
    med = lambda l, k: statistics.median(getattr(s, k) for s in l)
    return {n: broken.get(n) or (med(l, "wall"), med(l, "cpu"), med(l, "memory")) for n, l in samples.items()}


def table(title, header, rows):
    print(f"\n{title}")
    rows = [[str(c) for c in r] for r in rows]
    widths = [max(len(r[i]) for r in [header] + rows if i < len(r)) for i in range(len(header))]
    for r in [header, ["-" * w for w in widths]] + rows:
        print("| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))) + " |")
    sys.stdout.flush()


def timing_rows(results, reference="lode"):
    base = results.get(reference)
    rows = []
    for name, r in results.items():
        if isinstance(r, str):
            rows.append([name, "failed", "", "", r])
        else:
            ratio = f"{r[0] / base[0]:.2f}" if not isinstance(base, str) and base else ""
            rows.append([name, f"{r[0] * 1000:.0f}", f"{r[1] * 1000:.0f}", f"{r[2] / 1e6:.0f}", ratio])
    return rows


TIMING = ["", "wall ms", "cpu ms", "peak MB", "x lode"]


def have(tool):
    return shutil.which(tool) is not None


def text_size(path):
    """Bytes of executable sections of an ELF file."""
    d = open(path, "rb").read()
    shoff, = struct.unpack_from("<Q", d, 40)
    size, n = struct.unpack_from("<HH", d, 58)
    return sum(s for f, s in ((struct.unpack_from("<Q", d, shoff + i * size + 8)[0], struct.unpack_from("<Q", d, shoff + i * size + 32)[0]) for i in range(n)) if f & 4)


def code_section(path):
    """Size of the contents of a WebAssembly module's code section, and the file's size."""
    d = open(path, "rb").read()
    at = 8
    while at < len(d):
        kind, at = d[at], at + 1
        size = shift = 0
        while True:
            b, at = d[at], at + 1
            size |= (b & 127) << shift
            shift += 7
            if b < 128:
                break
        if kind == 10:
            return size, len(d)
        at += size
    return 0, len(d)


class Bench:
    def __init__(self, a):
        self.a = a
        self.lode = os.path.abspath(a.lode)
        room = os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 2 << 30
        self.temp = tempfile.mkdtemp(prefix="lode-bench-", dir="/dev/shm" if room else None)
        self.sqlite = os.path.join(a.inputs, "sqlite")
        self.x86 = sweep.Target("x86_64")
        self._bitcode = {}
        self._objects = {}

    def path(self, name):
        return os.path.join(self.temp, name)

    def must(self, command):
        measure([command])

    def bitcode(self, level):
        """[driver, sqlite3] as x86_64 bitcode."""
        if level not in self._bitcode:
            out = []
            for c in (os.path.join(TOP, "examples/sqlite/driver.c"), os.path.join(self.sqlite, "sqlite3.c")):
                bc = self.path(os.path.basename(c)[:-2] + f".{level}.bc")
                self.must([CLANG, "-" + level, *SQLITE_FLAGS, "-I" + self.sqlite, "-c", "-emit-llvm", c, "-o", bc])
                out.append(bc)
            self._bitcode[level] = out
        return self._bitcode[level]

    def llc(self, bc, o, level="-O0"):
        return [LLC, level, "-filetype=obj", "-relocation-model=pic", bc, "-o", o]

    def objects(self, level, how):
        """The same as objects made by `how`: llc, clang or lode."""
        key = level, how
        if key not in self._objects:
            out = []
            for bc in self.bitcode(level):
                o = f"{bc}.{how}.o"
                self.must({"llc": self.llc(bc, o), "clang": [CLANG, "-O1", "-w", "-c", bc, "-o", o], "lode": [self.lode, "-r", bc, "-o", o]}[how])
                out.append(o)
            self._objects[key] = out
        return self._objects[key]

    def link(self, linker, inputs, output):
        return [*linker, *self.x86.static_link(inputs, output)]

    def compile(self):
        for level in ("O0", "O1"):
            bcs = self.bitcode(level)
            os_ = [bc + ".llc.o" for bc in bcs]
            contenders = {"lode": [self.link([self.lode], bcs, self.path("exe.lode"))],
                          "lode, one thread": [self.link([self.lode, "--threads=1"], bcs, self.path("exe.lode1"))],
                          "llc -O0, ld.lld": [*(self.llc(bc, o) for bc, o in zip(bcs, os_)), self.link([LLD], os_, self.path("exe.llc"))]}
            if have("tpde-llc"):
                contenders["tpde-llc, ld.lld"] = [*(["tpde-llc", "-o", o + "t", bc] for bc, o in zip(bcs, os_)), self.link([LLD], [o + "t" for o in os_], self.path("exe.tpde"))]
            table(f"bitcode to static executable, SQLite -{level} ({sum(map(os.path.getsize, bcs)) / 1e6:.1f} MB of bitcode)", TIMING, timing_rows(compare(contenders, self.a.runs)))
            contenders = {"lode -r": [[self.lode, "-r", bcs[1], "-o", self.path("o.lode")]], "llc -O0": [self.llc(bcs[1], self.path("o.llc"))]}
            if have("tpde-llc"):
                contenders["tpde-llc"] = [["tpde-llc", "-o", self.path("o.tpde"), bcs[1]]]
            table(f"bitcode to object, sqlite3.c -{level}", TIMING, timing_rows(compare(contenders, self.a.runs), "lode -r"))
        if not have("tpde-llc"):
            print("(tpde-llc is not installed: left out)")

    def kept(self):
        driver, sqlite = self.bitcode("O1")
        changed = self.path("changed")
        os.makedirs(changed, exist_ok=True)
        with open(os.path.join(self.sqlite, "sqlite3.c")) as f:
            text = f.read()
        line = "SQLITE_API int sqlite3_libversion_number(void){ return SQLITE_VERSION_NUMBER; }"
        assert line in text
        with open(changed + "/sqlite3.c", "w") as f:
            f.write(text.replace(line, "extern int printf(const char*, ...);\n" + line.replace("return", 'printf("a new string\\n"); return')))
        edited = os.path.join(changed, os.path.basename(sqlite))
        self.must([CLANG, "-O1", *SQLITE_FLAGS, "-I" + self.sqlite, "-c", "-emit-llvm", changed + "/sqlite3.c", "-o", edited])
        cache, template = self.path("cache"), self.path("cache.warm")
        lode = [self.lode, "--threads=1"]
        with_cache = lambda inputs, out: [*self.link(lode, inputs, self.path(out)), "--mir-cache=" + cache]
        self.must(["rm", "-rf", cache, template])
        self.must(with_cache([driver, sqlite], "exe.fill"))
        self.must(["cp", "-a", cache, template])
        warm = ["cp", "-a", template, cache]
        copying = compare({"copy": [["rm", "-rf", cache], warm]}, self.a.runs)["copy"]
        contenders = {"without": [self.link(lode, [driver, sqlite], self.path("exe.plain"))],
                      "cold": [["rm", "-rf", cache], with_cache([driver, sqlite], "exe.cold")],
                      "warm, unchanged": [with_cache([driver, sqlite], "exe.warm")],
                      "warm, one function changed": [["rm", "-rf", cache], warm, with_cache([driver, edited], "exe.changed")]}
        table("static link of SQLite -O1 with --mir-cache, one thread (the last row with the copying of the cache, "
              f"{copying[1] * 1e3:.1f} ms of CPU)", [*TIMING[:-1], "x without"], timing_rows(compare(contenders, self.a.runs), "without"))
        flush = os.path.join(os.path.dirname(self.lode), "flush_bench")
        if not os.path.exists(flush):
            print("(flush_bench is not built: left out)")
            return
        r = sweep.run([flush, self.path("flush.so"), "1000", "sqlite3_libversion_number", sqlite], 600)
        first, later, early, late = r.out.split()
        table("a Linker in a process, SQLite -O1 as a shared library, one thread", ["", "CPU ms", "of the first", "resident MB"],
              [["first flush", first.decode(), "1.00", ""], ["one function replaced (median of 1,000)", later.decode(), f"{float(later) / float(first):.3f}", ""],
               ["after 100 flushes", "", "", f"{int(early) / 1024:.1f}"], ["after 1,000 flushes", "", "", f"{int(late) / 1024:.1f}"]])

    def phases(self):
        for level in ("O0", "O1"):
            command = self.link([self.lode, "--stats"], self.bitcode(level), self.path("exe.stats"))
            times, order, last = {}, [], ""
            for _ in range(self.a.runs):
                r = sweep.run(command, 60)
                if not r.ok():
                    print(f"\nphases -{level}: lode fails: {r.reason()}")
                    return
                last = (r.out + r.err).decode()
                this = {}
                for indent, name, ms in re.findall(r"^( *)([A-Za-z][\w ,()/+-]*?)[\s:]+([\d.]+) ms\b", last, re.M):
                    name = "code generation: " + name if indent else name  # time of all threads together
                    if name not in order:
                        order.append(name)
                    this[name] = this.get(name, 0) + float(ms)  # a phase may come in several parts
                for name, ms in this.items():
                    times.setdefault(name, []).append(ms)
            table(f"inside lode, SQLite -{level}", ["phase", "ms"], [[n, f"{statistics.median(times[n]):.1f}"] for n in order])
            rest = [l for l in last.splitlines() if not re.search(r"[\d.]+ ms\b", l)]
            if rest:
                print("\n".join(rest))

    def runtime(self):
        for level in ("O0", "O1"):
            bcs = self.bitcode(level)
            programs, rows = {}, {}
            for name, how in (("lode", "lode"), ("llc -O0", "llc"), ("clang -O1", "clang")):
                program = self.path(f"run.{level}.{how}")
                try:
                    self.must(self.link([self.lode], bcs, program) if how == "lode" else self.link([LLD], self.objects(level, how), program))
                    programs[name] = [[program, "60000"]]
                except Failed as e:
                    print(f"runtime: {name}: {e}")
            results = compare(programs, self.a.runs)
            outputs = {n: sweep.run(c[0], 60).out for n, c in programs.items()}
            rows = timing_rows(results)
            for r in rows:
                r.append("yes" if outputs[r[0]] == outputs.get("clang -O1") else "NO")
            table(f"run time of the SQLite workload, 60,000 rows, from -{level} bitcode", TIMING + ["same output"], rows)

    def size(self):
        rows = []
        for level in ("O0", "O1"):
            sizes = {}
            for name, how in (("lode", "lode"), ("llc -O0", "llc"), ("clang -O1", "clang")):
                try:
                    sizes[name] = sum(text_size(o) for o in self.objects(level, how))
                except Failed as e:
                    print(f"size: {name}: {e}")
            for name, s in sizes.items():
                rows.append([f"-{level}: {name}", s, f"{s / sizes['clang -O1']:.2f}" if "clang -O1" in sizes else ""])
        table("text of SQLite and driver as objects", ["from", "bytes", "x clang -O1"], rows)

    def wasm(self):
        sources = {}
        wanted = lambda *levels: [l for l in levels if l in self.a.levels.split(",")]
        for level in wanted("O0", "O1", "O2"):
            group = []
            for c in (os.path.join(TOP, "examples/sqlite/driver.c"), os.path.join(self.sqlite, "sqlite3.c")):
                group.append(([*WASI_FLAGS, "-" + level, *SQLITE_FLAGS, "-I" + self.sqlite], c))
            sources[f"SQLite -{level}"] = (group, ["--no-entry", "--export=__main_argc_argv"])
        if self.a.lua:
            for level in wanted("O0", "O2"):
                files = [f for f in sorted(os.listdir(self.a.lua)) if f.endswith(".c") and f not in ("onelua.c", "ltests.c", "luac.c", "lua.c")]
                group = [(["--target=wasm32-wasi", "-" + level, "-w", "-D_WASI_EMULATED_SIGNAL", "-D_WASI_EMULATED_PROCESS_CLOCKS", "-DLUA_USE_C89", f"-I{self.a.lua}", "-I" + os.path.join(HERE, "wasi"), "-include", "missing.h"], os.path.join(self.a.lua, f)) for f in files]
                sources[f"Lua -{level}"] = (group, ["--no-entry", "--export-all"])
        else:
            print("\n(no --lua CHECKOUT: Lua left out)")
        kernels = sorted(f for f in os.listdir(os.path.join(HERE, "kernels")) if f.endswith(".c"))
        for level in wanted("O0", "O2"):
            for k in kernels if self.a.each_kernel else ["all"]:
                files = kernels if k == "all" else [k]
                sources[f"kernels -{level}" if k == "all" else f"{k} -{level}"] = ([(["--target=wasm32-wasi", "-" + level], os.path.join(HERE, "kernels", f)) for f in files], ["--no-entry", "--export-all"])
        rows, time_rows, mir_rows = [], [], []
        columns = ["lode", "wasm-opt -O1", "llc -O0", "compressed", "wasm-opt -O1", "llc", "compressed", "wasm-opt -O1"]
        for title, (group, options) in sources.items():
            bcs = []
            for i, (flags, c) in enumerate(group):
                bc = self.path(f"wasm-{title.replace(' ', '')}-{i}.bc")
                self.must([CLANG, *flags, "-c", "-emit-llvm", c, "-o", bc])
                bcs.append(bc)
            options = [*options, "--allow-undefined", "--strip-all"]
            out, opt = self.path("module.lode.wasm"), self.path("opt.wasm")
            row = [title]
            optimised, mir = "", None
            try:
                r = sweep.run([self.lode, "-m", "wasm32", "--verbose", *options, *bcs, "-o", out], 60)
                if not r.ok():
                    raise Failed(r.reason())
                mir = re.search(rb"(\d+) MIR instructions of ([\d.]+) bytes \(([\d.]+) with", r.out)
                if have("wasm-validate"):
                    self.must(["wasm-validate", "--enable-all", out])
                row.append(code_section(out)[0])
                if have("wasm-opt"):
                    self.must(["wasm-opt", "-all", "-O1", out, "-o", opt])
                    optimised = code_section(opt)[0]
            except Failed as e:
                row.append("failed")
                print(f"wasm, {title}: {e}")
            row.append(optimised)
            for level in ("-O0", "-O2"):
                objects = [bc + level + ".o" for bc in bcs]
                for bc, o in zip(bcs, objects):
                    self.must([LLC, level, "-filetype=obj", bc, "-o", o])
                padded, short = self.path("padded.wasm"), self.path("short.wasm")
                self.must([WASM_LD, *options, *objects, "-o", padded])
                self.must([WASM_LD, *options, "--compress-relocations", *objects, "-o", short])
                row += [code_section(padded)[0], code_section(short)[0]]
                if have("wasm-opt"):
                    self.must(["wasm-opt", "-all", "-O1", short, "-o", opt])
                    row.append(code_section(opt)[0])
                else:
                    row.append("")
            row.append(f"{row[1] / row[7]:.3f}" if isinstance(row[1], int) else "")
            row.append(f"{row[2] / row[8]:.3f}" if isinstance(row[2], int) and isinstance(row[8], int) else "")
            rows.append(row)
            if mir:
                mir_rows.append([title, *(x.decode() for x in mir.groups())])
            if title.startswith("SQLite") or title.startswith("Lua"):
                objects = [bc + ".t.o" for bc in bcs]
                r = compare({"lode": [[self.lode, "-m", "wasm32", *options, *bcs, "-o", out]],
                             "llc -O0, wasm-ld": [*([LLC, "-O0", "-filetype=obj", bc, "-o", o] for bc, o in zip(bcs, objects)), [WASM_LD, *options, *objects, "-o", self.path("t.wasm")]]}, self.a.runs)
                time_rows += [[title + ": " + t[0], *t[1:]] for t in timing_rows(r)]
        table("code section of WebAssembly modules, bytes (libc's functions imported)", ["bitcode", *columns, "lode / llc compressed", "both after wasm-opt"], rows)
        if not have("wasm-opt"):
            print("(wasm-opt is not installed: left out)")
        table("wasm MIR in the store", ["bitcode", "instructions", "bytes each", "with function records"], mir_rows)
        table("bitcode to WebAssembly module", TIMING, time_rows)

    def recorded_link(self, command):
        """The arguments that a compiler driver gives to its linker."""
        b = self.path("recorder")
        os.makedirs(b, exist_ok=True)
        with open(os.path.join(b, "ld"), "w") as f:
            f.write(f'#!/bin/bash\nprintf "%s\\0" "$@" > "{b}/arguments"\n')
        os.chmod(os.path.join(b, "ld"), 0o755)
        self.must([*command, "-B" + b])
        args = open(os.path.join(b, "arguments"), "rb").read().decode().split("\0")[:-1]
        # The plugin is gcc's for its own bitcode, which is not here.
        out, skip = [], False
        for x in args:
            if skip or x.startswith("-plugin-opt"):
                skip = False
            elif x == "-plugin":
                skip = True
            else:
                out.append(x)
        return out

    def large_links(self, cases):
        """LLVM's and clang's static libraries, linked into programs that compile something (bench/large)."""
        folder = "/usr/lib/llvm-19/lib"
        if not have("llvm-config-19") or not os.path.exists(folder + "/libLLVMCore.a"):
            print("(llvm-19-dev is not installed: the large links are left out)")
            return
        archives = lambda names: [f"{folder}/lib{n}.a" for n in names if os.path.exists(f"{folder}/lib{n}.a")]
        llvm = archives(l[2:] for l in sweep.run(["llvm-config-19", "--link-static", "--libs", "all"]).out.decode().split())
        clang = [os.path.join(folder, f) for f in sorted(os.listdir(folder)) if re.fullmatch(r"libclang[A-Z]\w*\.a", f)]
        system = ["-lrt", "-ldl", "-lm", "-lz", "-lzstd", "-ltinfo", "-lxml2"]
        solver = ["/usr/lib/x86_64-linux-gnu/libz3.so"]
        for name, source, flags, inputs in (("llc", "llc_like.cpp", ["-static"], [*llvm, *system, "-llzma", "-licuuc", "-licudata"]),
                                            ("clang", "clang_like.cpp", ["-pie"], [*clang, *llvm, *system, *solver])):
            if name == "clang" and not clang:
                print("(libclang-19-dev is not installed: the link of clang is left out)")
                continue
            o = self.path(source + ".o")
            self.must(["g++", "-c", "-O1", "-fPIE", "-fno-rtti", "-I/usr/lib/llvm-19/include", os.path.join(HERE, "large", source), "-o", o])
            for extra in ([], ["--gc-sections"], ["--gc-sections", "--icf=all"]):
                title = ", ".join([f"like {name}, {flags[0][1:] if flags[0] == '-static' else 'PIE'}", *extra])
                try:
                    cases[title] = self.recorded_link(["g++", *flags, o, "-Wl,--start-group", *inputs, "-Wl,--end-group", "-o", self.path("n")]) + extra
                except Failed as e:
                    print(f"{title}: {e}")

    def text(self):
        air = self.path("many.air")
        with open(air, "wb") as f:
            subprocess.run([sys.executable, os.path.join(HERE, "many_functions.py"), str(self.a.functions)], stdout=f, check=True)
        lodes = {"lode": self.lode} | ({"--old": self.a.old} if self.a.old else {})
        for what, command in (("lode air --verify", lambda l: [l, "air", air, "--verify"]), ("linked as a shared library", lambda l: [l, "-shared", air, "-o", self.path("many.so")]),
                              ("linked by one thread", lambda l: [l, "--threads=1", "-shared", air, "-o", self.path("many.so")])):
            table(f"AIR text of {self.a.functions} functions ({os.path.getsize(air) / 1e6:.1f} MB), {what}", TIMING, timing_rows(compare({n: [command(l)] for n, l in lodes.items()}, self.a.runs)))

    def link_(self):
        linkers = {"lode": [self.lode], "ld.lld": [LLD] if have(LLD) else None, "mold": ["mold", "--no-fork"] if have("mold") else None, "ld.bfd": ["ld.bfd"] if have("ld.bfd") else None}
        cases = {"SQLite, static": self.recorded_link(["gcc", "-static", *self.objects("O1", "clang"), "-lm", "-o", self.path("n")]),
                 "SQLite, PIE": self.recorded_link(["gcc", "-pie", *self.objects("O1", "clang"), "-lm", "-o", self.path("n")])}
        self.large_links(cases)
        for name, args in cases.items():
            def command(linker, label):
                copy = list(args)
                copy[copy.index("-o") + 1] = self.path("n." + label)
                return [linker + copy]
            results = compare({n: command(l, n) for n, l in linkers.items() if l}, self.a.runs)
            rows = timing_rows(results)
            for r in rows:
                p = self.path("n." + r[0])
                r.append(f"{os.path.getsize(p) / 1e6:.2f}" if os.path.exists(p) and r[1] != "failed" else "")
            table(f"native link: {name}", TIMING + ["output MB"], rows)


    def edits(self):
        program = os.path.join(os.path.dirname(self.a.lode), "edits_bench")
        if not os.path.exists(program):
            print("(edits_bench is not built: left out)")
            return
        rows = []
        for count in (20, 200):
            done = sweep.run([program, str(self.a.edits), str(count)], seconds=3600)
            if not done.ok():
                raise Failed(done.reason())
            first, each, tenth, half, last = done.out.decode().split()
            rows.append([f"{count} functions", first, each] + [f"{int(kib) / 1024:.1f}" for kib in (tenth, half, last)])
        table(f"edits: {self.a.edits} of them in one process, a flush each",
              ["", "first flush, cpu ms", "an edit, cpu ms", "MiB after 1/10", "after 1/2", "after all"], rows)

    def start(self):
        """Times of whole processes of a millisecond: started without a shell and waited for, so that nothing but fork, exec, the dynamic linker
        and the program itself is in them. The smallest of many runs says what it takes, the median what one gets here."""
        source = self.path("start.s")
        with open(source, "w") as f:
            f.write(".globl _start\n_start: mov $60, %eax\nxor %edi, %edi\nsyscall\n")
        subprocess.run(["as", source, "-o", self.path("start.o")], check=True)
        options = ["-pie", "--hash-style=gnu", "--eh-frame-hdr", "-m", "elf_x86_64", "-dynamic-linker", "/lib64/ld-linux-x86-64.so.2", "-z", "relro",
                   "--as-needed", "--gc-sections", "-L/usr/lib/x86_64-linux-gnu", "-L/usr/lib", "-o", self.path("start.out")]
        linkers = {n: t for n, t in {"lode": self.a.lode, "old lode": self.a.old, "ld.lld": shutil.which(LLD), "mold": shutil.which("mold")}.items() if t}
        contenders = {"true": [shutil.which("true")]}
        for n, t in linkers.items():
            contenders[n + " --version"] = [t, "--version"]
        for n, t in linkers.items():
            contenders[n + ", an input is missing"] = [t, *options, self.path("missing.o")]
        for n, t in linkers.items():
            contenders[n + ", smallest link"] = [t, "-o", self.path("start.out"), self.path("start.o")]
        quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, 1, 2)]
        wall, cpu = {n: [] for n in contenders}, {n: [] for n in contenders}
        for _ in range(self.a.starts):
            for n, c in contenders.items():
                begin = time.perf_counter()
                pid = os.posix_spawn(c[0], c, os.environ, file_actions=quiet)
                _, _, usage = os.wait4(pid, 0)
                wall[n].append((time.perf_counter() - begin) * 1000)
                cpu[n].append((usage.ru_utime + usage.ru_stime) * 1000)
        least, middle = {n: min(w) for n, w in wall.items()}, {n: statistics.median(w) for n, w in wall.items()}
        table(f"start: whole processes, {self.a.starts} of each", ["", "least ms", "above true", "median ms", "above true", "cpu ms"],
              [[n, f"{least[n]:.2f}", f"{least[n] - least['true']:.2f}", f"{middle[n]:.2f}", f"{middle[n] - middle['true']:.2f}",
                f"{statistics.median(cpu[n]):.2f}"] for n in contenders])

    def relink(self):
        relinks.run(self, table)

    def llvm_tool(self):
        """The line of LLVM's static libraries with a tool (bench/large), without the output, and the tool's object; or nothing."""
        if not have("llvm-config-19") or not os.path.exists("/usr/lib/llvm-19/lib/libLLVMCore.a"):
            print("(llvm-19-dev is not installed: relinks of LLVM are left out)")
            return None, None
        libraries = sweep.run(["llvm-config-19", "--link-static", "--libs", "all"]).out.decode().split()
        o = self.path("llc_like.o")
        self.must(["g++", "-c", "-O1", "-fPIE", "-fno-rtti", "-I/usr/lib/llvm-19/include", os.path.join(HERE, "large/llc_like.cpp"), "-o", o])
        system = ["-lrt", "-ldl", "-lm", "-lz", "-lzstd", "-ltinfo", "-lxml2"]
        return relinks.line_of(self, ["g++", "-pie", o, "-L/usr/lib/llvm-19/lib", "-Wl,--start-group", *libraries, "-Wl,--end-group", *system, "-o", self.path("n")]), o


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lode", default=os.path.join(TOP, "build/release/lode"))
    p.add_argument("--inputs", default=os.path.join(TOP, "build/inputs"))
    p.add_argument("--lua", help="checkout of Lua's source")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--only", default="start,compile,kept,edits,phases,runtime,size,wasm,text,link,relink")
    p.add_argument("--modules", default="20,200,2000", help="relink: sizes of the generated program, in files of 50 functions")
    p.add_argument("--programs", default="generated,sqlite,llvm,cargo", help="relink: which")
    p.add_argument("--relinks", type=int, default=9)
    p.add_argument("--functions", type=int, default=100000, help="text: how many functions")
    p.add_argument("--starts", type=int, default=200, help="start: how many of each")
    p.add_argument("--edits", type=int, default=20000, help="edits: how many")
    p.add_argument("--old", help="start, text: another lode to compare with")
    p.add_argument("--levels", default="O0,O1,O2", help="wasm: levels of the bitcode")
    p.add_argument("--each-kernel", action="store_true", help="wasm: a row for each kernel")
    a = p.parse_args()
    if not os.path.exists(a.lode):
        sys.exit(f"{a.lode}: no such linker; build it, or name it with --lode")
    if not set(a.only.split(",")) <= {"start", "edits", "text", "relink"} and not os.path.exists(os.path.join(a.inputs, "sqlite/sqlite3.c")):
        sys.exit(f"{a.inputs}/sqlite/sqlite3.c is not there: run scripts/fetch-sqlite.sh, or name the folder with --inputs")
    missing = [t for t in (CLANG, LLC, LLD, WASM_LD) if not have(t)]
    if missing:
        sys.exit("needed for comparison and not installed: " + ", ".join(missing))
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    print(f"{os.cpu_count()} x {model.group(1) if model else 'cpu'}, load {os.getloadavg()[0]:.1f}, medians of {a.runs}, {sweep.run([LLC, '--version']).out.decode().split('version')[1].split()[0]} for LLVM")
    b = Bench(a)
    try:
        for part in a.only.split(","):
            try:
                getattr(b, "link_" if part == "link" else part)()
            except Failed as e:
                print(f"\n{part}: {e}")
    finally:
        shutil.rmtree(b.temp, ignore_errors=True)


if __name__ == "__main__":
    main()
