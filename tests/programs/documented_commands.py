#!/usr/bin/env python3
"""Runs every command that README.md, docs/ and examples/ show, in a folder that looks like a built clone.

A command is a line that begins with a program that is known here: indented by four spaces in Markdown (what stands behind two
spaces is a remark), behind "$ " in a fenced block (the lines that follow are its output), between backquotes, or indented in the
comment at the head of an example. Capital words and [brackets] are places for the reader's own. What needs the network or a long time is
not run; that its script exists is checked, and the reason printed.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = re.compile(r"(?:lode|wasm-lode|tally|clang-19|clang\+\+-19|gcc|rustc|cmake|(?:scripts|bench|tests|build)/\S+)(?: |$)")

# What stands for the reader's own.
PLACES = {"FILE": "native.o", "SYMBOL": "main", "FOLDER": "examples", "MODULE.bc": "main.o"}

# Not run here, and why.
LONG = [
    (re.compile(r"scripts/|bench/|tests/(?:sweeps|fuzz)/"), "takes long, or needs the network"),
    (re.compile(r"cmake "), "builds everything"),
    (re.compile(r"lode .*--watch"), "stays until it is ended (tests/programs/watch.py)"),
]

INPUTS = {
    "main.c": "int main(void) { return 0; }\n",
    "sqlite3.c": "int sqlite3_libversion_number(void) { return 3; }\n",
    "program.c": "int work(int x) { return x + 1; }\n",
    "main.rs": 'fn main() { println!("hello"); }\n',
}


def from_markdown(path):
    """(line number, command, expected output or None)"""
    fenced = False
    lines = path.read_text().split("\n")
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            fenced = not fenced
        elif fenced and line.startswith("$ "):
            end = number
            while not lines[end].startswith(("```", "$ ")):
                end += 1
            yield number, line[2:], "".join(x + "\n" for x in lines[number:end])
        elif not fenced and line.startswith("    ") and PROGRAM.match(line[4:]):
            yield number, re.split(r" {2,}", line[4:])[0], None
        elif not fenced and not line.startswith("    "):
            for span in re.findall(r"`([^`]+)`", line):
                if PROGRAM.match(span) and re.search(r" (?:[A-Z]{2,}|\S*[./]\S*|--preset\b)", span):  # names a file or a place for one
                    yield number, span, None


def from_example(path):
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if not line.startswith("//"):
            return
        if (m := re.match(r"// {2,}(\S.*)", line)) and PROGRAM.match(m[1]):
            yield number, m[1], None


def commands():
    for path in [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]:
        for number, command, output in from_markdown(path):
            yield f"{path.relative_to(SOURCE)}:{number}", command, output
    for path in sorted((SOURCE / "examples").rglob("*")):
        if path.suffix in (".air", ".cpp", ".h", ".c", ".tally"):
            for number, command, output in from_example(path):
                yield f"{path.relative_to(SOURCE)}:{number}", command, output


def make_clone(folder, lode, tally):
    for name in ("bench", "docs", "examples", "scripts", "tests"):
        (folder / name).symlink_to(SOURCE / name)
    (folder / "build/release/examples").mkdir(parents=True)
    (folder / "bin").mkdir()
    for name in ("lode", "wasm-lode", "build/release/lode", "bin/ld"):
        (folder / name).symlink_to(lode)
    for name in ("tally", "build/release/examples/tally"):
        (folder / name).symlink_to(tally)
    for name, text in INPUTS.items():
        (folder / name).write_text(text)
    shutil.copy(SOURCE / "examples/hello.air", folder)
    shutil.copy(SOURCE / "examples/tally/primes.tally", folder)
    for name, flags in {"main.o": "-flto main.c", "native.o": "main.c", "sqlite3.o": "-flto sqlite3.c", "program64.bc": "--target=wasm64 -emit-llvm program.c"}.items():
        subprocess.run(f"clang-19 -O1 -c {flags} -o {name}", shell=True, check=True, cwd=folder)


def run(folder, command, output):
    """None, or what is wrong."""
    command = re.sub(r" ?\[[^]]*\]| \.\.\.$", "", command)
    command = " ".join(PLACES.get(word, word) for word in command.split(" "))
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=300, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        return f"status {done.returncode}: {done.stderr.strip()}"
    if output is not None and done.stdout != output:
        return f"wrote {done.stdout!r}, not {output!r}"
    if (made := re.search(r" -o (\S+)", command)) and not (folder / made[1]).exists():
        return f"made no {made[1]}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lode", required=True, type=pathlib.Path)
    parser.add_argument("--tally", required=True, type=pathlib.Path)
    options = parser.parse_args()
    tried = wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_clone(folder, options.lode.resolve(), options.tally.resolve())
        for place, command, output in commands():
            reason = next((why for pattern, why in LONG if pattern.match(command)), None)
            program = command.split(" ")[0]
            if reason is None and "/" not in program and not shutil.which(program, path=f"{folder}:{os.environ['PATH']}"):
                reason = f"there is no {program}"
            if reason:
                missing = "/" in program and not (SOURCE / program).exists()
                wrong += missing
                print(f"{place}: {command}\n    {'THERE IS NO SUCH FILE' if missing else 'not run: ' + reason}")
                continue
            tried += 1
            problem = run(folder, command, output)
            wrong += problem is not None
            print(f"{place}: {command}\n    {problem or 'works'}")
    if tried < 10:
        print(f"only {tried} commands were found: the documents do not look as this script expects")
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
