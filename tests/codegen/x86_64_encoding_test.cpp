// Every row of the instruction table, with operands that reach every case of modrm, sib, REX, displacement and
// immediate, against the bytes that LLVM's assembler makes of the printed text.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <sstream>

#include "codegen/x86_64/emit.h"
#include "codegen/x86_64/module_assembler.h"
#include "codegen/x86_64/mir_writer.h"
#include "codegen/x86_64/print.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"

using namespace lode;
using namespace lode::x86_64;

namespace {

constexpr uint64_t text_address = 0x10000;

std::string bytes_of(const mir::FunctionDraft& draft, uint64_t constants_address) {
  mir::FunctionView view = view_of(draft);
  codegen::ResolvedReference resolved[2] = {};
  codegen::TargetOptions options;
  auto sizes = measure(view, {resolved, draft.references.size()}, options);
  if (!sizes.ok()) return "error: " + sizes.error().text();
  std::string text(sizes->text, '\0'), constants(sizes->constants, '\0');
  codegen::EmitPlace place;
  place.text = reinterpret_cast<uint8_t*>(text.data());
  place.constants = reinterpret_cast<uint8_t*>(constants.data());
  place.text_address = text_address;
  place.constants_address = constants_address;
  auto done = emit(view, {resolved, draft.references.size()}, options, place);
  if (!done.ok()) return "error: " + done.error().text();
  return text;
}

std::string hex(const std::string& s) {
  std::string out;
  char buf[4];
  for (unsigned char c : s) {
    std::snprintf(buf, sizeof buf, "%02x ", c);
    out += buf;
  }
  return out;
}

struct Case {
  Op op;
  std::string text, bytes;
};

std::vector<Mem> memories() {
  std::vector<Mem> out;
  for (uint8_t base = 0; base < 16; base++)
    for (int32_t disp : {0, 1, -1, 127, 128, -128, -129, 0x12345678}) out.push_back(Mem::at(base, disp));
  for (uint8_t base : {0, 4, 5, 11, 12, 13})
    for (uint8_t index : {0, 5, 12, 13, 15})
      for (int32_t disp : {0, 127, 128, -128, -129, -70000})
        out.push_back(Mem::indexed(base, index, (base + index + disp) & 3, disp));
  for (uint8_t index : {0, 3, 5, 12, 13}) out.push_back(Mem::scaled(index, index & 3, index * 1000 - 128));
  out.push_back(Mem::absolute(0x1234));
  out.push_back(Mem::absolute(-8));
  out.push_back(Mem::absolute(0, Segment::fs));
  Mem gs = Mem::at(3, 40);
  gs.segment = Segment::gs;
  out.push_back(gs);
  return out;
}

std::vector<int64_t> immediates(Imm kind) {
  std::vector<int64_t> v;
  switch (kind) {
    case Imm::none: return {0};
    case Imm::ib: return {0, 1, 5, 127, -128, -1};
    case Imm::r4: return {0x00, 0x70, -128, -16};
    case Imm::sh: return {1, 2, 7};
    case Imm::iw:
    case Imm::zw: return {0, 1, 127, 128, -128, -129, 32767, -32768};
    case Imm::id:
    case Imm::zd:
      return {0,         1,
              12,        13,
              -2,        -3,
              127,       128,
              -128,      -129,
              1000000,   INT32_MAX,
              INT32_MIN, (1 << 26) - 1,
              1 << 26,   -(1 << 26) - 1};
    case Imm::iq: return {0, -1, 0x123456789abcdef0, INT64_MIN};
  }
  return v;
}

// Beyond those of the processor that is named.
constexpr std::string_view attributes =
    "+gfni,+vaes,+vpclmulqdq,+sha,+shstk,+waitpkg,+movdiri,+movdir64b,+enqcmd,+ptwrite,+cldemote,+rdpid,+clwb,+pku,"
    "+serialize,+tsxldtrk,+rtm,+mwaitx,+clzero,+rdpru,+invpcid,+wbnoinvd,+pconfig,+sgx,+mmx";

void cases_of(Op op, const std::vector<Mem>& all_memories, std::vector<Case>& out) {
  const InstInfo& row = info(op);
  auto add = [&](Cond cc, unsigned a, unsigned b, const Mem* m, int64_t imm, unsigned c = 0) {
    auto numbers = [](RegKind k) { return k == RegKind::sg ? 6u : k == RegKind::mm || k == RegKind::dr ? 8u : 16u; };
    a %= numbers(row.a);
    b %= numbers(row.b);
    mir::FunctionDraft draft;
    MirWriter w(draft);
    switch (row.form) {
      case Form::none: w.op(op); break;
      case Form::r: w.r(op, uint8_t(a), cc); break;
      case Form::rr: w.rr(op, uint8_t(a), uint8_t(b), cc); break;
      case Form::ri: w.ri(op, uint8_t(a), imm); break;
      case Form::i: w.i(op, imm); break;
      case Form::rri: w.rri(op, uint8_t(a), uint8_t(b), imm); break;
      case Form::rm: w.rm(op, uint8_t(a), *m, cc); break;
      case Form::mr: w.mr(op, *m, uint8_t(a)); break;
      case Form::m: w.m(op, *m, cc); break;
      case Form::mi: w.mi(op, *m, imm); break;
      case Form::rmi: w.rmi(op, uint8_t(a), *m, imm); break;
      case Form::mri: w.mri(op, *m, uint8_t(a), imm); break;
      case Form::rrr: case Form::rrri: w.rrr(op, uint8_t(a), uint8_t(b), uint8_t(c), imm); break;
      case Form::rrm: case Form::rmr: case Form::mrr: w.rrm(op, uint8_t(a), uint8_t(b), *m); break;
      case Form::rrmi: w.rrmi(op, uint8_t(a), uint8_t(b), *m, imm); break;
      default: return;
    }
    draft.frame[frame::word_flags] = 0;  // a call alone needs no frame here
    std::string memory;
    uint64_t constants = 0;
    std::string text = m && m->kind == Mem::Kind::constants ? "" : print_instruction(view_of(draft), 0);
    std::string bytes;
    if (text.empty()) {
      // rip-relative: the constants lie where the displacement comes out as 0x01020304 whatever the instruction's
      // length
      constants = text_address + 0x01020304;
      size_t length = bytes_of(draft, constants).size();
      constants += length;
      text = print_row(row, cc, a, b, "16909060(%rip)", imm);
    }
    if (text == "xchgq %rax, %rax") return;  // LLVM shortens it to nop
    bytes = bytes_of(draft, constants);
    out.push_back({op, text, bytes});
  };
  unsigned conditions = row.traits & T_cc ? 16 : 1;
  auto limit = [](RegKind k) { return k == RegKind::st ? 8u : 16u; };
  switch (row.form) {
    case Form::none:
      // A prefix alone is nothing to LLVM's assembler; with a jump behind it is seen in tests/link/requests_test.cpp.
      if (op != Op::notrack) add(Cond::o, 0, 0, nullptr, 0);
      break;
    case Form::r:
      for (unsigned cc = 0; cc < conditions; cc++)
        for (unsigned a = row.traits & T_st0_first ? 1 : 0; a < limit(row.a); a++) add(Cond(cc), a, 0, nullptr, 0);
      break;
    case Form::rr:
      for (unsigned a = 0; a < 16; a++)
        for (unsigned b = 0; b < 16; b++) add(Cond((a * 5 + b) % conditions), a, b, nullptr, 0);
      break;
    case Form::ri:
      for (unsigned a = 0; a < 16; a++)
        for (int64_t imm : immediates(row.imm)) add(Cond::o, a, 0, nullptr, imm);
      break;
    case Form::i:
      for (int64_t imm : immediates(row.imm)) add(Cond::o, 0, 0, nullptr, imm);
      break;
    case Form::rri:
      for (unsigned a = 0; a < 16; a += 3)
        for (unsigned b = 0; b < 16; b += 5)
          for (int64_t imm : immediates(row.imm)) add(Cond::o, a, b, nullptr, imm);
      break;
    case Form::rrr: case Form::rrri:
      for (unsigned a = 0; a < 16; a += 3)
        for (unsigned b = 0; b < 16; b += 5)
          for (unsigned c = 1; c < 16; c += 4)
            for (int64_t imm : immediates(row.imm)) add(Cond::o, a, b, nullptr, imm, c);
      break;
    default: {
      const bool vsib = row.traits & T_vsib;
      unsigned n = 0;
      for (const Mem& m : all_memories) {
        n++;
        // A vector index has to be another register than the other two.
        if (vsib && (m.index == reg::none || m.index == (n * 7) % 16 || m.index == (n * 11) % 16 || (n * 4) % 16 == 0))
          continue;
        auto imms = immediates(row.imm);
        add(Cond(n % conditions), (n * 7) % 16, (n * 11) % 16, &m, imms[n % imms.size()]);
      }
      if (vsib) break;
      Mem rip = Mem::constants(0);
      for (unsigned a = 0; a < 16; a++)
        for (int64_t imm : immediates(row.imm)) add(Cond(a % conditions), a, 0, &rip, imm);
      break;
    }
  }
}

}  // namespace

TEST_CASE("x86_64 encoding: every row agrees with LLVM's assembler", "[x86_64]") {
  std::string tool;
  for (const char* name : {"llvm-mc-19", "llvm-mc", "llvm-mc-14"})
    if (tool.empty() && test::have_tool(name)) tool = name;
  if (tool.empty()) LODE_SKIP("llvm-mc is not installed");
  std::vector<Case> cases;
  std::vector<Mem> mems = memories();
  for (unsigned op = 0; op < op_count; op++) cases_of(Op(op), mems, cases);
  std::string input;
  for (const Case& c : cases) input += c.text + "\n";
  test::RunOptions options;
  options.input = input;
  auto r = test::run({tool, "-triple=x86_64-linux-gnu", "-mcpu=skylake", "-mattr=" + std::string(attributes),
                      "-show-encoding"},
                     options);
  INFO(r.err.substr(0, 3000));
  REQUIRE(r.ok());
  // One "# encoding: [0x..,0x..]" an instruction; "lock addl" may stand in two, and so do "rep movs".
  std::istringstream lines(r.out);
  std::string line, expected, report;
  std::vector<unsigned> reported(op_count);
  size_t at = 0, wrong = 0;
  while (std::getline(lines, line)) {
    size_t e = line.find("encoding: [");
    if (e == std::string::npos) continue;
    std::string bytes = line.substr(e + 11, line.find(']', e) - e - 11);
    std::string one;
    for (size_t k = 0; k < bytes.size(); k += 5) one += char(std::strtoul(bytes.substr(k, 4).c_str(), nullptr, 16));
    expected += one;
    if (expected == "\xf0" || expected == "\xf3") continue;
    if (at >= cases.size()) break;
    const Case& c = cases[at];
    if (c.bytes != expected && ++wrong && reported[unsigned(c.op)]++ < 2 && report.size() < 20000)
      report += c.text + "\n  ours " + (c.bytes.substr(0, 5) == "error" ? c.bytes : hex(c.bytes)) + "\n  llvm " +
                hex(expected) + line + "\n";
    at++;
    expected.clear();
  }
  INFO(report);
  CHECK(at == cases.size());
  CHECK(wrong == 0);
  CHECK(cases.size() > 50000);
}

// What LLVM's disassembler writes for the bytes of a row, in one syntax after the other, is assembled again.
TEST_CASE("x86_64 assembler: rows from LLVM's text, in both syntaxes", "[x86_64]") {
  if (!test::have_tool("llvm-mc-19")) LODE_SKIP("llvm-mc-19 is not installed");
  std::vector<Case> cases;
  std::vector<Mem> mems = memories();
  for (unsigned op = 0; op < op_count; op++) {
    std::vector<Case> all;
    if (Op(op) == Op::notrack) continue;
    cases_of(Op(op), mems, all);
    for (size_t k = 0; k < all.size(); k += std::max<size_t>(all.size() / 7, 1)) cases.push_back(all[k]);
  }
  auto bytes_as_text = [](const std::string& bytes) {
    std::string out;
    char buf[8];
    for (unsigned char c : bytes) {
      std::snprintf(buf, sizeof buf, "0x%02x ", c);
      out += buf;
    }
    return out + "\n";
  };
  for (const char* variant : {"0", "1"}) {
    const bool intel = *variant == '1';
    auto disassembled = [&](const std::vector<std::string>& all) {
      test::RunOptions options;
      for (const std::string& bytes : all) options.input += bytes_as_text(bytes);
      auto r = test::run({"llvm-mc-19", "--disassemble", "-triple=x86_64-linux-gnu", "-mcpu=skylake",
                          "-mattr=" + std::string(attributes), std::string("--output-asm-variant=") + variant},
                         options);
      INFO(r.err.substr(0, 2000));
      CHECK(r.ok());
      std::vector<std::string> lines;
      std::istringstream text(r.out);
      for (std::string line; std::getline(text, line);) {
        line = line.substr(std::min(line.find_first_not_of(" \t"), line.size()));
        if (!line.empty() && line[0] != '.') lines.push_back(line.substr(0, line.find('#')));
      }
      return lines;
    };
    // A prefix stands on a line of its own in some of them: one run for each would be long, so such are joined.
    std::vector<std::string> bytes;
    for (const Case& c : cases) bytes.push_back(c.bytes);
    std::vector<std::string> lines = disassembled(bytes), joined;
    for (size_t k = 0; k < lines.size(); k++) {
      const std::string word = lines[k].substr(0, lines[k].find_last_not_of(" \t") + 1);
      const bool prefix = word == "lock" || word == "rep" || word == "repne";
      joined.push_back(prefix && k + 1 < lines.size() ? word + " " + lines[k + 1] : lines[k]);
      if (prefix) k++;
    }
    REQUIRE(joined.size() == cases.size());
    std::string report;
    std::vector<std::string> other;
    std::vector<size_t> other_of;
    size_t wrong = 0;
    for (size_t k = 0; k < cases.size(); k++) {
      auto made = x86_64::assemble_module((intel ? ".intel_syntax noprefix\n" : "") + joined[k] + "\n");
      std::string got;
      if (made.ok() && !made->sections.empty())
        got.assign(made->sections[0].bytes.begin(), made->sections[0].bytes.end());
      if (got == cases[k].bytes) continue;
      if (!got.empty() && got.size() <= cases[k].bytes.size()) {  // another encoding of the same
        other.push_back(got);
        other_of.push_back(k);
        continue;
      }
      if (++wrong < 100)
        report += joined[k] + "\n  " + (made.ok() ? "got " + hex(got) : made.error().text()) + "\n  of " +
                  hex(cases[k].bytes) + " " + cases[k].text + "\n";
    }
    std::vector<std::string> again = disassembled(other);
    for (size_t k = 0; k < other.size() && again.size() == other.size(); k++)
      if (again[k] != joined[other_of[k]] && ++wrong < 100)
        report += joined[other_of[k]] + " became " + again[k] + "\n";
    INFO(report);
    CHECK(wrong == 0);
  }
}
