// The option tables as lists: --help, --help=markdown (docs/options.md) and --help=man (lode.1).
#include "base/version.h"
#include "link/elf/options/option_table.h"
#include "link/elf/machines/machine.h"
#include "link/elf/options/options.h"

namespace lode::link::elf {

namespace {

// "-o FILE, --output=FILE"
std::string with_metavar(const OptionRow& row, bool dashes) {
  std::string out;
  std::string_view metavar = row.metavar;
  each_name(row, [&](std::string_view name) {
    out += out.empty() ? "" : ", ";
    std::string s = dashes ? spelled(name) : std::string(name);
    if (row.form == OptionForm::value) s += (s.size() == 2 && dashes ? " " : "=") + std::string(metavar);
    else if (row.form == OptionForm::optional_value) s += metavar;
    else if (row.form == OptionForm::joined) s += metavar.substr(1);
    out += s;
  });
  return out;
}

void help_lines(std::string& out, std::span<const OptionRow> rows, bool dashes) {
  constexpr size_t column = 30;
  for (const OptionRow& row : rows) {
    if (row.fate == OptionFate::heading) {
      out += std::string(row.names) + ":\n";
      continue;
    }
    if (row.fate != OptionFate::effective) continue;
    std::string line = "  " + with_metavar(row, dashes);
    if (line.size() >= column) line += "\n" + std::string(column, ' ');
    else line.resize(column, ' ');
    out += line + row.text + "\n";
  }
}

void markdown_rows(std::string& out, std::span<const OptionRow> rows, OptionFate fate, bool dashes) {
  const OptionRow* title = nullptr;
  bool open = false;
  for (const OptionRow& row : rows) {
    if (row.fate == OptionFate::heading) {
      title = &row;
      continue;
    }
    if (row.fate != fate) continue;
    if (title && fate == OptionFate::effective) out += "\n### " + std::string(title->names) + "\n";
    if (title || !open)
      out += fate == OptionFate::effective ? "\n| option | effect |\n|---|---|\n"
             : !open                       ? "\n| option | reason |\n|---|---|\n"
                                           : "";
    if (fate != OptionFate::effective || title) title = nullptr;
    open = true;
    out += "| `" + with_metavar(row, dashes) + "` | " + row.text + " |\n";
  }
}

// Text for roff: nothing in it is a request, an escape, or a hyphen that a terminal would show as another character.
std::string roff(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    const char c = text[i];
    if (i == 0 && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') out += "\\e";
    else if (c == '-') out += "\\-";
    else if (c == '\'') out += "\\(aq";
    else if (c == '`') out += "\\(ga";
    else if (c == '^') out += "\\(ha";
    else if (c == '~') out += "\\(ti";
    else out += c;
  }
  return out;
}

void man_rows(std::string& out, std::span<const OptionRow> rows, bool dashes) {
  for (const OptionRow& row : rows) {
    if (row.fate == OptionFate::heading) out += ".SS " + roff(row.names) + "\n";
    if (row.fate != OptionFate::effective) continue;
    out += ".TP\n\\fB" + roff(with_metavar(row, dashes)) + "\\fR\n" + roff(row.text) + ".\n";
  }
}

}  // namespace

std::vector<const char*> listed_emulations() {
  std::vector<const char*> out;
  for (const Machine* m : machines()) out.push_back(m->emulations.front());
  out.insert(out.end(), {"wasm32", "wasm64"});
  return out;
}

std::string emulation_list() {
  std::string out;
  for (const char* name : listed_emulations()) out += (out.empty() ? "" : " ") + std::string(name);
  return out;
}

std::string help_text() {
  std::string out = std::string() +
      "Usage: lode [options] file...\n"
      "Links objects, archives, shared libraries, LLVM bitcode and AIR text; generates code while it links.\n"
      "lode: supported targets: elf64-x86-64 elf64-littleriscv wasm32 wasm64\n"
      "lode: supported emulations: " + emulation_list() + "\n"
      "Options are those of GNU ld; long ones take one or two dashes; @FILE stands for the options in FILE.\n";
  help_lines(out, effective_options(), true);
  out += "Keywords of -z:\n";
  help_lines(out, z_keywords(), false);
  out +=
      "Options of GNU ld, lld and mold that are not listed are accepted because they have no effect here, or refused "
      "by name:\n"
      "docs/options.md has them all, with reasons.\n";
  return out;
}

std::string options_document() {
  std::string out =
      "# Options of the ELF linker\n\n"
      "What GNU ld 2.40, lld 19 and mold 2.42 take, and what becomes of it here: an effect, acceptance without effect "
      "because nothing that\n"
      "is asked for can be missing from the output, or an error that says what would be missing. There is no fourth "
      "kind. This file is\n"
      "printed by `lode --help=markdown` from the tables that the command line is read with "
      "(`link/elf/options/option_rows.cpp` and its\n"
      "neighbours), and a test holds that it is current. Options of the WebAssembly linker are wasm-ld's.\n\n"
      "Long options take one or two dashes, those that begin with `o` two.\n\n"
      "## Effective\n";
  markdown_rows(out, effective_options(), OptionFate::effective, true);
  out += "\n### Keywords of -z\n";
  markdown_rows(out, z_keywords(), OptionFate::effective, false);
  out += "\n### Keywords of -plugin-opt\n";
  markdown_rows(out, plugin_keywords(), OptionFate::effective, false);
  struct Part {
    const char* title;
    OptionFate fate;
  };
  for (const Part& part :
       {Part{"Accepted without effect", OptionFate::without_effect}, Part{"Refused", OptionFate::refused}}) {
    out += std::string("\n## ") + part.title + "\n";
    markdown_rows(out, other_options(), part.fate, true);
    out += "\nKeywords of `-z`:\n";
    markdown_rows(out, z_keywords(), part.fate, false);
    out += "\nKeywords of `-plugin-opt`:\n";
    markdown_rows(out, plugin_keywords(), part.fate, false);
  }
  return out;
}

// What stands around the options in lode.1, for man(7).
static constexpr const char* man_before = R"(.SH NAME
lode, ld.lode, wasm\-lode \- linker that generates code
.SH SYNOPSIS
.B lode
.RI [ options ] " file ..."
.br
.B wasm\-lode
.RI [ options ] " file ..."
.br
.B lode air
.I file
.BR \-\-print | \-\-verify
.br
.B lode air
.I file
.B \-\-run
.RI [ argument ...]
.br
.B lode inspect
.I file
.RB [ \-\-json ]
.SH DESCRIPTION
Links objects, archives, shared libraries, LLVM bitcode and AIR text into ELF (x86_64, riscv64) or WebAssembly executables,
libraries and objects.
Bitcode and AIR become machine code while they are linked; functions that nothing refers to are not compiled.
.PP
The options of the ELF linker are those of GNU ld, and given below.
The WebAssembly linker takes those of wasm\-ld
.RB ( "wasm\-lode \-\-help" ).
It runs under names that begin with wasm\-, after
.B \-m wasm32
or
.BR "\-m wasm64" ,
and if the first object among the inputs is a WebAssembly one.
.PP
.B lode air
reads AIR text (a file of the name
.B \-
is standard input), and prints it in canonical form, says what is wrong with it, or runs its function main in the interpreter.
A file named air that would stand first on the command line is linked as ./air.
.PP
.B lode inspect
shows what an ELF file contains.
.SH OPTIONS
Long options take one or two dashes, those that begin with o two.
.BI @ file
stands for the options in a file.
Options of GNU ld, lld and mold that are not listed are accepted because they have no effect here, or refused by name:
.B \-\-help=markdown
prints them with the reasons.
)";

static constexpr const char* man_after = R"(.SH EXIT STATUS
0 if all went well.
1 after an error, which leaves no output, and an output file that was there as it was.
The status of
.B lode air \-\-run
is that of the program.
.SH ENVIRONMENT
None is read.
.SH EXAMPLES
As the linker of a compiler driver, of objects and of bitcode:
.PP
.nf
.RS
clang \-\-ld\-path=ld.lode main.c \-o main
clang \-flto \-\-ld\-path=ld.lode main.c part.c \-o main
.RE
.fi
.PP
A WebAssembly module of bitcode:
.PP
.nf
.RS
lode \-m wasm32 \-\-no\-entry \-\-export=work program.bc \-o program.wasm
.RE
.fi
.PP
An AIR program without a link:
.PP
.nf
.RS
lode air hello.air \-\-run
.RE
.fi
.SH SEE ALSO
.BR ld (1),
.BR clang (1),
.BR gcc (1),
.BR readelf (1)
)";

std::string man_page() {
  // No date: the same tables give the same page.
  std::string out =
      ".\\\" Printed by lode --help=man from the tables that the command line is read with.\n"
      ".TH LODE 1 \"\" \"lode " LODE_VERSION "\" \"User Commands\"\n";
  out += man_before;
  man_rows(out, effective_options(), true);
  out += ".SS Keywords of \\-z\n";
  man_rows(out, z_keywords(), false);
  out += ".SS Keywords of \\-plugin\\-opt\n";
  man_rows(out, plugin_keywords(), false);
  return out + man_after;
}

}  // namespace lode::link::elf
