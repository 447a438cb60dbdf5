#!/usr/bin/env python3
"""Edit, build, run: a C project built by make, a C++ one by CMake and Ninja, a Rust one by cargo (dev and release), with lode as the linker
behind gcc, clang and rustc, through a sequence of edits each.

    edit_loops.py --lode LODE [--incremental] [--edits 50] [--only make,cmake,cargo-dev,cargo-release] [--seed 1] [--work FOLDER]

Each project is written by this script from one description (modules with functions, data and strings), in its language; edits change the
description as a programmer would: a constant, a longer or shorter body, a string, a new, removed or renamed function, a global, a
header that all include, a new or removed module, a mere touch, a mistake that is mended with the next edit.

Every link goes through a wrapper, which makes the link as it was asked for (with --stats, to learn how it went) and then a full one of the same
inputs, without --incremental and to another file, while they are still there: cargo removes some. Both programs run; status and output have to
be the same. The line

    relink: in place | full (REASON) | nothing changed

of the first link is counted, and `N bytes read` and `N bytes written`, if it says them. "bytes that differ" is what the script itself finds
between the output before and after. With --incremental the option goes to the driver as users write it, -Wl,--incremental.

Exit status: 0 if every build worked that should, no result was wrong, and no link fell back to a full one without a reason. Standard library only.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

import sweep

WRAPPER = """#!{python}
import json, os, shutil, subprocess, sys
args, lode, log = sys.argv[1:], {lode!r}, {log!r}
if any(a in ("--version", "-v", "--help") for a in args):
    os.execv(lode, [lode] + args)
at = next((i + 1 for i, a in enumerate(args) if a == "-o"), None)
output = args[at] if at else "a.out"
before = open(output, "rb").read() if os.path.isfile(output) else b""
try:  # what cargo removed before it called the compiler
    before = before or open({previous!r}, "rb").read()
except OSError:
    pass
own = subprocess.run([lode, *args, "--stats"], capture_output=True)
sys.stderr.buffer.write(own.stderr)
record = {{"output": os.path.abspath(output), "status": own.returncode, "lines": own.stdout.decode(errors="replace").splitlines(),
          "incremental": "--incremental" in args}}
if own.returncode == 0:
    after = open(output, "rb").read()
    record["size"] = len(after)
    record["differs"] = abs(len(after) - len(before)) + (0 if after == before else sum(x != y for x, y in zip(after, before)))
    full = [a for a in args if a != "--incremental"]
    full[at] = {full!r}
    record["full"] = subprocess.run([lode, *full], capture_output=True).returncode
    shutil.copyfile(output, {previous!r})
with open(log, "a") as f:
    f.write(json.dumps(record) + "\\n")
sys.exit(own.returncode)
"""


class Function:
    def __init__(self, name, rng):
        self.name, self.constants, self.calls, self.broken = name, [rng.randrange(2, 99) for _ in range(rng.randrange(1, 6))], [], False


class Module:
    def __init__(self, name):
        self.name, self.functions, self.data, self.strings = name, [], {}, {}


class Program:
    """What all three languages say. Functions take and give a number; a call goes to a function of an earlier place only."""

    def __init__(self, seed, modules, functions):
        self.rng, self.serial, self.shared, self.comment, self.modules = random.Random(seed), 0, 7, 0, []
        for _ in range(modules):
            self.add_module(functions)

    def fresh(self, stem):
        self.serial += 1
        return f"{stem}{self.serial}"

    def add_module(self, functions):
        m = Module(self.fresh("part"))
        self.modules.append(m)
        m.data[self.fresh("datum")] = self.rng.randrange(1000)
        m.strings[self.fresh("text")] = "words"
        for _ in range(functions):
            self.add_function(m)
        return m

    def add_function(self, m):
        f = Function(self.fresh("work"), self.rng)
        m.functions.append(f)
        self.choose_calls(f)
        return f

    def choose_calls(self, f):
        earlier = []
        for _, g in self.all_functions():
            if g is f:
                break
            earlier.append(g.name)
        f.calls = self.rng.sample(earlier, min(len(earlier), self.rng.randrange(3)))

    def all_functions(self):
        return [(m, f) for m in self.modules for f in m.functions]

    def drop_calls(self, names):
        for _, f in self.all_functions():
            f.calls = [c for c in f.calls if c not in names]

    # Edits. Each returns what it did in a word; what comes of it is the renderer's.
    def some_function(self):
        return self.rng.choice(self.all_functions())

    def edit_constant(self):
        f = self.some_function()[1]
        f.constants[self.rng.randrange(len(f.constants))] = self.rng.randrange(2, 99)

    def edit_longer(self):
        self.some_function()[1].constants += [self.rng.randrange(2, 99) for _ in range(self.rng.randrange(1, 40))]

    def edit_shorter(self):
        f = self.some_function()[1]
        f.constants = f.constants[:max(1, len(f.constants) // 2)]

    def edit_calls(self):
        self.choose_calls(self.some_function()[1])

    def edit_string(self):
        strings = self.rng.choice([m for m in self.modules if m.strings]).strings
        strings[self.rng.choice(sorted(strings))] = "w" * self.rng.randrange(60) + "ords"

    def edit_datum(self):
        data = self.rng.choice([m for m in self.modules if m.data]).data
        data[self.rng.choice(sorted(data))] = self.rng.randrange(1000)

    def edit_new_function(self):
        m = self.rng.choice(self.modules)
        f = self.add_function(m)
        later = [g for n, g in self.all_functions()]
        for g in later[later.index(f) + 1:][:2]:
            g.calls.append(f.name)

    def edit_new_datum(self):
        self.rng.choice(self.modules).data[self.fresh("datum")] = self.rng.randrange(1000)

    def edit_new_string(self):
        self.rng.choice(self.modules).strings[self.fresh("text")] = "others"

    def edit_removed_function(self):
        m = self.rng.choice([m for m in self.modules if len(m.functions) > 1])
        f = m.functions.pop(self.rng.randrange(len(m.functions)))
        self.drop_calls({f.name})

    def edit_renamed_function(self):
        f = self.some_function()[1]
        old, f.name = f.name, self.fresh("renamed")
        for _, g in self.all_functions():
            g.calls = [f.name if c == old else c for c in g.calls]

    def edit_shared(self):
        self.shared = self.rng.randrange(100)

    def edit_new_module(self):
        self.add_module(2)

    def edit_removed_module(self):
        m = self.modules.pop(self.rng.randrange(1, len(self.modules)))
        self.drop_calls({f.name for f in m.functions})

    def edit_comment(self):
        self.comment += 1

    def edit_touch(self):
        pass  # the renderer writes one file again

    def edit_mistake(self):
        self.some_function()[1].broken = True


# How often an edit comes: as in the histories that were looked at, most change what is there.
EDITS = {"constant": 10, "longer": 6, "shorter": 3, "calls": 4, "string": 4, "datum": 3, "new_function": 5, "new_datum": 2, "new_string": 2,
         "removed_function": 2, "renamed_function": 2, "shared": 2, "new_module": 1, "removed_module": 1, "comment": 2, "touch": 2, "mistake": 2}


class Project:
    """A program in a language, in a folder, with the build that makes it."""

    def __init__(self, o, folder, linker, name, program):
        self.o, self.folder, self.linker, self.name, self.program = o, folder, linker, name, program
        self.environment = dict(os.environ)
        self.links = ["-Wl,--incremental"] if o.incremental else []

    def write(self, files):
        """Only files whose text changed are written; those that are not there any more go."""
        known = {p for p in self.folder.rglob("*") if p.suffix in (".c", ".h", ".cpp", ".hpp", ".rs", ".toml") and "build" not in p.parts and "target" not in p.parts}
        for path, text in files.items():
            p = self.folder / path
            known.discard(p)
            if not p.exists() or p.read_text() != text:
                p.parent.mkdir(parents=True, exist_ok=True)
                p.write_text(text)
        for p in known:
            p.unlink()

    def run(self, *command):
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)


def c_function(f, m, indent="  "):
    lines = [f"long {f.name}(long x) {{"]
    lines += [f"{indent}x = x * {c} + {k};" + (f" if (x & 1) x ^= {c};" if c % 3 == 0 else "") for k, c in enumerate(f.constants)]
    lines += [f"{indent}x += {c}(x & 1023);" for c in f.calls]
    lines += [f"{indent}x += {d};" for d in m.data]
    lines.append(f"{indent}return x + SHARED" + (" +;" if f.broken else ";"))
    return "\n".join(lines + ["}"])


class MakeProject(Project):
    def render(self):
        p, files = self.program, {}
        files["shared.h"] = f"#define SHARED {p.shared}\n" + "".join(f"long {f.name}(long);\n" for _, f in p.all_functions())
        for m in p.modules:
            text = f'// {p.comment if m is p.modules[0] else ""}\n#include <stdio.h>\n#include "shared.h"\n'
            text += "".join(f"static long {d} = {v};\n" for d, v in m.data.items())
            text += "\n".join(c_function(f, m) for f in m.functions)
            said = "".join(f'  puts("{s}");\n' for s in m.strings.values())
            calls = "".join(f'  printf("{f.name} %ld\\n", {f.name}(3));\n' for f in m.functions)
            files[f"{m.name}.c"] = f"{text}\nvoid {m.name}(void) {{\n{said}{calls}}}\n"
        files["main.c"] = "".join(f"void {m.name}(void);\n" for m in p.modules) + "int main(void) {\n" + "".join(f"  {m.name}();\n" for m in p.modules) + "  return 0;\n}\n"
        self.write(files)
        (self.folder / "Makefile").write_text(
            "sources := $(sort $(wildcard *.c))\nobjects := $(sources:.c=.o)\nCC = gcc\nCFLAGS = -O1 -g -ffunction-sections -MMD\n"
            f"program: $(objects)\n\t$(CC) -B{self.linker} {' '.join(self.links)} $(objects) -o $@\n-include $(wildcard *.d)\n")
        for d in self.folder.glob("*.d"):  # a header or a source that is gone is no rule any more
            if not (self.folder / f"{d.stem}.c").exists():
                d.unlink()
                (self.folder / f"{d.stem}.o").unlink(missing_ok=True)
        return "program"

    def touch(self):
        (self.folder / f"{self.program.modules[0].name}.c").touch()

    def build(self):
        return self.run("make", "-j2")


class CMakeProject(Project):
    def render(self):
        p, files = self.program, {}
        files["shared.hpp"] = ("#pragma once\n#include <map>\n#include <memory>\n#include <string>\n#include <vector>\n#include <stdexcept>\n"
                               f"inline constexpr long SHARED = {p.shared};\n"
                               "struct Part { virtual ~Part() = default; virtual void say() const = 0; virtual long value(long) const { return SHARED; } };\n"
                               "template <class T> T twice(T x) { return x + x; }\n" + "".join(f"long {f.name}(long);\n" for _, f in p.all_functions())
                               + "".join(f"std::unique_ptr<Part> make_{m.name}();\n" for m in p.modules))
        for m in p.modules:
            text = f'// {p.comment if m is p.modules[0] else ""}\n#include "shared.hpp"\n#include <cstdio>\n'
            text += "".join(f"static long {d} = {v};\n" for d, v in m.data.items())
            text += "\n".join(c_function(f, m) for f in m.functions)
            said = "".join(f'    std::puts((std::string("{s}") + "!").c_str());\n' for s in m.strings.values())
            calls = "".join(f'    results["{f.name}"] = {f.name}(twice(3L));\n' for f in m.functions)
            text += (f"\nnamespace {{\nstruct Own : Part {{\n  void say() const override {{\n{said}    std::map<std::string, long> results;\n{calls}"
                     '    for (auto& [name, value] : results) std::printf("%s %ld\\n", name.c_str(), value);\n'
                     f"    try {{ if (results.size() % 2) throw std::runtime_error(\"odd {m.name}\"); }} catch (const std::exception& e) {{ std::puts(e.what()); }}\n"
                     f"  }}\n  long value(long x) const override {{ return std::vector<long>(size_t(3), x).size() + {len(m.functions)}; }}\n}};\n}}\n"
                     f"std::unique_ptr<Part> make_{m.name}() {{ return std::make_unique<Own>(); }}\n")
            files[f"{m.name}.cpp"] = text
        files["main.cpp"] = ('#include "shared.hpp"\n#include <cstdio>\nint main() {\n  std::vector<std::unique_ptr<Part>> parts;\n'
                             + "".join(f"  parts.push_back(make_{m.name}());\n" for m in p.modules)
                             + '  for (auto& p : parts) { p->say(); std::printf("%ld\\n", p->value(1)); }\n}\n')
        self.write(files)
        cmake = self.folder / "CMakeLists.txt"
        text = ("cmake_minimum_required(VERSION 3.25)\nproject(loop CXX)\nset(CMAKE_CXX_STANDARD 20)\nfile(GLOB sources CONFIGURE_DEPENDS *.cpp)\n"
                "add_executable(program ${sources})\n"
                f'target_link_options(program PRIVATE "--ld-path={self.linker}/ld" {" ".join(self.links)})\n')
        if not cmake.exists() or cmake.read_text() != text:
            cmake.write_text(text)
        return "build/program"

    def touch(self):
        (self.folder / f"{self.program.modules[0].name}.cpp").touch()

    def build(self):
        if not (self.folder / "build/build.ninja").exists():
            made = self.run("cmake", "-G", "Ninja", "-B", "build", f"-DCMAKE_CXX_COMPILER={sweep.CLANG.replace('clang', 'clang++')}", "-DCMAKE_BUILD_TYPE=Debug")
            if made.returncode != 0:
                return made
        return self.run("cmake", "--build", "build")


class CargoProject(Project):
    profile = []
    output = "target/debug/program"
    dependencies = 50

    def render(self):
        p, files = self.program, {}
        self.environment["RUSTFLAGS"] = " ".join([f"-Clinker={sweep.CLANG}", f"-Clink-arg=--ld-path={self.linker}/ld"] + [f"-Clink-arg={a}" for a in self.links])
        self.environment.pop("CARGO_TARGET_DIR", None)
        package = lambda name, rest: f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{rest}'
        names = [f"leaf{k}" for k in range(self.dependencies - 1)]
        for k, name in enumerate(names):
            files[f"{name}/Cargo.toml"] = package(name, "")
            files[f"{name}/src/lib.rs"] = (f"pub fn leaf(x: i64) -> i64 {{ x.wrapping_mul({k + 3}).rotate_left({k % 7}) }}\n"
                                           f"pub fn name() -> String {{ format!(\"leaf {{}}\", {k}) }}\n")
        files["answer/Cargo.toml"] = package("answer", "[lib]\nproc-macro = true\n")
        files["answer/src/lib.rs"] = ("extern crate proc_macro;\nuse proc_macro::TokenStream;\n#[proc_macro]\npub fn answer(_: TokenStream) -> TokenStream {\n"
                                      '    "fn answer() -> i64 { 42 }".parse().unwrap()\n}\n')
        needed = "".join(f'{n} = {{ path = "{n}" }}\n' for n in [*names, "answer"])
        files["Cargo.toml"] = package("program", f"[dependencies]\n{needed}[workspace]\n")
        for m in p.modules:
            text = f'// {p.comment if m is p.modules[0] else ""}\nuse crate::*;\n' + "".join(f"static {d.upper()}: i64 = {v};\n" for d, v in m.data.items())
            for f in m.functions:
                body = "".join(f"    x = x.wrapping_mul({c}).wrapping_add({k});\n" + (f"    if x & 1 != 0 {{ x ^= {c}; }}\n" if c % 3 == 0 else "")
                               for k, c in enumerate(f.constants))
                body += "".join(f"    x = x.wrapping_add({c}(x & 1023));\n" for c in f.calls) + "".join(f"    x = x.wrapping_add({d.upper()});\n" for d in m.data)
                text += f"#[inline(never)]\npub fn {f.name}(mut x: i64) -> i64 {{\n{body}    x.wrapping_add(SHARED){' +' if f.broken else ''}\n}}\n"
            said = "".join(f'    println!("{{}}", "{s}");\n' for s in m.strings.values())
            calls = "".join(f'    println!("{f.name} {{}}", {f.name}(3));\n' for f in m.functions)
            files[f"src/{m.name}.rs"] = f"{text}pub fn say() {{\n{said}{calls}}}\n"
        functions = "".join(f"pub use {m.name}::{f.name};\n" for m, f in p.all_functions())
        leaves = "".join(f'    println!("{{}} {{}}", {n}::name(), {n}::leaf(5));\n' for n in names)
        files["src/main.rs"] = (f"#![allow(unused_imports, dead_code)]\npub const SHARED: i64 = {p.shared};\n" + "".join(f"mod {m.name};\n" for m in p.modules) + functions
                                + "answer::answer!();\nfn main() {\n    println!(\"{}\", answer());\n" + leaves + "".join(f"    {m.name}::say();\n" for m in p.modules) + "}\n")
        self.write(files)
        return self.output

    def touch(self):
        (self.folder / f"src/{self.program.modules[0].name}.rs").touch()

    def build(self):
        return self.run("cargo", "build", "--offline", "-q", *self.profile)


class CargoRelease(CargoProject):
    profile = ["--release"]
    output = "target/release/program"


KINDS = {"make": (MakeProject, ["make", "gcc"]), "cmake": (CMakeProject, ["cmake", "ninja", sweep.CLANG]),
         "cargo-dev": (CargoProject, ["cargo", sweep.CLANG]), "cargo-release": (CargoRelease, ["cargo", sweep.CLANG])}


def ran(path):
    done = sweep.run([str(path)], seconds=60)
    return done.status, done.out


class Loop:
    """The edits of one project, and what became of each."""

    def __init__(self, o, kind, work):
        self.o, self.kind, self.counts, self.reasons, self.wrong = o, kind, collections.Counter(), collections.Counter(), []
        self.read, self.written, self.differs, self.size = [], [], [], 0
        self.work = work / kind
        (self.work / "bin").mkdir(parents=True)
        (self.work / "project").mkdir()
        self.log, self.full = self.work / "log", self.work / "full"
        wrapper = self.work / "bin/ld"
        wrapper.write_text(WRAPPER.format(python=sys.executable, lode=o.lode, log=str(self.log), full=str(self.full), previous=str(self.work / "previous")))
        wrapper.chmod(0o755)
        program = Program(o.seed, o.modules, o.functions)
        self.project = KINDS[kind][0](o, self.work / "project", self.work / "bin", kind, program)

    def links(self):
        """The records of the links since the last call that made the program: cargo's proc macro is one of its own."""
        text = self.log.read_text() if self.log.exists() else ""
        self.log.unlink(missing_ok=True)
        return [r for r in map(json.loads, text.splitlines()) if not r["output"].endswith(".so")]

    def complain(self, number, edit, what):
        self.wrong.append(f"{self.kind}, edit {number} ({edit}): {what}")
        print("  " + self.wrong[-1], flush=True)

    def step(self, number, edit):
        output = self.project.folder / self.project.render()
        if edit == "touch":
            self.project.touch()
        broken = any(f.broken for _, f in self.project.program.all_functions())
        built = self.project.build()
        records = self.links()
        if broken:
            if built.returncode == 0:
                self.complain(number, edit, "a program with a mistake was built")
            self.counts["not linked: a mistake"] += 1
            return
        if built.returncode != 0:
            self.complain(number, edit, "the build failed: " + "\n".join((built.stderr or built.stdout).splitlines()[-12:]))
            return
        if not records:
            self.counts["no link"] += 1
            return
        record = records[-1]
        if record["full"] != 0:
            self.complain(number, edit, "the full link failed")
        elif ran(output) != ran(self.full):
            self.complain(number, edit, f"the program and that of a full link differ: {ran(output)[0]} and {ran(self.full)[0]}")
        if number == 0:
            self.size = record["size"]
            return
        self.count(number, edit, record)

    def count(self, number, edit, record):
        line = next((l for l in record["lines"] if re.match(r"\s*relink: ", l)), None)
        how = line.split("relink: ", 1)[1].strip() if line else "full (not asked for)"
        if match := re.match(r"full\b\s*\(?(.*?)\)?$", how):
            self.counts["full"] += 1
            self.reasons[match[1] or "no reason given"] += 1
            if record["incremental"] and not match[1]:
                self.complain(number, edit, "a full link without a reason")
        else:
            self.counts["nothing changed" if how.startswith("nothing changed") else "in place"] += 1
        if record["incremental"] and not line:
            self.complain(number, edit, "the link does not say how it was made")
        text = "\n".join(record["lines"])
        for what, into in (("read", self.read), ("written", self.written)):
            if found := re.search(r"(\d+) bytes " + what, text):
                into.append(int(found[1]))
        self.differs.append(record["differs"])

    def run(self):
        program, names = self.project.program, list(EDITS)
        self.step(0, "first build")
        for number in range(1, self.o.edits + 1):
            mistakes = [f for _, f in program.all_functions() if f.broken]
            edit = "mended" if mistakes else program.rng.choices(names, EDITS.values())[0]
            if edit == "removed_module" and len(program.modules) < 3:
                edit = "new_module"
            if mistakes:
                for f in mistakes:
                    f.broken = False
            else:
                getattr(program, "edit_" + edit)()
            self.step(number, edit)
            if sys.stderr.isatty():
                print(f"\r{self.kind}: {number} of {self.o.edits}", end="", file=sys.stderr, flush=True)

    def row(self):
        middle = lambda l: f"{sorted(l)[len(l) // 2]:,}" if l else "-"
        changing = self.counts["in place"] + self.counts["full"]
        share = f"{100 * self.counts['in place'] / changing:.0f} %" if changing else "-"
        return [self.kind, self.o.edits, self.counts["in place"], self.counts["full"], self.counts["nothing changed"], self.counts["no link"] + self.counts["not linked: a mistake"],
                share, middle(self.read), middle(self.written), middle(self.differs), f"{self.size:,}", len(self.wrong)]


def print_table(rows):
    rows = [[str(c) for c in r] for r in rows]
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for k, r in enumerate(rows):
        print("| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))) + " |")
        if k == 0:
            print("| " + " | ".join("-" * w for w in widths) + " |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lode", default=os.path.join(sweep.TOP, "build/release/lode"))
    p.add_argument("--incremental", action="store_true", help="-Wl,--incremental on every link line")
    p.add_argument("--edits", type=int, default=50)
    p.add_argument("--modules", type=int, default=12)
    p.add_argument("--functions", type=int, default=6, help="in each module, at first")
    p.add_argument("--only", default=",".join(KINDS))
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--work", help="a folder for the projects, which stay there")
    o = p.parse_args()
    o.lode = os.path.abspath(o.lode)
    work = pathlib.Path(o.work or tempfile.mkdtemp(prefix="lode-loops-"))
    loops = []
    try:
        for kind in o.only.split(","):
            missing = [t for t in KINDS[kind][1] if not shutil.which(t)]
            if missing:
                print(f"{kind}: left out, {missing[0]} is not installed")
                continue
            loops.append(Loop(o, kind, work))
            loops[-1].run()
    finally:
        if not o.work:
            shutil.rmtree(work, ignore_errors=True)
    if not loops:
        print("SKIPPED: nothing that builds is installed")
        return sweep.SKIPPED
    print()
    print_table([["", "edits", "in place", "full", "nothing changed", "no link", "in place of changes", "bytes read", "bytes written", "bytes that differ", "output", "wrong"],
                 *[l.row() for l in loops]])
    for l in loops:
        for reason, count in l.reasons.most_common():
            print(f"{l.kind}: {count} full: {reason}")
    return 1 if any(l.wrong for l in loops) else 0


if __name__ == "__main__":
    sys.exit(main())
