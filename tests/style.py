#!/usr/bin/env python3
"""Lines keep the columns that .clang-format allows.

Exempt are tables between `clang-format off` and `clang-format on` (a row is a line), and raw string literals, whose
line breaks are part of the text.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT = int(re.search(r"ColumnLimit: (\d+)", (ROOT / ".clang-format").read_text())[1])
FOLDERS = ["base", "bench", "codegen", "examples", "formats", "include", "link", "mir_store", "tests"]


def raw_string_lines(text):
    """The lines that hold a part of a raw string literal."""
    lines = set()
    for match in re.finditer(r'R"([^\s()\\]{0,16})\((?s:.*?)\)\1"', text):
        first = text.count("\n", 0, match.start())
        lines.update(range(first, first + match[0].count("\n") + 1))
    return lines


def long_lines(path):
    text = path.read_text(encoding="utf-8")
    raw = raw_string_lines(text)
    off = False
    for number, line in enumerate(text.split("\n")):
        off = "clang-format off" in line or (off and "clang-format on" not in line)
        if len(line) > LIMIT and not off and number not in raw:
            yield number + 1, len(line)


def main():
    bad = 0
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".cpp", ".h") and "build" not in path.relative_to(ROOT).parts:
                for number, width in long_lines(path):
                    print(f"{path.relative_to(ROOT)}:{number}: {width} columns, the limit is {LIMIT}")
                    bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
