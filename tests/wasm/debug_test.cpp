// Debug information of clang's objects, relocated: what llvm-dwarfdump reads from it must agree with the module that it
// is about, and with what it reads from wasm-ld's.
#include <catch2/catch.hpp>

#include <cstdio>
#include <set>
#include <sstream>

#include "tests/wasm/project.h"

using namespace lode;
using namespace lode::test;

namespace {

const char* first_source =
    "int shared(int x);\nstatic int twice(int x) {\n  return x * 2;\n}\nint unused(int x) {\n  return x + 1;\n}\n"
    "int one(int x) {\n  int t = 0;\n  for (int i = 0; i < x; i++)\n    t += twice(shared(i));\n  return t;\n}\n";
const char* second_source =
    "int data[4] = {1, 2, 3, 4};\nint shared(int x) {\n  if (x > 3)\n    return -1;\n  return data[x];\n}\nint two(int "
    "x) {\n  return shared(x + 1);\n}\n";

uint64_t section_size(const fw::Module& m, std::string_view name) {
  for (const fw::Section& s : m.sections)
    if (s.id == fw::SectionId::custom && s.name == name) return s.size;
  return 0;
}

struct Debug {
  std::set<std::string> functions;  // name low high, and whether the module's function there has that name
  std::set<std::string> lines;      // function + offset: line, column
};

Debug read_debug(const std::string& path, const std::vector<uint8_t>& bytes) {
  fw::Module m = read_back(bytes);
  auto name_of = [&](size_t body) {
    for (const fw::NamedIndex& n : m.function_names)
      if (n.index == m.imported_functions + body) return std::string(n.name);
    return std::string("?");
  };
  auto body_at = [&](uint64_t address) {
    for (size_t i = 0; i < m.bodies.size(); i++)
      if (address >= m.bodies[i].offset && address < m.bodies[i].end) return i;
    return m.bodies.size();
  };
  Debug d;
  RunResult info = run({"llvm-dwarfdump-19", "--debug-info", path});
  REQUIRE(info.ok());
  // An attribute's value as it is printed in the line: DW_AT_name ("one"), DW_AT_low_pc (0x0000000000000005).
  auto attribute = [](const std::string& line, const char* name) {
    size_t at = line.find(std::string(name) + "\t(");
    if (at == std::string::npos) return std::string();
    at = line.find('(', at) + 1;
    return line.substr(at, line.rfind(')') - at);
  };
  std::istringstream entries(info.out);
  std::string low, high;
  bool subprogram = false;
  for (std::string l; std::getline(entries, l);) {
    if (l.find("DW_TAG_") != std::string::npos) {
      subprogram = l.find("DW_TAG_subprogram") != std::string::npos;
      low = high = "";
    }
    if (!subprogram) continue;
    if (std::string v = attribute(l, "DW_AT_low_pc"); !v.empty()) low = v;
    if (std::string v = attribute(l, "DW_AT_high_pc"); !v.empty()) high = v;
    std::string name = attribute(l, "DW_AT_name");
    if (name.empty() || low.empty() || high.empty()) continue;
    name = name.substr(1, name.size() - 2);
    size_t body = body_at(std::stoull(low, nullptr, 16));
    if (body == m.bodies.size()) continue;  // left out
    d.functions.insert(name + (name_of(body) == name ? " fits" : " does not fit") +
                       (m.bodies[body].end == std::stoull(high, nullptr, 16) ? "" : " and has another end"));
  }
  RunResult line = run({"llvm-dwarfdump-19", "--debug-line", path});
  REQUIRE(line.ok());
  // A row: address, line, column, and more.
  std::istringstream rows(line.out);
  for (std::string l; std::getline(rows, l);) {
    unsigned long long address;
    unsigned number, column;
    if (!l.starts_with("0x") || std::sscanf(l.c_str(), "0x%llx %u %u", &address, &number, &column) != 3) continue;
    size_t body = body_at(address);
    // The end of a sequence is where another function may begin.
    if (body == m.bodies.size() || l.find("end_sequence") != std::string::npos) continue;
    d.lines.insert(name_of(body) + "+" + std::to_string(address - m.bodies[body].offset) + ": " +
                   std::to_string(number) + ", " + std::to_string(column));
  }
  return d;
}

}  // namespace

TEST_CASE("wasm link: debug information fits the module, as wasm-ld's does") {
  LODE_SKIP_IF(project_lacks({"llvm-dwarfdump-19"}));
  Project p;
  for (const char* version : {"-gdwarf-4", "-gdwarf-5"})
    for (const char* level : {"-O0", "-O2"}) {
      INFO(version << " " << level);
      std::vector<std::string> inputs{p.compile("first.c", first_source, {level, version}),
                                      p.compile("second.c", second_source, {level, version}), "--no-entry",
                                      "--export=one", "--export=two"};
      RunResult ours = p.lode(inputs, "ours.wasm"), theirs = p.wasm_ld(inputs, "theirs.wasm");
      INFO(ours.describe());
      REQUIRE(ours.ok());
      REQUIRE(theirs.ok());
      // Version 5: the verifier wants every string of .debug_str_offsets to begin behind another one's end, which
      // strings that share their ends do not, wasm-ld's neither.
      RunResult verified = run({"llvm-dwarfdump-19", "--verify", p.dir.file("ours.wasm")}),
                their_verified = run({"llvm-dwarfdump-19", "--verify", p.dir.file("theirs.wasm")});
      INFO(verified.out << their_verified.out);
      CHECK(verified.ok() == their_verified.ok());
      std::vector<uint8_t> our_bytes = p.bytes("ours.wasm"), their_bytes = p.bytes("theirs.wasm");
      Debug a = read_debug(p.dir.file("ours.wasm"), our_bytes), b = read_debug(p.dir.file("theirs.wasm"), their_bytes);
      CHECK(a.functions == b.functions);
      CHECK(a.functions.contains("one fits"));
      CHECK_FALSE(a.functions.contains("unused fits"));
      CHECK(a.lines == b.lines);
      CHECK(a.lines.size() > 10);
      fw::Module our = read_back(our_bytes), their = read_back(their_bytes);
      for (const char* name : {".debug_info", ".debug_line", ".debug_str", ".debug_abbrev"})
        CHECK(section_size(our, name) == section_size(their, name));

      // Shorter code would not fit; strings stay as they are at -O0.
      std::vector<std::string> more = inputs;
      more.push_back("--compress-relocations");
      RunResult refused = p.lode(more, "refused.wasm");
      CHECK(refused.status == 1);
      CHECK(refused.err.find("--compress-relocations is incompatible with output debug information") !=
            std::string::npos);
      more.push_back("--strip-debug");
      CHECK(p.lode(more, "stripped.wasm").ok());
      more = inputs;
      more.push_back("-O0");
      REQUIRE(p.lode(more, "apart.wasm").ok());
      REQUIRE(p.wasm_ld(more, "apart-theirs.wasm").ok());
      our_bytes = p.bytes("apart.wasm"), their_bytes = p.bytes("apart-theirs.wasm");
      our = read_back(our_bytes), their = read_back(their_bytes);
      CHECK(section_size(our, ".debug_str") == section_size(their, ".debug_str"));
    }
}
