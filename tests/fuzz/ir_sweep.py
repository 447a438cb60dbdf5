#!/usr/bin/env python3
"""Modules of LLVM IR, made (ir_generate.py) and changed as text, through whole links for x86_64 and wasm.

    ir_sweep.py --fuzzer build/asan/fuzz/ir_link_fuzzer [--seeds 1-1000] [--minutes N] [--clang] [--keep FOLDER]

What llvm-as accepts, a link must take to its end or refuse by name. Changes are those that a verifier often lets pass: types and
widths all over a function, constants at boundaries, opcodes, predicates, operands, flags, attributes, conventions, alignment, orderings,
lines dropped and doubled. Seeds are the generator's, tests/fuzz/seeds/ir/*.ll and, with --clang, the project's sample programs as
clang-19 translates them. A wasm module that came out is validated by node.

Fails with the names of the modules that crash, hang or are invalid; they are kept in --keep. What a run does depends on --seeds only.
"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ir_generate

HERE = Path(__file__).resolve().parent
BATCH = 24

VALIDATE = """
const fs = require('fs');
for (const f of fs.readdirSync(process.argv[2])) {
  const bytes = fs.readFileSync(process.argv[2] + '/' + f);
  if (!WebAssembly.validate(bytes)) {
    let why = '';
    try { new WebAssembly.Module(bytes); } catch (e) { why = e.message; }
    console.log(f, why);
  }
}
"""

SWAPS = [
    ["add", "sub", "mul", "and", "or", "xor", "shl", "lshr", "ashr", "udiv", "sdiv", "urem", "srem"],
    ["fadd", "fsub", "fmul", "fdiv", "frem"],
    ["eq", "ne", "ugt", "uge", "ult", "ule", "sgt", "sge", "slt", "sle"],
    ["oeq", "ogt", "oge", "olt", "ole", "one", "ord", "ueq", "une", "uno"],
    ["zext", "sext", "trunc"], ["sitofp", "uitofp"], ["fptosi", "fptoui"],
    ["llvm.umax", "llvm.umin", "llvm.smax", "llvm.smin", "llvm.uadd.sat", "llvm.sadd.sat", "llvm.usub.sat", "llvm.ssub.sat"],
    ["llvm.sqrt", "llvm.fabs", "llvm.floor", "llvm.ceil", "llvm.trunc", "llvm.rint", "llvm.round", "llvm.sin"],
    ["monotonic", "acquire", "release", "acq_rel", "seq_cst"],
    ["private", "internal", "weak", "linkonce_odr", "common", "external", "available_externally", "weak_odr", "linkonce"],
    ["hidden", "protected", "default", "dso_local"],
]


def pick_line(r, lines, wanted):
    found = [i for i, l in enumerate(lines) if wanted(l)]
    return r.choice(found) if found else None


def change_types(r, text):
    """One integer or float type becomes another, in one function or everywhere, the names of intrinsics with it."""
    present = sorted(set(re.findall(r"\bi\d+\b", text)))
    if not present:
        return text
    old = r.choice(present)
    new = f"i{r.choice(ir_generate.WIDTHS)}"
    return re.sub(rf"\b{old}\b", new, text)


def change_lanes(r, text):
    present = sorted(set(re.findall(r"<(\d+) x ", text)))
    if not present:
        return re.sub(r"\bfloat\b", r.choice(["double", "half", "fp128"]), text) if r.random() < 0.5 else text
    old, new = r.choice(present), str(r.choice(ir_generate.LANES))
    text = re.sub(rf"<{old} x ", f"<{new} x ", text)
    return re.sub(rf"\.v{old}([if])", rf".v{new}\1", text)


def change_number(r, text):
    places = [m for m in re.finditer(r"(?<=[ ,(])-?\d+(?=[,\s)\]])", text)]
    if not places:
        return text
    m = r.choice(places)
    width = r.choice([1, 8, 16, 31, 32, 33, 63, 64])
    value = r.choice([0, 1, -1, 1 << width, (1 << width) - 1, -(1 << width), int(m.group()) + 1, int(m.group()) - 1, r.randrange(64)])
    return text[:m.start()] + str(value) + text[m.end():]


def change_word(r, text):
    group = r.choice(SWAPS)
    places = [m for m in re.finditer(r"(?<![\w.%@])(?:" + "|".join(re.escape(w) for w in group) + r")(?![\w])", text)]
    if not places:
        return text
    m = r.choice(places)
    return text[:m.start()] + r.choice(group) + text[m.end():]


def swap_operands(r, text):
    lines = text.split("\n")
    i = pick_line(r, lines, lambda l: len(re.findall(r"%[\w.]+", l)) > 2)
    if i is None:
        return text
    names = re.findall(r"%[\w.]+", lines[i])
    a, b = r.sample(names[1:], 2)
    lines[i] = re.sub(r"%[\w.]+", lambda m: b if m.group() == a else a if m.group() == b else m.group(), lines[i])
    return "\n".join(lines)


def other_operand(r, text):
    """A value is replaced by another one of the function."""
    lines = text.split("\n")
    i = pick_line(r, lines, lambda l: "=" in l and "%" in l.split("=", 1)[1])
    if i is None:
        return text
    names = re.findall(r"%[\w.]+", "\n".join(lines[max(0, i - 30):i]))
    used = re.findall(r"%[\w.]+", lines[i].split("=", 1)[1])
    if not names or not used:
        return text
    head, tail = lines[i].split("=", 1)
    lines[i] = head + "=" + tail.replace(r.choice(used), r.choice(names), 1)
    return "\n".join(lines)


def constant_operand(r, text):
    lines = text.split("\n")
    i = pick_line(r, lines, lambda l: re.search(r"i\d+ %[\w.]+|double %[\w.]+|ptr %[\w.]+", l))
    if i is None:
        return text
    lines[i] = re.sub(r"(i\d+|double|ptr) %[\w.]+", lambda m: m.group(1) + " " + r.choice({"double": ["0.0", "poison", "1.0"], "ptr": ["null", "poison", "undef"]}.get(m.group(1), ["0", "-1", "poison", "1", "undef"])), lines[i], count=1)
    return "\n".join(lines)


def drop_or_double(r, text):
    lines = text.split("\n")
    i = pick_line(r, lines, lambda l: l.startswith("  "))
    if i is None:
        return text
    if "=" in lines[i] and r.random() < 0.7:
        name = lines[i].split("=")[0].strip()
        lines.insert(i, lines[i].replace(name, f"%copy{r.randrange(1 << 20)}", 1))
    elif r.random() < 0.5:
        lines.insert(i, lines[i])
    else:
        del lines[i]
    return "\n".join(lines)


def add_attribute(r, text):
    places = [m for m in re.finditer(r"^(define [^{]*)\{", text, re.M)]
    if not places:
        return text
    m = r.choice(places)
    head = m.group(1)
    if r.random() < 0.4:
        head = head.replace("define ", f"define {r.choice(ir_generate.CONVENTIONS)} ", 1)
    else:
        head += r.choice(ir_generate.FUNCTION_ATTRIBUTES) + " "
    return text[:m.start()] + head + "{" + text[m.end():]


def change_memory(r, text):
    lines = text.split("\n")
    i = pick_line(r, lines, lambda l: ", align " in l or " load " in l or " store " in l or "alloca" in l)
    if i is None:
        return text
    if ", align " in lines[i]:
        lines[i] = re.sub(r", align \d+", r.choice(["", f", align {1 << r.randint(0, 12)}"]), lines[i])
    elif r.random() < 0.5:
        lines[i] = re.sub(r"\b(load|store)\b", r"\1 volatile", lines[i])
    else:
        lines[i] += f", align {1 << r.randint(0, 12)}"
    return "\n".join(lines)


CHANGES = [change_types, change_types, change_types, change_lanes, change_number, change_number, change_number, change_word, change_word, change_word, swap_operands,
           other_operand, other_operand, constant_operand, drop_or_double, add_attribute, change_memory]


def assemble(text, path):
    p = subprocess.run(["llvm-as-19", "-", "-o", str(path)], input=text.encode(), capture_output=True)
    return p.returncode == 0


def clang_seeds(target):
    out = []
    programs = sorted((HERE.parent / "programs" / "c").glob("*.c"))
    flags = ["--target=wasm32-wasi"] if target == "wasm32" else []
    for program in programs:
        for level in ("-O0", "-O1", "-O2", "-O3"):
            p = subprocess.run(["clang-19", *flags, level, "-w", "-S", "-emit-llvm", "-o", "-", str(program)], capture_output=True)
            if p.returncode == 0 and len(p.stdout) < 100000:
                out.append(p.stdout.decode())
    return out


class Sweep:
    def __init__(self, options):
        self.o = options
        self.keep = Path(options.keep)
        self.bases = {t: [ir_generate.HEADS[t] + f.read_text() for f in sorted((HERE / "seeds" / "ir").glob("*.ll"))] for t in ir_generate.HEADS}
        if options.clang:
            for t in self.bases:
                self.bases[t] += clang_seeds(t)
        self.made = self.accepted = self.linked = 0
        self.failures = []

    def texts(self, seed):
        r = random.Random(seed)
        target = r.choice(["x86_64", "x86_64", "wasm32"])
        text = ir_generate.module(seed, target) if r.random() < 0.6 else r.choice(self.bases[target])
        if r.random() < 0.4 and text.startswith(ir_generate.HEADS[target]):
            return [text]
        # The changes pile up as long as the result is accepted.
        out = []
        for _ in range(4):
            for _ in range(r.choice([1, 1, 2, 3])):
                text = r.choice(CHANGES)(r, text)
            out.append(text)
        return out

    def prepare(self, seed, folder):
        found = []
        for k, text in enumerate(self.texts(seed)):
            self.made += 1
            path = folder / f"{seed}-{k}.bc"
            if not assemble(text, path):
                path.unlink(missing_ok=True)
                break
            (folder.parent / f"{seed}-{k}.ll").write_text(text)
            found.append(path)
        return found

    def fail(self, name, folder, why):
        self.keep.mkdir(parents=True, exist_ok=True)
        for f in (folder / "bc" / f"{name}.bc", folder / f"{name}.ll"):
            if f.exists():
                shutil.copy(f, self.keep / f.name)
        (self.keep / f"{name}.txt").write_text(why)
        self.failures.append(name)
        first = [l for l in why.splitlines() if re.search(r"ERROR|runtime error|Assertion|no module|invalid|died", l)]
        print(f"{name}: {first[0].strip() if first else why.strip()[:200]}", flush=True)

    def run(self, seeds):
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            (folder / "bc").mkdir()
            (folder / "out").mkdir()
            with ThreadPoolExecutor(self.o.jobs) as pool:
                files = sorted(f for found in pool.map(lambda s: self.prepare(s, folder / "bc"), seeds) for f in found)
            self.accepted += len(files)
            environment = dict(os.environ, LODE_FUZZ_OUT=str(folder / "out"))
            while files:
                # A crash ends the process; the others go on in a new one.
                p = subprocess.run([self.o.fuzzer, *map(str, files)], cwd=work, env=environment, capture_output=True, text=True, errors="replace")
                self.linked += len(re.findall(r"^linked", p.stdout, re.M))
                if p.returncode == 0:
                    break
                names = re.findall(r"^(\d+-\d+)\.bc$", p.stdout, re.M)
                if not names:
                    raise SystemExit(f"{self.o.fuzzer} does not run: {p.stderr[-1000:]}")
                self.fail(names[-1], folder, f"status {p.returncode}\n{p.stderr[-8000:]}")
                files = [f for f in files if f.stem not in names]
            if shutil.which("node"):
                (folder / "validate.js").write_text(VALIDATE)
                p = subprocess.run(["node", str(folder / "validate.js"), str(folder / "out")], capture_output=True, text=True)
                for line in p.stdout.splitlines():
                    module, why = line.split(" ", 1)
                    name = module.removesuffix(".wasm")
                    self.fail(name, folder, f"invalid module: {why}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--fuzzer", required=True)
    p.add_argument("--seeds", default="1-200")
    p.add_argument("--minutes", type=float, help="go on from the first seed for so long")
    p.add_argument("--clang", action="store_true")
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--keep", default="ir-failures")
    o = p.parse_args()
    if not shutil.which("node"):
        print("left out: modules are not validated, node is not installed")
    if not shutil.which("llvm-as-19"):
        print("SKIPPED: llvm-as-19 is not installed")
        return 77
    first, last = (int(x) for x in (o.seeds + "-" + o.seeds).split("-")[:2])
    o.fuzzer = os.path.abspath(o.fuzzer)
    sweep = Sweep(o)
    end = time.time() + o.minutes * 60 if o.minutes else None
    seed = first
    while time.time() < end if end else seed <= last:
        batch = range(seed, seed + BATCH if end else min(seed + BATCH, last + 1))
        sweep.run(batch)
        seed = batch[-1] + 1
    print(f"{sweep.made} modules, {sweep.accepted} accepted by llvm-as, {sweep.linked} links done, {len(sweep.failures)} failures; next seed {seed}")
    return 1 if sweep.failures else 0


if __name__ == "__main__":
    sys.exit(main())
