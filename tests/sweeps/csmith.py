#!/usr/bin/env python3
"""Random programs by csmith: what lode makes of clang's bitcode must print the checksum that clang's own build prints.

    csmith.py --seeds 1-300 --level O0|O1|... [--target x86_64|riscv64] [--route exe|dynamic|object]

Programs that clang's build does not finish within five seconds do not count.
"""
import argparse
import os
import sys
import tempfile

import sweep
from sweep import CLANG, run


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", default="1-300", help="first-last")
    p.add_argument("--target", choices=["x86_64", "riscv64", "wasm32"], default="x86_64")
    p.add_argument("--level", default="O0")
    p.add_argument("--route", choices=["exe", "dynamic", "object"], default="exe")
    p.add_argument("--linker", help="object route: the linker that finishes")
    p.add_argument("--csmith", default="", help="more options for csmith, one string", type=str.split)
    p.add_argument("--include", default="/usr/include/csmith")
    sweep.add_common_arguments(p)
    a = p.parse_args()
    a.lode = os.path.abspath(a.lode)
    first, _, last = a.seeds.partition("-")
    target = sweep.Target(a.target)
    cache = sweep.Cache(a.cache)
    temp = tempfile.mkdtemp(prefix="lode-csmith-")
    wasm = sweep.WasmRunner(a.jobs) if target.wasm else None
    extra = [target.stack_guard_stub(cache.path)] if target.wasm else []
    linker = a.linker or ("wasm-ld-19" if target.wasm else "ld.lld-19")
    flags = target.clang_flags + ["-" + a.level, "-w", "-I" + a.include]

    def execute(program, seconds):
        return wasm.run(program, seconds) if wasm else run(target.runner + [program], seconds)

    def one(seed):
        key = cache.key("csmith", CLANG, flags, a.csmith, seed)
        bitcode = cache.file(key, ".o")
        known = cache.get(key)
        if not known or (known["out"] is not None and not os.path.exists(bitcode)):
            c, program = cache.file(key, ".c"), os.path.join(temp, key)
            native = program + ".o"
            out = None
            if run(["csmith", "--seed", str(seed), "--output", c, *a.csmith], cwd=temp).ok() and \
                    run([CLANG, *flags, "-emit-llvm", "-c", c, "-o", bitcode], 60).ok() and \
                    run([CLANG, *flags, "-c", c, "-o", native], 60).ok() and \
                    run([linker if wasm else "ld.lld-19", *target.static_link([native, *extra], program)]).ok():
                r = execute(program, 5)
                out = r.out.decode("latin-1") if r.ok() else None
            known = {"out": out, "seed": seed}
            cache.put(key, known)
        if known["out"] is None:
            return None
        name, program = f"seed {seed}", os.path.join(temp, f"{seed}.exe")
        if a.route == "object":
            o = program + ".o"
            steps = [("lode", [a.lode, "-m", target.emulation, "-r", bitcode, "-o", o]),
                     (linker, [linker, *target.static_link([o, *extra], program)])]
        elif a.route == "dynamic":
            steps = [("lode", [a.lode, *target.dynamic_link([bitcode], program)])]
        else:
            steps = [("lode", [a.lode, *(["-m", "wasm32"] if wasm else []), *target.static_link([bitcode, *extra], program)])]
        for who, command in steps:
            r = run(command, 60)
            if not r.ok():
                return name, f"{who}: {r.reason()}"
        r = execute(program, 40)
        for f in (program, program + ".o"):
            if os.path.exists(f):
                os.unlink(f)
        if not r.ok():
            return name, f"run: {r.reason()}"
        if r.out.decode("latin-1") != known["out"]:
            return name, f"wrong checksum: {r.out.decode('latin-1').strip()} instead of {known['out'].strip()}"
        return name, None

    seeds = list(range(int(first), int(last or first) + 1))
    results = [r for r in sweep.parallel(one, seeds, a.jobs, "csmith") if r]
    if wasm:
        wasm.close()
    out = a.out or os.path.join(sweep.TOP, "build/sweeps", f"csmith-{a.target}-{a.level}-{a.route}.txt")
    print(f"{len(seeds)} seeds, of which clang's build finishes {len(results)}")
    sys.exit(sweep.report(f"csmith {a.target} -{a.level} {a.route}", results, out))


if __name__ == "__main__":
    main()
