#!/usr/bin/env python3
"""Functions of more than 120 lines fall into their steps.

Exempt are tables and switches over opcodes, whose cases are their steps: EXEMPT names them, by file and function. A name
there that is no long function (any more) is an error, too, so that the list stays what it says.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT = 120
FOLDERS = ["base", "bench", "codegen", "examples", "formats", "include", "link", "mir_store", "tests"]

EXEMPT = {
    ("codegen/air/interpreter_execute.cpp", "Interpreter::Impl::execute"),
    ("codegen/air/legalize.cpp", "Legalizer::lower_inst"),
    ("codegen/air/parser_inst.cpp", "BodyParser::inst_rest"),
    ("codegen/air/printer.cpp", "inst"),
    ("codegen/air/verifier.cpp", "instruction"),
    ("codegen/import/fold.cpp", "Folder::fold"),
    ("codegen/import/function_calls.cpp", "FunctionImporter::intrinsic"),
    ("codegen/wasm/emit.cpp", "body"),
    ("codegen/wasm/select_ops.cpp", "Selector::lower_integer"),
    ("formats/bitcode/body.cpp", "BodyReader::read_inst"),
    ("formats/bitcode/constants.cpp", "read"),
    ("formats/wasm/reader.cpp", "known"),
    ("tests/codegen/x86_64_inline_asm_test.cpp", "x86_64 inline asm: templates of real programs"),
    ("tests/wasm/clang_objects_test.cpp", "wasm link: bad inputs are errors or warnings with names"),
}

TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|(?:u8|u|U|L)?R"(?P<tag>[^\s()\\]{0,16})\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'"""
    r"""|^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*|[{};]|[^"'/{};#\n]+|.|\n""", re.S | re.M)
SCOPE = re.compile(r"\b(?:namespace|class|struct|union|enum|extern)\b")


def name_of(head):
    """The name of the function whose head this is: what stands before its first parenthesis, or a test's title."""
    if test := re.search(r'TEST_CASE\(\s*"((?:\\.|[^"])*)"', head):
        return test[1]
    head = re.sub(r'"[^"]*"', "", head)
    head = re.sub(r"\[\[.*?\]\]|__attribute__\(\(.*?\)\)|template\s*<[^{};()]*>", "", head, flags=re.S)
    found = re.search(r"([\w:~]+(?:\s*operator\s*\W+)?|operator\s*\S+?)\s*\(", head)
    return found[1] if found else head.strip().split("(")[0][-40:]


def functions(text):
    """(name, first line, lines) of every function that stands in a namespace or a class."""
    stack, head, line, head_line = [], "", 1, 1
    for match in TOKEN.finditer(text):
        token = match[0]
        comment = token.startswith(("//", "/*")) or token.lstrip().startswith("#")
        if token == "{":
            inside = bool(stack) and stack[-1][0] != "scope"
            if inside:
                stack.append(("block", "", line))
            elif "(" in head and not re.search(r"=\s*$", head) and not (SCOPE.search(head) and ")" not in head):
                stack.append(("function", name_of(head), head_line))
            elif SCOPE.search(head):
                stack.append(("scope", "", line))
            else:
                stack.append(("block", "", line))
            head = ""
        elif token == "}":
            if stack:
                kind, name, first = stack.pop()
                if kind == "function":
                    yield name, first, line - first + 1
            head = ""
        elif token == ";":
            head = ""
        elif not comment:
            if not head.strip():
                head, head_line = "", line + (len(token) - len(token.lstrip("\n")))
            head += token
        line += token.count("\n")


def main():
    listing = "--list" in sys.argv
    bad, seen = 0, set()
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".cpp", ".h") or "build" in path.relative_to(ROOT).parts:
                continue
            file = str(path.relative_to(ROOT))
            for name, first, lines in functions(path.read_text(encoding="utf-8")):
                if lines <= LIMIT:
                    continue
                seen.add((file, name))
                if listing:
                    print(f'    ("{file}", "{name}"),  # {lines}')
                elif (file, name) not in EXEMPT:
                    print(f"{file}:{first}: {name} has {lines} lines, the limit is {LIMIT}")
                    bad += 1
    for file, name in sorted(EXEMPT - seen):
        print(f"tests/function_lengths.py: {name} in {file} is exempt, and is no function of over {LIMIT} lines")
        bad += not listing
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
