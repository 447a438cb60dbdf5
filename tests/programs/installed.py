#!/usr/bin/env python3
"""What `cmake --install` puts into a folder, and examples/in_process built and run against that folder alone.

The tree is moved after it was installed: nothing in it may say where it was built or installed. Parts (--part): "tree"
looks at the files and runs the commands; "cmake" and "pkg-config" build the example in the way of that name; "c" builds the C program of
tests/programs/c_interface by each C compiler there is and runs it.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77

PRINTED = """\
price(4) = 12, price(10) = 130
price(4) = 20, price(10) = 150
flushed twice: equal bytes
undefined function: an error, as it should be
"""


def run(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def check(what, good):
    if not good:
        sys.exit(f"wrong: {what}")
    print(f"right: {what}")


def library_folder(tree):
    return next(tree.glob("lib*/**/liblode.a")).parent


def check_example(program, folder):
    check("the example prints what it should", run([program, folder]) == PRINTED)


def tree(o, installed, folder):
    bin = installed / "bin"
    for name in ("ld.lode", "wasm-lode"):
        check(f"{name} is a link to lode beside it", os.readlink(bin / name) == "lode")
        check(f"{name} runs", run([bin / name, "--version"]).startswith("lode "))
    check("lode inspect finds its command", "machine" in run([bin / "lode", "inspect", bin / "lode"]))
    (folder / "a.air").write_text("strong func @main() -> i32 {\na:\n  ret i32 0\n}\n")
    run([bin / "lode", "air", folder / "a.air", "--run"])

    public = {str(p.relative_to(o.source / "include")) for p in (o.source / "include").rglob("*") if p.is_file()}
    headers = {str(p.relative_to(installed / "include")) for p in (installed / "include").rglob("*") if p.is_file()}
    check(f"the headers are the public ones, {len(public)}", headers == public)
    for name in sorted(h for h in headers if h.endswith(".h")):
        (folder / "header.cpp").write_text(f"#include <{name}>\n")
        warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]
        run([o.compiler, "-std=c++20", *warnings, "-fsyntax-only", f"-I{installed}/include", folder / "header.cpp"])
        print(f"right: {name} needs no other header")
    check("one library", [p.name for p in installed.rglob("*.a")] == ["liblode.a"])
    check("the license", (installed / "share/doc/lode/LICENSE").read_text() == (o.source / "LICENSE").read_text())
    for path in [*installed.rglob("*.cmake"), *installed.rglob("*.pc")]:
        text = path.read_text()
        places = [str(p) for p in (o.source, o.build, folder) if str(p) in text]
        check(f"{path.name} names no folder of the build", not places)

    page = installed / "share/man/man1/lode.1"
    check("the page is what the command prints", page.read_text() == run([bin / "lode", "--help=man"]))
    for name in ("ld.lode.1", "wasm-lode.1"):
        check(f"{name} is a link to it", os.readlink(page.parent / name) == "lode.1")
    if not shutil.which("groff"):
        print("left out: the page's roff, groff is not installed")
        return
    done = subprocess.run(["groff", "-man", "-ww", "-z", page], capture_output=True, text=True)
    check(f"groff has nothing to say about the page: {done.stderr}", done.returncode == 0 and not done.stderr)


def cmake(o, installed, folder):
    source = folder / "source"
    shutil.copytree(o.source / "examples/in_process", source)
    run([o.cmake, "-S", source, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={installed}",
         f"-DCMAKE_CXX_COMPILER={o.compiler}", "-DCMAKE_BUILD_TYPE=Release"])
    used = [line for line in (folder / "build/CMakeCache.txt").read_text().split("\n") if line.startswith("lode_DIR")]
    check(f"the package is the installed one: {used}", str(installed) in used[0])
    run([o.cmake, "--build", folder / "build"])
    check_example(folder / "build/in_process_example", folder)


def pkg_config(o, installed, folder):
    if not shutil.which("pkg-config"):
        print("SKIPPED: pkg-config is not installed")
        sys.exit(SKIPPED)
    environment = {**os.environ, "PKG_CONFIG_PATH": str(library_folder(installed) / "pkgconfig")}
    flags = run(["pkg-config", "--cflags", "--libs", "lode"], env=environment).split()
    folders = [os.path.realpath(f[2:]) for f in flags if f.startswith("-I")]
    check(f"the flags are those of the installed tree: {flags}", str(installed / "include") in folders)
    shutil.copy(o.source / "examples/in_process/main.cpp", folder)
    run([o.compiler, "-std=c++20", folder / "main.cpp", "-o", folder / "example", *flags, "-ldl"])
    check_example(folder / "example", folder)


def c(o, installed, folder):
    """C11, by each compiler; the last step is the C++ compiler's, whose library the linker needs."""
    environment = {**os.environ, "PKG_CONFIG_PATH": str(library_folder(installed) / "pkgconfig")}
    if not shutil.which("pkg-config"):
        print("SKIPPED: pkg-config is not installed")
        sys.exit(SKIPPED)
    compile_flags, link_flags = (run(["pkg-config", what, "lode"], env=environment).split() for what in ("--cflags", "--libs"))
    strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wstrict-prototypes", "-Werror"]
    replacements = []
    if shutil.which("clang-19"):
        for value, name, options in ((2000, "two.o", ["-fPIC"]), (3000, "two.bc", ["-emit-llvm"])):
            (folder / "two.c").write_text(f"int two(void) {{ return {value}; }}\n")
            run(["clang-19", "-O1", "-c", *options, folder / "two.c", "-o", folder / name])
            replacements.append(folder / name)
    for compiler in [name for name in ("gcc", "clang-19", "clang-14") if shutil.which(name)]:
        (folder / "header.c").write_text("#include <lode/lode_c.h>\nint unused;\n")
        run([compiler, *strict, *compile_flags, "-fsyntax-only", folder / "header.c"])
        for source in ("tests/programs/c_interface/linker_test.c", "examples/c_api/main.c"):
            run([compiler, *strict, *compile_flags, "-c", o.source / source, "-o", folder / "program.o"])
            run([o.compiler, folder / "program.o", "-o", folder / "program", *link_flags, "-ldl"])
            printed = run([folder / "program", *([folder, *replacements] if "test" in source else [])])
            print(f"right: {source} by {compiler}: {printed.splitlines()[-1]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", required=True, choices=["tree", "cmake", "pkg-config", "c"])
    for name in ("source", "build"):
        parser.add_argument("--" + name, required=True, type=pathlib.Path)
    for name in ("cmake", "compiler", "config"):
        parser.add_argument("--" + name, required=True)
    o = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name).resolve()
        run([o.cmake, "--install", o.build, "--config", o.config, "--prefix", folder / "first"])
        installed = (folder / "first").rename(folder / "moved")
        {"tree": tree, "cmake": cmake, "pkg-config": pkg_config, "c": c}[o.part](o, installed, folder)


main()
