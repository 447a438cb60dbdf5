#!/usr/bin/env python3
"""scripts/test.sh ends, before anything is built, when a tool of scripts/packages.txt is missing, and names it.

The scripts run with a PATH of one folder that holds the tools of the list but one, and a cmake that leaves a mark.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent
# What the scripts themselves call; dpkg-query says that every package is there, so that nothing is installed.
OWN = ["bash", "env", "dirname", "mktemp", "mkdir", "rm", "cp", "sed", "nproc", "id"]


def listed():
    """Commands and files of the packages that tests need, by their package."""
    found = []
    for line in (TOP / "scripts/packages.txt").read_text().split("\n"):
        words = line.split()
        if words and words[0] in ("base", "command"):
            found += [(name, words[1]) for name in words[2:]]
    return found


def check(what, holds):
    print(("right: " if holds else "WRONG: ") + what)
    if not holds:
        sys.exit(1)


def main():
    tools = listed()
    commands = [name for name, _ in tools if not name.startswith("/")]
    check(f"the list has {len(tools)} commands and files", len(commands) > 30 and len(tools) > 40)
    absent = [f"{name} (package {package})" for name, package in tools
              if not (os.path.exists(name) if name.startswith("/") else shutil.which(name))]
    if absent:
        print("SKIPPED: " + ", ".join(absent) + " is not installed")
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tree, path = folder / "tree", folder / "path"
        shutil.copytree(TOP / "scripts", tree / "scripts")
        (tree / "build/inputs/sqlite").mkdir(parents=True)
        (tree / "build/inputs/sqlite/sqlite3.c").touch()
        path.mkdir()
        for command in {*commands, *OWN}:
            (path / command).symlink_to(shutil.which(command))
        for command, does in {"cmake": f"echo configured >> {folder}/built", "ctest": "echo tested",
                              "dpkg-query": "printf installed"}.items():
            (path / command).unlink(missing_ok=True)
            (path / command).write_text(f"#!{shutil.which('bash')}\n{does}\n")
            (path / command).chmod(0o755)

        def run(script):
            built = folder / "built"
            built.unlink(missing_ok=True)
            p = subprocess.run([shutil.which("bash"), str(tree / "scripts" / script)], env={"PATH": str(path)},
                               capture_output=True, text=True)
            return p.returncode, p.stdout, p.stderr, built.exists()

        status, out, err, built = run("test.sh")
        check(f"with all tools it builds and tests: {status} {err}", status == 0 and built and "tested" in out)
        for command in ("wasm-validate", "mold", "llvm-dwarfdump-19", "node"):
            place = path / command
            real = os.readlink(place)
            place.unlink()
            package = dict(tools)[command]
            # What a package manager would do about node is not asked here: dpkg-query says that all is there.
            for script in ("check-tools.sh", "test.sh"):
                status, out, err, built = run(script)
                check(f"without {command} {script} fails, names it and builds nothing: {err.strip()}",
                      status == 1 and f"missing: {command} (package {package})" in err and not built)
            place.symlink_to(real)
        text = (tree / "scripts/packages.txt").read_text()
        (tree / "scripts/packages.txt").write_text(re.sub("/usr/include/zlib.h", "/no/such/file.h", text))
        status, out, err, built = run("test.sh")
        check(f"a header that is not there counts, too: {err.strip()}",
              status == 1 and "missing: /no/such/file.h (package zlib1g-dev)" in err and not built)
    return 0


if __name__ == "__main__":
    sys.exit(main())
