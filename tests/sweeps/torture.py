#!/usr/bin/env python3
"""Runs a folder of self-checking C programs (exit status 0: pass), as gcc-c-torture's execute folder, through lode.

    torture.py FOLDER --target x86_64|riscv64|wasm32 --level O0|O1|O2|... --route exe|dynamic|object|native|freestanding

Only programs that clang-19 itself compiles and passes at that level count, and not those which the folder's own
CMakeLists.txt lists as not for clang (--all: those too). They are compiled with
    clang-19 -c -emit-llvm -<level> -w -std=gnu89 -fno-strict-aliasing -fwrapv
and go one of these routes:
    exe           lode links the bitcode statically with libc
    dynamic       lode links the bitcode as a PIE with the shared libc
    object        lode -r makes an object file, another linker (--linker, default ld.lld-19 or wasm-ld-19) links it with libc
    native        clang makes a native object, lode links it statically with libc
    freestanding  (wasm) lode links the bitcode with a tiny libc in bitcode, for programs that need no more
Failures and why go to --out (default build/sweeps/torture-TARGET-LEVEL-ROUTE.txt); exit status 1 if there are any.
"""
import argparse
import os
import random
import re
import sys
import tempfile

import sweep
from sweep import CLANG, run

C_FLAGS = ["-w", "-fno-strict-aliasing", "-fwrapv"]


def skip_list(folder):
    """Programs that the suite's CMakeLists.txt says clang cannot build or pass: the first two lists in it."""
    path = os.path.join(folder, "CMakeLists.txt")
    if not os.path.exists(path):
        return set()
    text = open(path).read()
    names = set()
    for variable in ("UnsupportedTests", "FailingTests"):
        m = re.search(r"file\(GLOB " + variable + r" CONFIGURE_DEPENDS(.*?)^\)", text, re.S | re.M)
        if m:
            names.update(re.findall(r"^\s+([\w.-]+\.c)\b", re.sub(r"\n\s*#[^\n]*", "\n", m.group(1)), re.M))
    return names


def flags_of(source):
    """Flags that a program asks for in a first line `// flags: ...`."""
    with open(source, errors="replace") as f:
        m = re.match(r"// flags: (.*)", f.readline())
    return m.group(1).split() if m else []


class Torture:
    def __init__(self, args):
        self.a = args
        self.target = sweep.Target(args.target)
        sweep.needs(*self.target.tools(), *([args.linker] if args.linker else []))
        self.cache = sweep.Cache(args.cache)
        self.flags = self.target.clang_flags + ["-" + args.level, "-std=" + args.std] + args.cflags
        self.wasm = sweep.WasmRunner(args.jobs) if self.target.wasm else None
        self.temp = tempfile.mkdtemp(prefix="lode-torture-")
        self.linker = args.linker or ("wasm-ld-19" if self.target.wasm else "ld.lld-19")
        self.extra = [self.target.stack_guard_stub(self.cache.path)] if self.target.wasm else []
        if args.route == "freestanding":
            self.runtime = os.path.join(self.temp, "runtime.bc")
            r = run([CLANG, *self.target.clang_flags, "-O1", "-c", "-emit-llvm", "-fno-builtin",
                     os.path.join(sweep.HERE, "freestanding.c"), "-o", self.runtime])
            if not r.ok():
                sys.exit("freestanding.c: " + r.reason())

    def execute(self, program):
        if self.wasm:
            return self.wasm.run(program, self.a.timeout)
        return run(self.target.runner + [program], self.a.timeout, cwd=self.temp)

    def prepare(self, source):
        """clang's verdict and its bitcode (or native object), from the cache where they are known."""
        key = self.cache.key(CLANG, self.flags, C_FLAGS, sweep.content_key(source), self.a.route in ("native", "freestanding") and self.a.route)
        kept = self.cache.file(key, ".o")
        known = self.cache.get(key)
        if known and (not known["pass"] or os.path.exists(kept)):
            return known["pass"], kept
        program = os.path.join(self.temp, key)
        flags = self.flags + C_FLAGS + flags_of(source)
        emit = [] if self.a.route == "native" else ["-emit-llvm"]
        ok = run([CLANG, *flags, *emit, "-c", source, "-o", kept], 60).ok()
        if ok and self.a.route == "freestanding":
            native = kept + ".n.o"
            ok = run([CLANG, *flags, "-c", source, "-o", native], 60).ok() and \
                run([CLANG, *self.target.clang_flags, "-c", "-O1", "-x", "ir", self.runtime, "-o", program + ".r.o"]).ok() and \
                run(["wasm-ld-19", native, program + ".r.o", "-o", program]).ok()
            if os.path.exists(native):
                os.unlink(native)
        elif ok:
            native = program + ".o"
            ok = run([CLANG, *flags, "-c", source, "-o", native], 60).ok() and \
                run(["wasm-ld-19" if self.wasm else "ld.lld-19", *self.target.static_link([native, *self.extra], program)], 60).ok()
        ok = ok and self.execute(program).ok()
        for f in (program, program + ".o", program + ".r.o"):
            if os.path.exists(f):
                os.unlink(f)
        if not ok and os.path.exists(kept):
            os.unlink(kept)
        self.cache.put(key, {"pass": ok, "source": os.path.basename(source)})
        return ok, kept

    def one(self, source):
        """None if clang itself does not pass, otherwise (name, reason of failure or None)."""
        passes, bitcode = self.prepare(source)
        if not passes:
            return None
        name = os.path.basename(source)
        program = os.path.join(self.temp, name + ".exe")
        lode = [self.a.lode]
        route = self.a.route
        steps = []
        if route == "object":
            o = program + ".o"
            steps.append((lode + ["-m", self.target.emulation, "-r", bitcode, "-o", o], "lode"))
            steps.append(([self.linker, *self.target.static_link([o, *self.extra], program)], self.linker))
        elif route == "dynamic":
            steps.append((lode + self.target.dynamic_link([bitcode], program), "lode"))
        elif route == "freestanding":
            steps.append((lode + ["-m", self.target.emulation, bitcode, self.runtime, "-o", program], "lode"))
        else:
            link = self.target.static_link([bitcode, *self.extra], program)
            steps.append((lode + (["-m", "wasm32"] if self.wasm else []) + link, "lode"))
        reason = None
        for command, who in steps:
            r = run(command, 60)
            if not r.ok():
                reason = f"{who}: {r.reason()}"
                break
        if not reason:
            r = self.execute(program)
            reason = None if r.ok() else f"run: {r.reason()}"
        if not (reason and self.a.keep):
            for f in (program, program + ".o"):
                if os.path.exists(f):
                    os.unlink(f)
        return name, reason


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--target", choices=["x86_64", "riscv64", "wasm32"], default="x86_64")
    p.add_argument("--level", default="O0")
    p.add_argument("--route", choices=["exe", "dynamic", "object", "native", "freestanding"], default="exe")
    p.add_argument("--linker", help="object route: the linker that finishes (ld.lld-19, ld.bfd, mold, wasm-ld-19)")
    p.add_argument("--std", default="gnu89")
    p.add_argument("--cflags", default="", help="more flags for clang, one string", type=str.split)
    p.add_argument("--all", action="store_true", help="ignore the folder's own list of programs that are not for clang")
    p.add_argument("--only", help="regular expression on names")
    p.add_argument("--sample", type=int, help="this many programs, chosen by --seed")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--keep", action="store_true", help="keep the programs that fail, and say where")
    sweep.add_common_arguments(p)
    a = p.parse_args()
    a.lode = os.path.abspath(a.lode)
    if not os.path.exists(a.lode):
        sys.exit(f"{a.lode}: no such linker; build it, or name it with --lode")
    folders = [a.folder] + [f for f in (os.path.join(a.folder, "ieee"),) if os.path.isdir(f)]
    sources = []
    for folder in folders:
        skip = set() if a.all else skip_list(folder)
        sources += [os.path.join(folder, n) for n in sorted(os.listdir(folder)) if n.endswith(".c") and n not in skip]
    if a.only:
        sources = [s for s in sources if re.search(a.only, os.path.basename(s))]
    if a.sample:
        sources = sorted(random.Random(a.seed).sample(sources, min(a.sample, len(sources))))
    t = Torture(a)
    results = [r for r in sweep.parallel(t.one, sources, a.jobs, "torture") if r]
    if t.wasm:
        t.wasm.close()
    if a.keep:
        print(f"kept in {t.temp}")
    else:
        import shutil
        shutil.rmtree(t.temp, ignore_errors=True)
    out = a.out or os.path.join(sweep.TOP, "build/sweeps", f"torture-{a.target}-{a.level}-{a.route}.txt")
    print(f"{len(sources)} programs, of which clang passes {len(results)}")
    if sources and not results:
        sys.exit("nothing was compared")
    sys.exit(sweep.report(f"torture {a.target} -{a.level} {a.route}", results, out))


if __name__ == "__main__":
    main()
