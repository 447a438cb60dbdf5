#!/usr/bin/env python3
"""tally --keep: a compiler that keeps its linker compiles the functions of a version that changed, and no others; each version runs as it
would if it were compiled alone."""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77

FIRST = """fn double(n) { return n * 2; }
fn triple(n) { return n * 3; }
fn main() { print double(5) + triple(5); return 0; }
"""
# What became of it: its text, which functions are compiled, what it prints.
VERSIONS = [
    (FIRST, "3 of 3 functions compiled: double triple main", "25"),
    (FIRST.replace("n * 3", "n * 4"), "1 of 3 functions compiled: triple", "30"),
    (FIRST.replace("n * 3", "n * 4"), "0 of 3 functions compiled:", "30"),
    ("fn one() { return 1; }\n\n" + FIRST.replace("double(5)", "one()"), "3 of 4 functions compiled: one triple main", "16"),
    (FIRST.replace("n * 3", ";"), None, "16"),
    (FIRST.replace("triple(5)", "missing(5)"), None, "16"),
    (FIRST.replace("triple(5)", "triple(5, 6)"), None, "16"),
    ("fn main() { print 7; return 0; }\n", "1 of 1 functions compiled: main", "7"),
    (FIRST.replace("fn triple(n) { return n * 3; }", "fn triple(n, m) { return n * m; }").replace("triple(5)", "triple(5, 6)"),
     "3 of 3 functions compiled: double triple main", "40"),
    (FIRST, "2 of 3 functions compiled: triple main", "25"),
]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--tally", required=True, type=os.path.abspath)
    o = p.parse_args()
    if not shutil.which("gcc"):
        print("SKIPPED: gcc is not installed")
        sys.exit(SKIPPED)
    file_of = lambda name: subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        link = ["-static", file_of("crt1.o"), file_of("crti.o"), "--start-group", file_of("libc.a"), file_of("libgcc.a"), file_of("libgcc_eh.a"),
                "--end-group", file_of("crtn.o")]
        tally = subprocess.Popen([o.tally, "--keep", folder / "program", *link], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        for number, (text, compiled, printed) in enumerate(VERSIONS):
            path = folder / f"{number}.tally"
            path.write_text(text)
            tally.stdin.write(f"{path}\n")
            tally.stdin.flush()
            said = (tally.stdout if compiled is not None else tally.stderr).readline().rstrip("\n")
            wanted = f"{path}: {compiled}" if compiled is not None else f"{path}:"
            if not (said == wanted if compiled is not None else said.startswith(wanted)):
                tally.stdin.close()
                sys.exit(f"version {number}: {said!r}, wanted {wanted!r}\n{tally.stderr.read()}")
            got = subprocess.run([folder / "program"], capture_output=True, text=True).stdout.strip()
            if got != printed:
                sys.exit(f"version {number} prints {got!r}, not {printed!r}")
            print(f"right: {said}")
        tally.stdin.close()
        if tally.wait() != 0:
            sys.exit(f"status {tally.returncode}: {tally.stderr.read()}")


main()
