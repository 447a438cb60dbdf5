#!/usr/bin/env python3
"""lode as the linker of the compiler drivers: builds a folder of small programs with gcc and with clang, with -static, as
PIE and not, as static PIE, as a shared library that is opened at run time, with lode as the driver's linker (clang: --ld-path,
gcc: -B with lode named ld), runs them and compares status and output with what the system's linker makes of the same.

    native.py [FOLDER] --lode LODE        (default folder: tests/programs/c; *.c, and *.cpp with g++ and clang++)

clang also goes through -flto: then it is bitcode that reaches the linker. A first line `// flags: ...` in a program gives
options for every build.
"""
import argparse
import os
import shutil
import sys
import tempfile
import threading

import sweep
from sweep import content_key, run
from torture import flags_of


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?", default=os.path.join(sweep.TOP, "tests/programs/c"))
    p.add_argument("--compilers", default="gcc,clang", help="of gcc, clang, clang-flto")
    p.add_argument("--level", default="O1")
    sweep.add_common_arguments(p)
    a = p.parse_args()
    a.lode = os.path.abspath(a.lode)
    clang = [sweep.CLANG, sweep.CLANG.replace("clang", "clang++")] if "clang" in a.compilers else []
    sweep.needs("gcc", "g++", *clang)
    temp = tempfile.mkdtemp(prefix="lode-native-")
    b = os.path.join(temp, "bin")
    os.mkdir(b)
    os.symlink(a.lode, os.path.join(b, "ld"))
    programs = sorted(f for f in os.listdir(a.folder) if f.endswith((".c", ".cpp")))
    drivers = {"gcc": ("gcc", "g++", ["-B" + b], []), "clang": (sweep.CLANG, sweep.CLANG.replace("clang", "clang++"), ["--ld-path=" + a.lode], []),
               "clang-flto": (sweep.CLANG, sweep.CLANG.replace("clang", "clang++"), ["--ld-path=" + a.lode], ["-flto"])}
    ways = {"static": ["-static"], "pie": ["-pie", "-fPIE"], "no-pie": ["-no-pie", "-fno-pie"], "gc": ["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"],
            "static-pie": ["-static-pie", "-fPIE"], "static-pie-norelax": ["-static-pie", "-fPIE"],
            "pie-now": ["-pie", "-fPIE", "-Wl,-z,now,-z,pack-relative-relocs,--hash-style=both"], "dlopen": ["-shared", "-fPIC"]}
    # Asked of lode alone: GNU ld does not fold, and its static PIE without relaxation does not start.
    own = {"gc": ["-Wl,--icf=safe"], "static-pie-norelax": ["-Wl,--no-relax"]}
    with open(os.path.join(temp, "open.c"), "w") as f:
        f.write("""#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char** argv, char** env) {
  void* library = dlopen(argv[1], RTLD_NOW);
  if (!library) return fprintf(stderr, "%s\\n", dlerror()), 99;
  return ((int (*)(int, char**, char**))dlsym(library, "main"))(argc - 1, argv + 1, env);
}
""")
    opener = os.path.join(temp, "open")
    if not run(["gcc", os.path.join(temp, "open.c"), "-o", opener, "-pthread"], 60).ok():
        sys.exit("cannot build the program that opens libraries")

    cache = sweep.Cache(a.cache)

    # The object and the expected outcome are the compiler's and the system linker's: they are kept from sweep to sweep.
    def compiled(command, source):
        key = cache.key("native object", content_key(source), *(c for c in command if c != source))
        o = cache.file(key, ".o")
        if not os.path.exists(o):
            unfinished = cache.file(key, f".{threading.get_ident()}.tmp.o")
            if not run([*command, "-c", "-o", unfinished], 120).ok():
                return key, None
            os.replace(unfinished, o)
        return key, o

    def one(job):
        program, compiler, way = job
        cc, cxx, use, extra = drivers[compiler]
        name = f"{program} {compiler} {way}"
        source = os.path.join(a.folder, program)
        base = os.path.join(temp, name.replace(" ", "."))
        flags = flags_of(source)
        driver = cxx if program.endswith(".cpp") else cc
        compile_command = [driver, "-" + a.level, "-w", source, *(f for f in flags + ways[way] if not f.startswith(("-l", "-Wl,", "-static", "-pie", "-shared", "-no-pie")))]
        libraries = [*(f for f in flags if f.startswith("-l")), "-lm", "-pthread"]
        start = [opener] if way == "dlopen" else []
        key, o = compiled(compile_command, source)
        if not o:
            return None
        key = cache.key("native outcome", key, way, *ways[way], *libraries)
        expected = cache.get(key)
        if not expected:
            if not run([driver, o, *ways[way], *libraries, "-o", base + ".ref"], 60).ok():
                return None
            r = run([*start, base + ".ref"], a.timeout)
            expected = {"status": r.status, "out": r.out.hex(), "reason": r.reason()}
            cache.put(key, expected)
            os.unlink(base + ".ref")
        if extra:
            _, o = compiled(compile_command + extra, source)
        r = run([driver, o, *ways[way], *extra, *own.get(way, []), *use, *libraries, "-o", base + ".lode"], 60)
        if not r.ok():
            return name, "link: " + r.reason()
        got = run([*start, base + ".lode"], a.timeout)
        os.unlink(base + ".lode")
        if (got.status, got.out.hex()) != (expected["status"], expected["out"]):
            return name, f"run: {got.reason()}, expected {expected['reason']}, output {'equal' if got.out.hex() == expected['out'] else 'differs'}"
        return name, None

    jobs = [(program, c, w) for c in a.compilers.split(",") for w in ways for program in programs]
    results = [r for r in sweep.parallel(one, jobs, a.jobs, "native") if r]
    shutil.rmtree(temp, ignore_errors=True)
    out = a.out or os.path.join(sweep.TOP, "build/sweeps", "native.txt")
    sys.exit(sweep.report("native links", results, out))


if __name__ == "__main__":
    main()
