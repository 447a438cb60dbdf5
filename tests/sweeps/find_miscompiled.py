#!/usr/bin/env python3
"""Finds the functions of a module that lode compiles to something else than LLVM does.

    find_miscompiled.py MODULE.bc [OTHER INPUTS...] [--expected FILE] [--args ...] [--lode LODE]

Both compile the whole module to an object whose functions are all global (llvm-extract sees to that). A program takes
each function from one of the two objects: those taken from the other are made weak there. So one try costs two runs of
objcopy, a link by ld.lld and a run, and some tens of tries name the function. --expected holds what the program must
print; without it, what the program of LLVM's object alone prints. For wasm32, whose objects
objcopy cannot change, the module is split for every try instead.
"""
import argparse
import os
import sys
import tempfile

import sweep
from sweep import run


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("module")
    p.add_argument("others", nargs="*", help="what else to link (bitcode is compiled by llc)")
    p.add_argument("--expected")
    p.add_argument("--args", default="", type=str.split, help="arguments of the program, one string")
    p.add_argument("--llc-level", default="-O1")
    p.add_argument("--target", choices=["x86_64", "wasm32"], default="x86_64")
    p.add_argument("--route", choices=["object", "exe"], default="object",
                   help="exe: lode links the bitcode of its share of the functions with the object of all")
    sweep.add_common_arguments(p)
    a = p.parse_args()
    target = sweep.Target(a.target)
    wasm = sweep.WasmRunner(1) if target.wasm else None
    temp = tempfile.mkdtemp(prefix="lode-bisect-")
    path = lambda n: os.path.join(temp, n)

    def must(command, seconds=300):
        r = run(command, seconds)
        if not r.ok():
            sys.exit(f"{command[0]}: {r.reason()}")
        return r.out.decode()

    def llc(bc, o):
        must(["llc-19", a.llc_level, "-filetype=obj", *([] if wasm else ["-relocation-model=pic"]), "-function-sections", bc, "-o", o])

    # Of functions, data and aliases: those that the module has (a pattern without a match is an error).
    extract = ["llvm-extract-19", "--rfunc=.*", "--rglob=.*", a.module, "-o", path("m.bc")]
    run(extract[:3] + ["--ralias=.*"] + extract[3:]).ok() or run(extract).ok() or must(extract[:2] + extract[3:])
    llc(path("m.bc"), path("llvm.o"))
    if a.route == "object" and not wasm:
        must([os.path.abspath(a.lode), "-r", path("m.bc"), "-o", path("lode.o")])
    others = []
    for o in a.others:
        with open(o, "rb") as f:
            if f.read(2) == b"BC":
                llc(o, path(f"other{len(others)}.o"))
                others.append(path(f"other{len(others)}.o"))
            else:
                others.append(os.path.abspath(o))
    functions, data = [], []
    for line in must(["llvm-nm-19", "--defined-only", path("llvm.o")]).splitlines():
        _, kind, name = line.split(maxsplit=2)
        (functions if kind in "TWtw" else data).append(name) if kind.isupper() or kind == "w" else None

    tries = 0

    def weakened(which, names):
        with open(path("names"), "w") as f:
            f.write("\n".join(names) + "\n")
        must(["objcopy", "--weaken-symbols=" + path("names"), path(which + ".o"), path(which + ".w.o")])
        return path(which + ".w.o")

    def execute():
        return wasm.run(path("program"), a.timeout) if wasm else run([path("program"), *a.args], a.timeout)

    def wasm_program(from_lode):
        inputs = others + [target.stack_guard_stub(temp)]
        with open(path("share"), "w") as f:
            f.write("\n".join("--func=" + n for n in from_lode))
        if from_lode:
            must(["llvm-extract-19", "@" + path("share"), path("m.bc"), "-o", path("share.bc")])
            must([os.path.abspath(a.lode), "-m", "wasm32", "-r", path("share.bc"), "-o", path("share.o")])
            must(["llvm-extract-19", "--delete", "@" + path("share"), path("m.bc"), "-o", path("rest.bc")])
            inputs.append(path("share.o"))
        llc(path("rest.bc" if from_lode else "m.bc"), path("rest.o"))
        must(["wasm-ld-19", *target.static_link(inputs + [path("rest.o")], path("program"))])
        return execute()

    def program(from_lode):
        if wasm:
            return wasm_program(from_lode)
        if a.route == "exe":
            share = []
            if from_lode:
                with open(path("share"), "w") as f:
                    f.write("\n".join("--func=" + n for n in from_lode))
                must(["llvm-extract-19", "@" + path("share"), path("m.bc"), "-o", path("share.bc")])
                share = [path("share.bc")]
            must([os.path.abspath(a.lode), *target.static_link([*share, weakened("llvm", from_lode), *others], path("program"))])
            return execute()
        rest = [f for f in functions if f not in from_lode]
        objects = [weakened("lode", rest + data), weakened("llvm", from_lode)]
        must(["ld.lld-19", *target.static_link(objects + others, path("program"))])
        return execute()

    expected = open(a.expected, "rb").read() if a.expected else None
    first = program(set())
    if expected is None:
        expected = first.out
    if first.out != expected or first.status != 0:
        sys.exit(f"the program of LLVM's object alone is not as expected: {first.reason()}")

    def bad(names):
        nonlocal tries
        tries += 1
        r = program(set(names))
        return r.status != 0 or r.out != expected

    culprits, candidates = [], functions
    while bad(candidates):
        # The shortest prefix that is bad ends with a culprit, given the ones before it.
        low, high = 0, len(candidates)
        while high - low > 1:
            middle = (low + high) // 2
            if bad(candidates[:middle]):
                high = middle
            else:
                low = middle
        culprit = candidates[high - 1]
        alone = bad([culprit])
        print(f"{culprit}{'' if alone else ' (only together with others)'}", flush=True)
        culprits.append(culprit)
        candidates = [f for f in candidates if f != culprit]
        if len(culprits) == 20:
            break
    if wasm:
        wasm.close()
    print(f"{len(culprits)} of {len(functions)} functions, {tries} tries; objects are in {temp}")
    sys.exit(1 if culprits else 0)


if __name__ == "__main__":
    main()
