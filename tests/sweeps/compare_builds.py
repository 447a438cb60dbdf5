#!/usr/bin/env python3
"""Two builds of lode write the same bytes: links a corpus with both and compares.

    compare_builds.py OLD NEW [--inputs build/inputs] [--jobs N] [--keep FOLDER] [--extra-new OPTION...]

The corpus: SQLite and its driver as bitcode at -O0 and -O1 (static, PIE, shared, -r) and as native objects; the project's C, C++ and
exception samples as bitcode and as objects; LLVM's static libraries with a tool, where they are installed; and for wasm, SQLite and the
samples, as executables and with -r. Every link is made with the same options, names and number of threads. --extra-new adds options to the links
of NEW alone: with --extra-new=--mir-cache=FOLDER the second of two runs compares what was taken from the cache with what OLD makes.

What is not there (a package, SQLite) is named and left out. Fails if a link ends differently, or its output differs.
"""
import argparse
import glob
import hashlib
import os
import shutil
import sys
import tempfile

import sweep
from sweep import CLANG, TOP, run

SQLITE_FLAGS = ["-w", "-DSQLITE_ENABLE_MATH_FUNCTIONS", "-DSQLITE_OMIT_LOAD_EXTENSION"]
WASI_FLAGS = ["--target=wasm32-wasi", "-DSQLITE_THREADSAFE=0", "-D_WASI_EMULATED_GETPID", "-D_WASI_EMULATED_MMAN", "-D_WASI_EMULATED_SIGNAL"]


class Corpus:
    def __init__(self, a, temp):
        self.a, self.temp = a, temp
        self.links = []  # (title, flavor, arguments)

    def compile(self, source, flags, name):
        out = os.path.join(self.temp, name)
        r = run([CLANG, "-c", source, "-o", out, *flags], 300)
        return out if r.ok() else None

    def kinds(self, title, inputs, libraries=("-lm",)):
        x86 = sweep.Target("x86_64")
        if not all(inputs):
            return
        self.links.append((title + " static", [], x86.static_link([*inputs, *libraries], "OUT")))
        self.links.append((title + " PIE", [], x86.dynamic_link([*inputs, *libraries], "OUT")))
        self.links.append((title + " shared", [], ["-shared", "--unresolved-symbols=ignore-all", *inputs, "-o", "OUT"]))
        self.links.append((title + " -r", [], ["-r", *inputs, "-o", "OUT"]))

    def sqlite(self):
        folder = os.path.join(self.a.inputs, "sqlite")
        if not os.path.exists(folder + "/sqlite3.c"):
            print("(SQLite is not there, scripts/fetch-sqlite.sh fetches it: left out)")
            return
        sources = [os.path.join(TOP, "examples/sqlite/driver.c"), folder + "/sqlite3.c"]
        for level in ("-O0", "-O1"):
            for kind, flags in (("bitcode", ["-emit-llvm"]), ("objects", ["-ffunction-sections", "-g"])):
                made = [self.compile(s, [level, "-fPIC", "-I" + folder, *SQLITE_FLAGS, *flags], f"{os.path.basename(s)}{level}.{kind}") for s in sources]
                self.kinds(f"SQLite {level} {kind}", made)
            made = [self.compile(s, [level, "-I" + folder, *SQLITE_FLAGS, *WASI_FLAGS, "-emit-llvm"], f"{os.path.basename(s)}{level}.wasm.bc") for s in sources]
            self.wasm(f"SQLite {level} wasm", made)

    def wasm(self, title, inputs):
        if not all(inputs):
            return
        try:
            arguments = sweep.Target("wasm32").static_link(inputs, "OUT")
        except Exception as e:  # no wasi-libc
            print(f"({title}: {e}: left out)")
            return
        self.links.append((title, ["-flavor", "wasm"], arguments))
        self.links.append((title + " -r", ["-flavor", "wasm"], ["-r", *inputs, "-o", "OUT"]))

    def samples(self):
        for source in sorted(glob.glob(os.path.join(TOP, "tests/programs/c/*.c"))):
            name = os.path.basename(source)
            for level in ("-O0", "-O2"):
                self.kinds(f"{name} {level} bitcode", [self.compile(source, ["-w", "-std=gnu11", level, "-fPIC", "-emit-llvm"], f"{name}{level}.bc")])
                self.wasm(f"{name} {level} wasm", [self.compile(source, ["-w", "-std=gnu11", level, "--target=wasm32-wasi", "-emit-llvm"], f"{name}{level}.wasm.bc")])
            self.kinds(f"{name} objects", [self.compile(source, ["-w", "-std=gnu11", "-O1", "-fPIC", "-g"], f"{name}.o")])
        for source in sorted(glob.glob(os.path.join(TOP, "tests/programs/exceptions/*.cpp"))):
            name = os.path.basename(source)
            for level in ("-O0", "-O2"):
                made = self.compile(source, ["-w", "-std=c++20", level, "-fPIC", "-emit-llvm"], f"{name}{level}.bc")
                self.kinds(f"{name} {level} bitcode", [made], ("-lstdc++", "-lm", "-lgcc", "-lgcc_eh"))

    def large(self):
        archives = sorted(glob.glob("/usr/lib/llvm-19/lib/libLLVM*.a"))
        source = os.path.join(TOP, "bench/large/llc_like.cpp")
        if not archives:
            print("(llvm-19-dev is not installed: LLVM's static libraries are left out)")
            return
        o = os.path.join(self.temp, "llc_like.o")
        if run(["g++", "-c", "-O1", "-fPIE", "-fno-rtti", "-I/usr/lib/llvm-19/include", source, "-o", o], 300).ok():
            for extra in ([], ["--gc-sections", "--icf=all"]):
                self.links.append((f"LLVM's libraries {extra}", [], ["-shared", "--unresolved-symbols=ignore-all", *extra, o, "--start-group", *archives, "--end-group", "-o", "OUT"]))


def link(lode, flavor, arguments, out, extra):
    arguments = [out if x == "OUT" else x for x in arguments]
    r = run([lode, *flavor, *arguments, *extra], 300, memory=0)
    digest = ""
    if os.path.exists(out):
        with open(out, "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
    return (r.status, r.err, digest)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("old")
    p.add_argument("new")
    p.add_argument("--inputs", default=os.path.join(TOP, "build/inputs"))
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    p.add_argument("--keep", help="put the outputs that differ there, as N.old and N.new")
    p.add_argument("--extra-new", action="append", default=[])
    a = p.parse_args()
    temp = tempfile.mkdtemp(prefix="lode-compare-")
    corpus = Corpus(a, temp)
    corpus.sqlite()
    corpus.samples()
    corpus.large()

    def compare(item):
        number, (title, flavor, arguments) = item
        folders = [os.path.join(temp, f"{number}.{side}") for side in ("old", "new")]
        for f in folders:
            os.mkdir(f)
        # The same name on both sides: wasm modules may hold it.
        results = [link(os.path.abspath(lode), flavor, arguments, os.path.join(folder, "out"), extra)
                   for lode, folder, extra in zip((a.old, a.new), folders, ([], a.extra_new))]
        differs = results[0][0] != results[1][0] or results[0][2] != results[1][2]
        if differs and a.keep:
            os.makedirs(a.keep, exist_ok=True)
            for side, folder in zip(("old", "new"), folders):
                if os.path.exists(folder + "/out"):
                    shutil.copy(folder + "/out", os.path.join(a.keep, f"{number}.{side}"))
        for f in folders:
            shutil.rmtree(f)
        return title, differs, results

    results = sweep.parallel(compare, list(enumerate(corpus.links)), a.jobs, "links")
    shutil.rmtree(temp)
    different = [r for r in results if r[1]]
    for title, _, (old, new) in different:
        print(f"{title}: {'status ' + str(old[0]) + ' and ' + str(new[0]) if old[0] != new[0] else 'the outputs differ'}")
        for side in (old, new):
            if side[0]:
                print("  " + side[1].decode("utf-8", "replace").splitlines()[0][:200] if side[1] else "")
    failed = sum(1 for r in results if r[2][0][0] and r[2][1][0])
    print(f"{len(results)} links, {len(results) - len(different)} equal ({failed} of them refused by both), {len(different)} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
