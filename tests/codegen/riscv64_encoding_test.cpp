// Every row of the tables against LLVM's tools, both ways: the text of an instruction assembled to our bytes, with and
// without compression, and our bytes disassembled to the text.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <sstream>

#include "base/bytes.h"
#include "codegen/riscv64/mir_writer.h"
#include "codegen/riscv64/print.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"

using namespace lode;
using namespace lode::riscv64;

namespace {

const char* const attributes = "+m,+a,+f,+d,+zicsr,+zifencei,+zba,+zbb,+zbc,+zbs,+zicond,+zihintpause";

struct Case {
  std::string text, bytes;
};

std::string bytes_of(uint64_t word, size_t n) {
  std::string s;
  for (size_t k = 0; k < n; k++) s += char(word >> (8 * k));
  return s;
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

std::vector<int64_t> immediates(const InstInfo& row) {
  switch (row.form) {
    case Form::i: case Form::load: case Form::store:
      return {0,  1,   -1,  4,   8,   16,  24, 31,   32,   -32,  -33,  100, 120, 124,  128,  240,  248,
              252, 256, 496, 504, 512, 1020, 1024, 2040, 2047, -16, -512, -528, -2000, -2048};
    case Form::shift: return {0, 1, 7, 31, 32, 63};
    case Form::shiftw: return {0, 1, 7, 31};
    case Form::u: return {0, 1, 31, 32, 0x12345, 0x7ffff, 0x80000, 0xfffdf, 0xfffe0, 0xfffff};
    case Form::j: return {0, 2, -2, 2046, -2048, 2048, 1048574, -1048576, 0x5554};
    case Form::b: return {0, 2, -2, 254, 256, -256, -2000, 4094, -4096};
    case Form::csr: case Form::csri: return {1, 2, 3, 0xc00, 0xc01, 0xc02};
    case Form::fence: return {0x33, 0x31, 0x23, 0xff, 0x12, 0x84};
    default: return {0};
  }
}

// Operands that reach every register in every place, equal ones, and every immediate.
std::vector<Fields> operands(const InstInfo& row) {
  std::vector<Fields> out;
  const std::vector<int64_t> imms = immediates(row);
  const unsigned modes = row.form == Form::amo || row.form == Form::lr ? 4 : row.traits & T_rm ? 8 : 1;
  if (row.form == Form::none) return {{}};
  size_t n = 0;
  auto add = [&](unsigned a, unsigned b, unsigned c) {
    Fields f;
    f.a = uint8_t(a), f.b = uint8_t(b), f.c = uint8_t(c), f.d = uint8_t((a + b + 3) & 31);
    f.mode = uint8_t(modes == 8 ? 7 : n % modes);
    f.imm = imms[n % imms.size()];
    n++;
    if (row.form == Form::fence || row.form == Form::u || row.form == Form::j) f.b = f.c = f.d = 0;
    out.push_back(f);
  };
  for (unsigned a = 0; a < 32; a++)
    for (unsigned b = 0; b < 32; b++) {
      add(a, b, a);
      add(a, a, b);
      if ((a + b) % 5 == 0) add(a, b, (a * 7 + b) & 31);
    }
  for (unsigned a : {0u, 2u, 8u, 10u, 15u, 28u})
    for (unsigned b : {0u, 2u, 8u, 10u, 15u, 28u})
      for (size_t k = 0; k < imms.size(); k++) add(a, b, 9);
  if (modes == 8)
    for (uint8_t mode : {0, 1, 2, 3, 4}) {
      out.push_back({10, 11, 12, 13, mode, 0});
    }
  return out;
}

std::vector<std::string> encodings(const std::string& input, bool compressed) {
  test::RunOptions options;
  options.input = input;
  auto r = test::run({"llvm-mc-19", "-triple=riscv64", std::string("-mattr=") + attributes + (compressed ? ",+c" : ""),
                      "-show-encoding"},
                     options);
  INFO(r.err.substr(0, 3000));
  REQUIRE(r.ok());
  std::istringstream lines(r.out);
  std::vector<std::string> out;
  std::string line;
  while (std::getline(lines, line)) {
    const size_t e = line.find("encoding: [");
    if (e == std::string::npos) continue;
    const std::string bytes = line.substr(e + 11, line.find(']', e) - e - 11);
    std::string one;
    for (size_t k = 0; k < bytes.size(); k += 5) one += char(std::strtoul(bytes.substr(k, 4).c_str(), nullptr, 16));
    out.push_back(one);
  }
  return out;
}

void compare(const std::vector<Case>& cases, const std::vector<std::string>& llvm) {
  std::string report;
  size_t wrong = 0;
  for (size_t k = 0; k < cases.size() && k < llvm.size(); k++)
    if (cases[k].bytes != llvm[k] && ++wrong && report.size() < 4000)
      report += cases[k].text + "\n  ours " + hex(cases[k].bytes) + "\n  llvm " + hex(llvm[k]) + "\n";
  INFO(report);
  CHECK(llvm.size() == cases.size());
  CHECK(wrong == 0);
}

bool is_machine(const InstInfo& row) { return row.form < Form::pseudo_none; }

}  // namespace

TEST_CASE("riscv64 encoding: every row agrees with LLVM's assembler", "[riscv64]") {
  if (!test::have_tool("llvm-mc-19")) LODE_SKIP("llvm-mc-19 is not installed");
  for (bool compressed : {false, true}) {
    std::vector<Case> cases;
    std::string input;
    for (unsigned op = 0; op < op_count; op++) {
      const InstInfo& row = inst_table[op];
      if (!is_machine(row)) continue;
      for (const Fields& f : operands(row)) {
        REQUIRE(valid(row, f));
        // Forms by distance are chosen elsewhere.
        if (compressed && (row.form == Form::j || row.form == Form::b)) continue;
        uint8_t out[4];
        const size_t n = size_t((compressed ? put(out, Op(op), f) : put32(out, Op(op), f)) - out);
        cases.push_back({print_row(row, f), std::string(reinterpret_cast<char*>(out), n)});
        input += cases.back().text + "\n";
      }
    }
    CHECK(cases.size() > 100000);
    compare(cases, encodings(input, compressed));
  }
}

TEST_CASE("riscv64 encoding: every row agrees with LLVM's disassembler", "[riscv64]") {
  if (!test::have_tool("llvm-mc-19")) LODE_SKIP("llvm-mc-19 is not installed");
  std::vector<std::string> texts;
  std::string input;
  for (unsigned op = 0; op < op_count; op++) {
    const InstInfo& row = inst_table[op];
    if (!is_machine(row)) continue;
    for (const Fields& f : operands(row)) {
      uint8_t out[4];
      put32(out, Op(op), f);
      char text[32];
      std::snprintf(text, sizeof text, "0x%02x 0x%02x 0x%02x 0x%02x\n", out[0], out[1], out[2], out[3]);
      input += text;
      texts.push_back(print_row(row, f));
    }
  }
  test::RunOptions options;
  options.input = input;
  auto r = test::run({"llvm-mc-19", "-triple=riscv64", std::string("-mattr=") + attributes, "-disassemble",
                      "-M", "no-aliases"},
                     options);
  INFO(r.err.substr(0, 3000));
  REQUIRE(r.ok());
  std::istringstream lines(r.out);
  std::string line, report;
  size_t at = 0, wrong = 0;
  while (std::getline(lines, line)) {
    if (line.empty() || line.find(".text") != std::string::npos || at >= texts.size()) continue;
    std::string text;
    for (char c : line)
      if (c == '\t') {
        if (!text.empty()) text += ' ';
      } else {
        text += c;
      }
    if (text.ends_with(", dyn")) text.resize(text.size() - 5);
    std::string ours = texts[at++];
    if (ours == "unimp") ours = "csrrw zero, cycle, zero";
    if (ours == "pause") ours = "fence w, 0";
    if (text == "unimp") text = "csrrw zero, cycle, zero";
    if (text == "pause") text = "fence w, 0";
    if (ours != text && ++wrong && report.size() < 4000) report += ours + "\n  llvm " + text + "\n";
  }
  INFO(report);
  CHECK(at == texts.size());
  CHECK(wrong == 0);
}

TEST_CASE("riscv64 encoding: every 16-bit row is reached and agrees with LLVM's assembler", "[riscv64]") {
  if (!test::have_tool("llvm-mc-19")) LODE_SKIP("llvm-mc-19 is not installed");
  std::vector<Case> cases;
  std::string input;
  std::vector<unsigned> reached(compressed_count);
  for (unsigned op = 0; op < op_count; op++) {
    const InstInfo& row = inst_table[op];
    if (!is_machine(row)) continue;
    for (const Fields& f : operands(row)) {
      const int32_t word = compress(Op(op), f);
      if (word < 0) continue;
      for (unsigned k = 0; k < compressed_count; k++) {
        const CompressedInfo& c = compressed_table[k];
        if (c.full != Op(op)) continue;
        const std::string text = print_compressed(c, f);
        // The row is the one whose fixed bits the word has: its opcode and its upper three bits at least.
        if ((word & 0xe003) != (c.match & 0xe003)) continue;
        const std::string_view name = c.mnemonic;
        if (name == "c.nop" && word != 1) continue;
        if (name == "c.addi" && (f.a == 0 || f.imm == 0)) continue;
        if ((name == "c.li" && f.b != 0) || (name == "c.addiw" && f.a != f.b)) continue;
        if (name == "c.addi16sp" && !(f.a == 2 && f.b == 2 && f.imm && f.imm % 16 == 0 && (f.imm > 31 || f.imm < -32)))
          continue;
        if (name == "c.addi" && f.a != f.b) continue;
        if ((name == "c.mv" || name == "c.add") && (word & 0xf003) != c.match) continue;
        if ((name == "c.jr" || name == "c.jalr") && (word & 0xf003) != c.match) continue;
        if ((c.match & 0xfc03) != (word & 0xfc03) && (c.match & 0xe003) == 0x8001 && (c.match & 0xc00) != 0xc00 &&
            (c.match & 0xc00) != (word & 0xc00))
          continue;
        reached[k]++;
        cases.push_back({text, bytes_of(uint64_t(word), 2)});
        input += text + "\n";
        break;
      }
    }
  }
  for (unsigned k = 0; k < compressed_count; k++) {
    INFO(compressed_table[k].name);
    CHECK(reached[k] > 0);
  }
  compare(cases, encodings(input, true));
}

TEST_CASE("riscv64 encoding: distances of branches and jumps", "[riscv64]") {
  if (!test::have_tool("llvm-mc-19")) LODE_SKIP("llvm-mc-19 is not installed");
  std::vector<Case> cases;
  std::string input;
  for (int32_t d : {2, -2, 64, 254, -256, 100, -100, 2046, -2048, 1000, -1366}) {
    cases.push_back({"c.j " + std::to_string(d), bytes_of(0xa001u | short_jump_bits(d), 2)});
    if (d < 256 && d >= -256) {
      cases.push_back({"c.beqz a0, " + std::to_string(d), bytes_of(0xc001u | 2 << 7 | short_branch_bits(d), 2)});
      cases.push_back({"c.bnez s1, " + std::to_string(d), bytes_of(0xe001u | 1 << 7 | short_branch_bits(d), 2)});
    }
  }
  for (const Case& c : cases) input += c.text + "\n";
  compare(cases, encodings(input, true));
}

TEST_CASE("riscv64: constants are made exactly, and nearly always as short as LLVM makes them", "[riscv64]") {
  std::vector<int64_t> values = {0, 1, -1, 2047, -2048, 2048, 4096, 0x7fffffff, -0x80000000ll, 0x7ffff800, 0x7ffff7ff,
                                 0x80000000ll, 0xffffffffll, 0x100000000ll, INT64_MAX, INT64_MIN, 0x123456789abcdef0,
                                 -0x123456789abcdefll, 0x5555555555555555, 0x0f0f0f0f0f0f0f0f, 0xff00ff00ff00ff,
                                 0x7fffffffff, -0x7ffff800ll, -0x7ffff801ll, 0xffff0000ll, 0x3ff0000000000000,
                                 0x7ff0000000000000, int64_t(0xfff8000000000000), 0xfffffffffffll, 0x1fffff800ll};
  uint64_t random = 88172645463325252u;
  for (int k = 0; k < 2000; k++) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    values.push_back(int64_t(random) >> (random & 63));
    values.push_back(int64_t(uint64_t{1} << (k & 63)) + k % 5 - 2);
  }
  std::string input;
  for (int64_t v : values) {
    mir::FunctionDraft draft;
    MirWriter w(draft);
    w.load_immediate(10, v);
    uint64_t r = 0xdeadbeef, scratch = 0;
    for (uint32_t k = 0; k < draft.tags.size(); k++) {
      const Op op = tag_op(draft.tags[k]);
      const Fields f = Decoder::fields(info(op), draft.operands[k]);
      REQUIRE(valid(info(op), f));
      const uint64_t source = op != Op::lui && f.b == 0 ? 0 : r;
      switch (op) {
        case Op::lui: r = uint64_t(int64_t(int32_t(uint32_t(f.imm) << 12))); break;
        case Op::addi: r = source + uint64_t(f.imm); break;
        case Op::addiw: r = uint64_t(int64_t(int32_t(uint32_t(source) + uint32_t(f.imm)))); break;
        case Op::slli: (f.a == reg::scratch ? scratch : r) = source << f.imm; break;
        case Op::add: r = r + scratch; break;
        case Op::srli: r = source >> f.imm; break;
        default: FAIL("an instruction that constants are not made of");
      }
    }
    INFO(v);
    CHECK(int64_t(r) == v);
    CHECK(draft.tags.size() == immediate_cost(v));
    input += "li a0, " + std::to_string(v) + "\n.word 0\n";
  }
  if (!test::have_tool("llvm-mc-19")) LODE_SKIP("llvm-mc-19 is not installed");
  test::RunOptions options;
  options.input = input;
  auto r = test::run({"llvm-mc-19", "-triple=riscv64"}, options);
  REQUIRE(r.ok());
  std::istringstream lines(r.out);
  std::string line, examples;
  size_t at = 0, count = 0, longer = 0;
  while (std::getline(lines, line)) {
    if (line.find(".word") != std::string::npos) {
      if (immediate_cost(values[at]) > count && ++longer < 20)
        examples += std::to_string(values[at]) + ": " + std::to_string(immediate_cost(values[at])) +
                    " instructions, LLVM " + std::to_string(count) + "\n";
      at++;
      count = 0;
    } else if (line.find("a0") != std::string::npos) {
      count++;
    }
  }
  REQUIRE(at == values.size());
  INFO(examples);
  CHECK(longer * 20 < values.size());
}
