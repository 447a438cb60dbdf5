// The ELF linker's side of riscv64: fields of instructions at the edges of what they hold, compared with what lld
// writes; relaxation by what is left of a section; what objects say of themselves; objects that are wrong.
#include <catch2/catch.hpp>

#include "tests/link/elf_link_support.h"
#include "tests/support/link_graph.h"
#include "tests/support/riscv64_object.h"
#include "tests/support/skip.h"

using namespace lode::test;
using namespace lode::test::elf;
using namespace lode::test::riscv64;

namespace {

std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

struct Row {
  uint32_t type;
  std::string code;               // at the place
  bool distance;                  // values count from the place
  std::vector<int64_t> fits, not_fit;
};

constexpr int64_t top = 0x7ffff7ff;  // the largest value of an upper and a lower part
const std::vector<int64_t> edges = {0,      1,       0x7ff,       0x800,       0xfff,  0x1000,
                                    -1,     -0x800,  -0x801,      -0x1000,     top,    top - 0xfff,
                                    -top,   -0x80000000ll, 0x12345678, -0x12345678};
const std::vector<int64_t> beyond = {top + 1, 0x80000000ll, -0x80000801ll};
const std::vector<int64_t> any = {0, 1, 0x7f, 0x80, 0xff, 0x1234, -1, -0x80};

std::vector<int64_t> even(std::vector<int64_t> v) {
  for (int64_t& x : v) x &= ~int64_t{1};
  return v;
}

const std::vector<Row>& rows() {
  using namespace fe;
  static const std::string odd8("\xc5\x01\x02\x03\x04\x05\x06\x07", 8);
  static const std::vector<Row> table = {
      {R_RISCV_HI20, words({lui_a0}), false, edges, beyond},
      {R_RISCV_LO12_I, words({addi_a0}), false, edges, {}},
      {R_RISCV_LO12_S, words({sd_a0}), false, edges, {}},
      {R_RISCV_PCREL_HI20, words({auipc_a0}), true, edges, beyond},
      {R_RISCV_CALL, words({auipc_ra, jalr_ra}), true, even(edges), beyond},
      {R_RISCV_CALL_PLT, words({auipc_ra, jalr_ra}), true, even(edges), beyond},
      {R_RISCV_JAL, words({0xef}), true, {0, 2, 0x7fe, 0x800, 0xffffe, -0x800, -0x100000}, {0x100000, -0x100002, 1}},
      {R_RISCV_BRANCH, words({0xb50063}), true, {0, 2, 0x7fe, 0x800, 0xffe, -2, -0x1000}, {0x1000, -0x1002, 3}},
      {R_RISCV_RVC_BRANCH, std::string("\x01\xc1", 2), true, {0, 2, 0x3e, 0x40, 0xfe, -0x100}, {0x100, -0x102, 1}},
      {R_RISCV_RVC_JUMP, std::string("\x01\xa0", 2), true, {0, 2, 0x3fe, 0x400, 0x7fe, -2, -0x800}, {0x800, -0x802}},
      {R_RISCV_32, odd8, false, {0, 1, 0x7fffffff, 0xffffffff}, {0x100000000}},
      {R_RISCV_64, odd8, false, edges, {}},
      {R_RISCV_32_PCREL, odd8, true, {0, 1, 0x7fffffff, -0x80000000ll}, {0x80000000ll, -0x80000001ll}},
      {R_RISCV_PLT32, odd8, true, {0, 1, 0x7fffffff, -0x80000000ll}, {0x80000000ll}},
      {R_RISCV_ADD8, odd8, false, any, {}},
      {R_RISCV_ADD16, odd8, false, any, {}},
      {R_RISCV_ADD32, odd8, false, any, {}},
      {R_RISCV_ADD64, odd8, false, any, {}},
      {R_RISCV_SUB8, odd8, false, any, {}},
      {R_RISCV_SUB16, odd8, false, any, {}},
      {R_RISCV_SUB32, odd8, false, any, {}},
      {R_RISCV_SUB64, odd8, false, any, {}},
      {R_RISCV_SUB6, odd8, false, any, {}},
      {R_RISCV_SET6, odd8, false, any, {}},
      {R_RISCV_SET8, odd8, false, any, {}},
      {R_RISCV_SET16, odd8, false, any, {}},
      {R_RISCV_SET32, odd8, false, any, {}},
  };
  return table;
}

constexpr uint64_t base = uint64_t{1} << 36;  // in the middle of what distances reach

// A place for each value, against a symbol of that value or distance.
ElfObject places(const Row& row, const std::vector<int64_t>& values) {
  ElfObject o = object();
  std::string code;
  for (size_t k = 0; k < values.size(); k++) code += row.code;
  const uint32_t text = o.text(".text", code, 4);
  o.symbol("_start", text);
  for (size_t k = 0; k < values.size(); k++) {
    const uint64_t at = k * row.code.size();
    const std::string name = "v" + std::to_string(k);
    o.symbol(name, fe::SHN_ABS, {.value = uint64_t(values[k]) + (row.distance ? base + at : 0)});
    o.relocate(text, at, row.type, name);
  }
  return o;
}

Args place_link(const std::string& object, const std::string& output) {
  return {"-m", "elf64lriscv", "--no-relax", "-Ttext=0x1000000000", object, "-o", output};
}

std::string section_bytes(const TempDir& dir, const std::string& file, const std::string& section = ".text") {
  const std::string out = dir.file("section.bin");
  run({"llvm-objcopy-19", "--dump-section=" + section + "=" + out, file, "/dev/null"});
  return read_file(out);
}

}  // namespace

TEST_CASE("riscv64: fields hold what lld puts into them, up to the edges") {
  LODE_NEEDS("ld.lld-19", "llvm-objcopy-19");
  TempDir dir;
  for (const Row& row : rows()) {
    INFO("relocation type " << row.type);
    const std::string o = dir.write("in.o", text_of(places(row, row.fits).bytes()));
    const std::string ours = dir.file("ours"), theirs = dir.file("theirs");
    RunResult l = link(place_link(o, ours)), t = run(Args{"ld.lld-19"} + place_link(o, theirs));
    INFO(l.describe() << t.describe());
    REQUIRE(l.ok());
    REQUIRE(t.ok());
    const bool same = section_bytes(dir, ours) == section_bytes(dir, theirs);
    CHECK(same);
  }
}

TEST_CASE("riscv64: a value that a field does not hold is an error with the place and the field's size") {
  TempDir dir;
  for (const Row& row : rows())
    for (int64_t v : row.not_fit) {
      INFO("relocation type " << row.type << " value " << v);
      const std::string o = dir.write("in.o", text_of(places(row, {v}).bytes()));
      const std::string e = error_of(place_link(o, dir.file("out")));
      CHECK(has(e, "in.o:(.text+0x0)"));
      CHECK(has(e, "relocation R_RISCV_"));
      CHECK(has(e, "out of range: " + std::to_string(v) + " does not fit in "));
    }
}

TEST_CASE("riscv64: lower parts follow the upper part that their label names") {
  LODE_NEEDS("ld.lld-19", "llvm-objcopy-19");
  TempDir dir;
  ElfObject o = object();
  // The second pair stands around the first; both lower parts of the third come later, one of them a store.
  const uint32_t text =
      o.text(".text", words({auipc_a0, auipc_a0, addi_a0, lw_a0, auipc_a0, nop, nop, ld_a0, sd_a0}), 4);
  o.symbol("_start", text);
  o.local(".L0", text, 4);
  o.local(".L1", text, 0);
  o.symbol("global_label", text, {.value = 16});
  o.symbol("near", fe::SHN_ABS, {.value = base + 0x7fc});
  o.symbol("far", fe::SHN_ABS, {.value = base + top - 3});
  o.symbol("behind", fe::SHN_ABS, {.value = base - 0x801});
  o.relocate(text, 0, fe::R_RISCV_PCREL_HI20, "near", 4);
  o.relocate(text, 4, fe::R_RISCV_PCREL_HI20, "far");
  o.relocate(text, 8, fe::R_RISCV_PCREL_LO12_I, ".L0");
  o.relocate(text, 12, fe::R_RISCV_PCREL_LO12_I, ".L1");
  o.relocate(text, 16, fe::R_RISCV_PCREL_HI20, "behind");
  o.relocate(text, 28, fe::R_RISCV_PCREL_LO12_I, "global_label");
  o.relocate(text, 32, fe::R_RISCV_PCREL_LO12_S, "global_label");
  const std::string in = dir.write("in.o", text_of(o.bytes()));
  const std::string ours = dir.file("ours"), theirs = dir.file("theirs");
  REQUIRE(link(place_link(in, ours)).ok());
  REQUIRE(run(Args{"ld.lld-19"} + place_link(in, theirs)).ok());
  const bool same = section_bytes(dir, ours) == section_bytes(dir, theirs);
  CHECK(same);
}

// ---- relaxation -----------------------------------------------------------------------------------------------------

namespace {

const std::vector<std::string> riscv = {"-m", "elf64lriscv"};

uint64_t text_size(const ElfObject& o, std::vector<std::string> options = {}) {
  options.insert(options.begin(), riscv.begin(), riscv.end());
  LinkGraph g(options);
  g.add("a.o", o);
  g.layout();
  INFO(g.messages());
  REQUIRE(g.ok());
  return g.section(".text")->size;
}

// A call or tail call, `gap` bytes, and what is called.
ElfObject caller(uint64_t gap, bool tail, uint32_t flags = double_compressed) {
  ElfObject o = object(flags);
  std::string code = tail ? words({auipc_t1, jr_t1}) : words({auipc_ra, jalr_ra});
  code += std::string(gap, '\0') + words({ret});
  const uint32_t text = o.text(".text", code, 2);
  o.symbol("_start", text, {.size = 8 + gap, .type = fe::STT_FUNC});
  o.symbol("f", text, {.value = 8 + gap, .size = 4, .type = fe::STT_FUNC});
  relax(o, text, 0, fe::R_RISCV_CALL_PLT, "f");
  return o;
}

}  // namespace

TEST_CASE("riscv64 relaxation: calls are as short as their distance allows, measured in what is left") {
  CHECK(text_size(caller(0, false)) == 4 + 4);
  CHECK(text_size(caller(0, false), {"--no-relax"}) == 8 + 4);
  CHECK(text_size(caller(0, true)) == 2 + 4);
  CHECK(text_size(caller(0, true, fe::EF_RISCV_FLOAT_ABI_DOUBLE)) == 4 + 4);  // no compressed instructions
  // The distance of a jump of 2 bytes is the gap and those 2.
  CHECK(text_size(caller(0x7fc, true)) == 2 + 0x7fc + 4);
  CHECK(text_size(caller(0x7fe, true)) == 4 + 0x7fe + 4);
  CHECK(text_size(caller(0xffffa, false)) == 4 + 0xffffa + 4);
  CHECK(text_size(caller(0xffffc, false)) == 8 + 0xffffc + 4);
}

TEST_CASE("riscv64 relaxation: nothing is relaxed that is not marked") {
  ElfObject o = object();
  const uint32_t text = o.text(".text", words({auipc_ra, jalr_ra, lui_a0, addi_a0, auipc_a0, lw_a0}), 4);
  const uint32_t data = o.data(".sdata", std::string(4, 1), 4);
  o.symbol("_start", text);
  o.symbol("datum", data);
  o.local(".L0", text, 16);
  o.relocate(text, 0, fe::R_RISCV_CALL, "_start");
  o.relocate(text, 8, fe::R_RISCV_HI20, "datum");
  relax(o, text, 12, fe::R_RISCV_LO12_I, "datum");  // the lower part alone is
  o.relocate(text, 16, fe::R_RISCV_PCREL_HI20, "datum");
  relax(o, text, 20, fe::R_RISCV_PCREL_LO12_I, ".L0");
  o.relocate(text, 0, fe::R_RISCV_NONE, "__global_pointer$");
  CHECK(text_size(o) == 24);
}

TEST_CASE("riscv64 relaxation: addresses in reach of the global pointer and of zero need no upper part") {
  auto two = [](const std::string& symbol, uint64_t absolute, bool with_gp) {
    ElfObject o = object();
    const uint32_t text = o.text(".text", words({lui_a0, lw_a0, auipc_a0, addi_a0, ret}), 4);
    const uint32_t data = o.data(".sdata", std::string(8, 1), 8);
    o.symbol("_start", text);
    o.symbol("datum", data, {.value = 4});
    o.symbol("number", fe::SHN_ABS, {.value = absolute});
    o.local(".L0", text, 8);
    relax(o, text, 0, fe::R_RISCV_HI20, symbol);
    relax(o, text, 4, fe::R_RISCV_LO12_I, symbol);
    relax(o, text, 8, fe::R_RISCV_PCREL_HI20, symbol);
    relax(o, text, 12, fe::R_RISCV_PCREL_LO12_I, ".L0");
    if (with_gp) o.relocate(text, 16, fe::R_RISCV_NONE, "__global_pointer$");
    return o;
  };
  CHECK(text_size(two("datum", 0, true)) == 12);
  CHECK(text_size(two("datum", 0, true), {"--no-relax-gp"}) == 2 + 16);  // c.lui
  CHECK(text_size(two("datum", 0, false)) == 2 + 16);  // nobody sets the register
  CHECK(text_size(two("number", 0x7ff, true)) == 12);
  CHECK(text_size(two("number", 0x800, true)) == 2 + 16);
  CHECK(text_size(two("number", uint64_t(-0x800), true)) == 12);
  CHECK(text_size(two("number", 0x1f7ff, true)) == 2 + 16);  // 31 is the largest number of c.lui
  CHECK(text_size(two("number", 0x1f800, true)) == 20);
}

TEST_CASE("riscv64 relaxation: parts of one symbol's address go together") {
  ElfObject o = object();
  const uint32_t text = o.text(".text", words({lui_a0, lw_a0, lw_a0, ret}), 4);
  const uint32_t data = o.data(".sdata", std::string(4096, 1), 8);
  o.symbol("_start", text);
  o.symbol("table", data);
  o.relocate(text, 12, fe::R_RISCV_NONE, "__global_pointer$");
  relax(o, text, 0, fe::R_RISCV_HI20, "table");
  relax(o, text, 4, fe::R_RISCV_LO12_I, "table");
  ElfObject near = o, far = o;
  relax(near, text, 8, fe::R_RISCV_LO12_I, "table", 4092);
  relax(far, text, 8, fe::R_RISCV_LO12_I, "table", 4096);
  CHECK(text_size(near) == 12);
  CHECK(text_size(far) == 14);  // c.lui: one of the lower parts would be out of reach
}

TEST_CASE("riscv64 relaxation: padding is what alignment needs, and symbols follow") {
  for (const bool relaxed : {true, false}) {
    ElfObject o = object();
    // A call (8 bytes, 4 when relaxed), padding to 16, a function, padding to 8, the end.
    const std::string half("\x01\0", 2), pad14 = words({nop, nop, nop}) + half, pad6 = words({nop}) + half;
    const uint32_t text = o.text(".text", words({auipc_ra, jalr_ra}) + pad14 + words({ret}) + pad6 + words({ret}), 16);
    o.symbol("_start", text, {.size = 22, .type = fe::STT_FUNC});
    o.symbol("f", text, {.value = 22, .size = 4, .type = fe::STT_FUNC});
    o.symbol("g", text, {.value = 32, .size = 4, .type = fe::STT_FUNC});
    relax(o, text, 0, fe::R_RISCV_CALL, "f");
    o.relocate(text, 8, fe::R_RISCV_ALIGN, "", 14);
    o.relocate(text, 26, fe::R_RISCV_ALIGN, "", 6);
    LinkGraph g(relaxed ? riscv : std::vector<std::string>{"-m", "elf64lriscv", "--no-relax"});
    g.add("a.o", o);
    REQUIRE(g.layout().ok());
    CHECK(g.address("f") == g.address("_start") + 16);
    CHECK(g.address("g") == g.address("_start") + 24);
    CHECK(g.size("_start") == 16);
    CHECK(g.size("f") == 4);
    CHECK(g.section(".text")->size == 28);
  }
}

TEST_CASE("riscv64 relaxation: thread-local accesses of an executable") {
  auto access = [](uint32_t hi, std::string code, bool mark_first, uint64_t addend) {
    ElfObject o = object();
    const uint32_t text = o.text(".text", code, 4);
    const uint32_t tdata =
        o.section(".tdata", std::string(8, 1), {.flags = fe::SHF_ALLOC | fe::SHF_WRITE | fe::SHF_TLS, .align = 8});
    o.symbol("_start", text);
    o.local(".L0", text, 0);
    o.symbol("t", tdata, {.size = 8, .type = fe::STT_TLS});
    o.symbol("__tls_get_addr", text);
    if (mark_first) relax(o, text, 0, hi, "t", int64_t(addend));
    else o.relocate(text, 0, hi, "t", int64_t(addend));
    return o;
  };
  auto le = [&](uint64_t addend, bool marked) {
    ElfObject o = access(fe::R_RISCV_TPREL_HI20, words({lui_a0, add_a0_tp, lw_a0}), marked, addend);
    if (marked) {
      relax(o, 1, 4, fe::R_RISCV_TPREL_ADD, "t", int64_t(addend));
      relax(o, 1, 8, fe::R_RISCV_TPREL_LO12_I, "t", int64_t(addend));
    } else {
      o.relocate(1, 8, fe::R_RISCV_TPREL_LO12_I, "t", int64_t(addend));
    }
    return o;
  };
  CHECK(text_size(le(0x7ff, true)) == 4);
  CHECK(text_size(le(0x800, true)) == 10);  // c.lui
  CHECK(text_size(le(0x20000, true)) == 12);
  CHECK(text_size(le(0, false)) == 12);
  auto ie = [&](uint64_t addend, bool first) {
    ElfObject o = access(fe::R_RISCV_TLS_GOT_HI20, words({auipc_a0, ld_a0, add_a0_tp}), first, addend);
    relax(o, 1, 4, fe::R_RISCV_PCREL_LO12_I, ".L0");
    return o;
  };
  for (bool first : {false, true}) {
    CHECK(text_size(ie(0, first)) == 2 + 4);  // c.li
    CHECK(text_size(ie(0x7ff, first)) == 4 + 4);
    CHECK(text_size(ie(0x800, first)) == 12);
  }
  auto gd = [&](uint64_t addend) {
    ElfObject o = access(fe::R_RISCV_TLS_GD_HI20, words({auipc_a0, addi_a0, auipc_ra, jalr_ra}), false, addend);
    relax(o, 1, 4, fe::R_RISCV_PCREL_LO12_I, ".L0");
    relax(o, 1, 8, fe::R_RISCV_CALL_PLT, "__tls_get_addr");
    return o;
  };
  CHECK(text_size(gd(0x7ff)) == 4);
  CHECK(text_size(gd(0x800)) == 12);
  CHECK(text_size(gd(0), {"--no-relax"}) == 16);
  auto descriptor = [&](uint64_t addend, bool marked) {
    // auipc a0; ld a1, (a0); addi a0, a0; jalr t0, a1
    ElfObject o = access(fe::R_RISCV_TLSDESC_HI20, words({auipc_a0, 0x53583, addi_a0, 0x582e7}), marked, addend);
    const uint32_t types[] = {fe::R_RISCV_TLSDESC_LOAD_LO12, fe::R_RISCV_TLSDESC_ADD_LO12, fe::R_RISCV_TLSDESC_CALL};
    for (uint32_t k = 0; k < 3; k++)
      if (marked) relax(o, 1, 4 + 4 * k, types[k], ".L0");
      else o.relocate(1, 4 + 4 * k, types[k], ".L0");
    return o;
  };
  CHECK(text_size(descriptor(0x7ff, true)) == 4);
  CHECK(text_size(descriptor(0x800, true)) == 8);
  CHECK(text_size(descriptor(0, false)) == 16);  // rewritten all the same: a static program has no resolver
}

TEST_CASE("riscv64 relaxation: an address from the GOT that is known needs no slot") {
  auto load = [](bool first, const std::string& symbol) {
    ElfObject o = object();
    const uint32_t text = o.text(".text", words({auipc_a0, ld_a0, ret}), 4);
    const uint32_t data = o.data(".data", std::string(8, 1), 8);
    o.symbol("_start", text);
    o.symbol("datum", data);
    o.undefined("nobody", fe::STB_WEAK);
    o.local(".L0", text, 0);
    if (first) relax(o, text, 0, fe::R_RISCV_GOT_HI20, symbol);
    else o.relocate(text, 0, fe::R_RISCV_GOT_HI20, symbol);
    relax(o, text, 4, fe::R_RISCV_PCREL_LO12_I, ".L0");
    return o;
  };
  for (bool first : {false, true}) {
    LinkGraph g(riscv);
    g.add("a.o", load(first, "datum"));
    REQUIRE(g.layout().ok());
    CHECK(g.section(".text")->size == 12);
    CHECK(g.section(".got") == nullptr);
    CHECK(text_size(load(first, "nobody")) == 2 + 4);  // c.li a0, 0
  }
}

// ---- what objects say of themselves ---------------------------------------------------------------------------------

namespace {

std::string attributes(const std::string& arch, const std::string& more = {}) {
  std::string body = std::string("\x04\x10\x05", 3) + arch + '\0' + more;
  auto word32 = [](uint32_t v) { return std::string(reinterpret_cast<const char*>(&v), 4); };
  std::string part = '\x01' + word32(uint32_t(5 + body.size())) + body;
  return "A" + word32(uint32_t(10 + part.size())) + std::string("riscv\0", 6) + part;
}

ElfObject with_attributes(const std::string& name, const std::string& bytes, uint32_t flags = double_compressed) {
  ElfObject o = object(flags);
  o.symbol(name, o.text(".text", words({ret}), 4));
  o.section(".riscv.attributes", bytes, {.type = fe::SHT_RISCV_ATTRIBUTES});
  return o;
}

std::string message_of(const ElfObject& a, const ElfObject& b) {
  LinkGraph g(riscv);
  g.add("a.o", a).add("b.o", b);
  g.layout();
  return g.messages();
}

}  // namespace

TEST_CASE("riscv64: extensions are united in the order of the ISA manual") {
  TempDir dir;
  struct Case {
    std::string a, b, out;
  };
  for (const Case& c : {
           Case{"rv64i2p1_m2p0", "rv64i2p0_a2p1_c2p0", "rv64i2p1_m2p0_a2p1_c2p0"},
           Case{"rv64i2p1_zba1p0_zqq1p0", "rv64i2p1_xfoo1p0_svinval1p0_q2p2",
                "rv64i2p1_q2p2_zqq1p0_zba1p0_svinval1p0_xfoo1p0"},
           Case{"rv64imafdc", "rv64i2p1_zve32x1p0", "rv64i2p1_m_a_f_d_c_zve32x1p0"},
           Case{"rv64i2p1_zunknown12p34", "rv64i2p1", "rv64i2p1_zunknown12p34"},
       }) {
    const std::string a = dir.write("a.o", text_of(with_attributes("_start", attributes(c.a)).bytes()));
    const std::string b = dir.write("b.o", text_of(with_attributes("g", attributes(c.b)).bytes()));
    for (const Args& kind : {Args{}, Args{"-r"}}) {
      REQUIRE(link(Args{"-m", "elf64lriscv", a, b, "-o", dir.file("out")} + kind).ok());
      const std::string out = section_bytes(dir, dir.file("out"), ".riscv.attributes");
      const bool same = out == attributes(c.out);
      INFO(out);
      CHECK(same);
    }
  }
}

TEST_CASE("riscv64: objects that do not go together, and attributes that are none, are named") {
  const ElfObject a = with_attributes("_start", attributes("rv64i2p1"));
  auto b = [](const std::string& bytes, uint32_t flags = double_compressed) {
    return with_attributes("g", bytes, flags);
  };
  TempDir dir;
  const std::string first = dir.write("a.o", text_of(a.bytes()));
  auto flags_error = [&](uint32_t flags) {
    return link({"-m", "elf64lriscv", first, dir.write("b.o", text_of(b("", flags).bytes())), "-o", dir.file("out")})
        .err;
  };
  CHECK(has(flags_error(fe::EF_RISCV_RVC),
            "b.o: cannot link object files with different floating-point ABI: this is soft-float, and " + first +
                " is double-float"));
  CHECK(has(flags_error(double_compressed | fe::EF_RISCV_RVE),
            "different base: this is RV64E, and " + first + " is not"));
  CHECK(flags_error(fe::EF_RISCV_FLOAT_ABI_DOUBLE) == "");
  CHECK(has(message_of(a, b(attributes("rv32i2p1"))),
            "b.o:(.riscv.attributes): the arch string 'rv32i2p1' is for rv32"));
  CHECK(has(message_of(a, b(attributes("rv64m2p0"))), "names no base"));
  CHECK(has(message_of(a, b(attributes("rv64i2p1_y1p0"))), "has an unknown extension 'y'"));
  CHECK(has(message_of(a, b(attributes("rv64i2p1_z"))), "has a malformed extension 'z'"));
  CHECK(has(message_of(a, b(attributes("rv64i99999999"))), "has a malformed version"));
  CHECK(has(message_of(a, b("B")), "b.o:(.riscv.attributes): unknown format version"));
  std::string cut = attributes("rv64i2p1");
  for (size_t n = 2; n < cut.size(); n++) CHECK(has(message_of(a, b(cut.substr(0, n))), "b.o:(.riscv.attributes): "));
  CHECK(has(message_of(a, b(attributes("rv64i2p1", std::string("\x04\x08", 2)))),
            "a stack alignment of 8 does not go with 16 of a.o"));
}

TEST_CASE("riscv64: relocations that are wrong are named with their object") {
  auto one = [](uint32_t type, const std::string& symbol, int64_t addend = 0) {
    ElfObject o = object();
    const uint32_t text = o.text(".text", words({auipc_a0, ld_a0, ret}), 4);
    const uint32_t other = o.text(".text.other", words({auipc_a0, ret}), 4);
    o.symbol("_start", text);
    o.local("there", other, 0);
    o.local("nothing_here", text, 8);
    o.relocate(other, 0, fe::R_RISCV_PCREL_HI20, "_start");
    o.relocate(text, 4, type, symbol, addend);
    return o;
  };
  auto message = [&](const ElfObject& o) {
    LinkGraph g(riscv);
    g.add("a.o", o);
    g.layout();
    return g.messages();
  };
  for (uint32_t type : {191u, 192u, 255u})
    CHECK(has(message(one(type, "_start")), "a.o:(.text+0x4): relocation type " + std::to_string(type)));
  CHECK(has(message(one(42, "_start")), "unknown relocation type 42"));
  CHECK(has(message(one(256, "_start")), "unknown relocation type 256"));  // the linker's own
  for (const std::string label : {"there", "nothing_here"})
    CHECK(has(message(one(fe::R_RISCV_PCREL_LO12_I, label)), "R_RISCV_PCREL_LO12_I refers to " + label));
  CHECK(has(message(one(fe::R_RISCV_PCREL_LO12_I, "nobody")), "undefined symbol: nobody"));
  CHECK(has(message(one(fe::R_RISCV_ALIGN, "_start", 9)), "R_RISCV_ALIGN asks for 9 bytes of padding"));
  CHECK(has(message(one(fe::R_RISCV_ALIGN, "_start", int64_t(1) << 40)), "R_RISCV_ALIGN asks for "));
  ElfObject removed = object();
  removed.symbol("_start", removed.text(".text", words({nop, auipc_ra, jalr_ra}), 4));
  relax(removed, 1, 4, fe::R_RISCV_CALL, "_start");
  removed.relocate(1, 8, fe::R_RISCV_32, "_start");
  CHECK(has(message(removed), "a relocation is for bytes that relaxation has removed"));
  ElfObject twice = by_global_pointer();
  relax(twice, 1, 0, fe::R_RISCV_HI20, "datum");
  CHECK(has(message(twice), "a.o:(.text+0x0) in _start: relocations ask for changes of the same instruction"));
}

// ---- what is written ------------------------------------------------------------------------------------------------

namespace {

// The bytes of a section of what is made of one object.
std::string linked(const ElfObject& o, const Args& options = {}, const std::string& section = ".text") {
  TempDir dir;
  const std::string in = dir.write("a.o", text_of(o.bytes()));
  RunResult r = link(Args{"-m", "elf64lriscv", in, "-o", dir.file("out")} + options);
  INFO(r.describe());
  REQUIRE(r.ok());
  return section_bytes(dir, dir.file("out"), section);
}

bool holds(const std::string& bytes, const std::string& expected) { return bytes == expected; }

}  // namespace

TEST_CASE("riscv64: a call of an undefined weak function goes to address 0 by a register that is 0") {
  LODE_NEEDS("llvm-objcopy-19");
  for (bool marked : {false, true}) {
    ElfObject o = object();
    const uint32_t text = o.text(".text", words({auipc_ra, jalr_ra, 0xef, ret}), 4);
    o.symbol("_start", text);
    o.undefined("nobody", fe::STB_WEAK);
    if (marked) relax(o, text, 0, fe::R_RISCV_CALL_PLT, "nobody");
    else o.relocate(text, 0, fe::R_RISCV_CALL_PLT, "nobody");
    o.relocate(text, 8, fe::R_RISCV_JAL, "nobody");
    const std::string call = marked ? words({0xe7}) : words({auipc_ra, 0xe7});
    CHECK(holds(linked(o), call + words({0xe7, ret})));
  }
}

TEST_CASE("riscv64: lower parts keep their register where nothing may be changed") {
  LODE_NEEDS("llvm-objcopy-19");
  ElfObject o = object();
  const uint32_t text = o.text(".text", words({lui_a0, add_a0_tp, lw_a0, sd_a0}), 4);
  const uint32_t tdata =
      o.section(".tdata", std::string(8, 1), {.flags = fe::SHF_ALLOC | fe::SHF_WRITE | fe::SHF_TLS, .align = 8});
  o.symbol("_start", text);
  o.symbol("t", tdata, {.size = 8, .type = fe::STT_TLS});
  o.relocate(text, 0, fe::R_RISCV_TPREL_HI20, "t");
  o.relocate(text, 4, fe::R_RISCV_TPREL_ADD, "t");
  o.relocate(text, 8, fe::R_RISCV_TPREL_LO12_I, "t", 4);
  o.relocate(text, 12, fe::R_RISCV_TPREL_LO12_S, "t", 4);
  CHECK(holds(linked(o), words({lui_a0, add_a0_tp, lw_a0 | 4 << 20, sd_a0 | 4 << 7})));
}

TEST_CASE("riscv64: differences follow code that has become shorter, places by section symbol too") {
  LODE_NEEDS("llvm-objcopy-19");
  ElfObject o = caller(8, false);  // a call of 8 bytes, of which 4 go; 8 bytes; f
  o.local("end_of_call", 1, 8);
  const uint32_t table = o.rodata(".rodata", std::string(6, '\0') + "\x80\x01\xc0", 1);
  o.relocate(table, 0, fe::R_RISCV_ADD32, "f");
  o.relocate(table, 0, fe::R_RISCV_SUB32, "_start");
  o.relocate(table, 4, fe::R_RISCV_ADD16, "end_of_call");
  o.relocate(table, 4, fe::R_RISCV_SUB16, "_start");
  o.relocate(table, 6, fe::R_RISCV_SET_ULEB128, uint32_t(1), 16);  // the section's symbol: f
  o.relocate(table, 6, fe::R_RISCV_SUB_ULEB128, "end_of_call");
  o.relocate(table, 8, fe::R_RISCV_SET6, "f");
  o.relocate(table, 8, fe::R_RISCV_SUB6, "end_of_call");
  const std::string expected = std::string("\x0c\0\0\0\x04\0", 6) + "\x88" + std::string(1, '\0') + "\xc8";
  CHECK(holds(linked(o, {}, ".rodata"), expected));
}

TEST_CASE("riscv64: a difference in an unsigned LEB128 is a pair, and has the room that there is") {
  auto one = [](const std::string& room, bool set, bool subtract) {
    ElfObject o = object();
    const uint32_t text = o.text(".text", std::string(512, '\0'), 4), table = o.rodata(".rodata", room, 1);
    o.symbol("_start", text);
    o.local("end", text, 300);
    if (set) o.relocate(table, 0, fe::R_RISCV_SET_ULEB128, "end");
    if (subtract) o.relocate(table, 0, fe::R_RISCV_SUB_ULEB128, "_start");
    return o;
  };
  TempDir dir;
  auto message = [&](const ElfObject& o) {
    return link({"-m", "elf64lriscv", dir.write("a.o", text_of(o.bytes())), "-o", dir.file("out")}).err;
  };
  CHECK(message(one(std::string("\x80\0", 2), true, true)) == "");
  CHECK(has(message(one(std::string("\0\0", 2), true, true)), "a.o:(.rodata+0x0)"));
  CHECK(has(message(one(std::string("\0\0", 2), true, true)), "300 does not fit in the bytes that are there for it"));
  CHECK(has(message(one("\x80", true, true)), "does not fit"));  // a number that does not end
  CHECK(has(message(one(std::string("\x80\0", 2), false, true)), "R_RISCV_SUB_ULEB128 is not behind"));
}

TEST_CASE("riscv64: what the output says of itself") {
  TempDir dir;
  ElfObject o = with_attributes("_start", attributes("rv64i2p1_c2p0"));
  o.symbol("special", 1, {.type = fe::STT_FUNC, .visibility = fe::STO_RISCV_VARIANT_CC});
  const std::string in = dir.write("a.o", text_of(o.bytes()));
  REQUIRE(link({"-m", "elf64lriscv", "-shared", in, "-o", dir.file("lib.so")}).ok());
  CHECK(has(readelf({"-h"}, dir.file("lib.so")), "RVC, double-float ABI"));
  CHECK(has(readelf({"-l"}, dir.file("lib.so")), "RISCV_ATTRIBUT"));
  CHECK(has(readelf({"--dyn-syms"}, dir.file("lib.so")), "VARIANT_CC"));
  ElfObject user = object();
  const uint32_t text = user.text(".text", words({auipc_ra, jalr_ra}), 4);
  user.symbol("_start", text);
  user.relocate(text, 0, fe::R_RISCV_CALL_PLT, "special");
  const std::string main_o = dir.write("b.o", text_of(user.bytes()));
  REQUIRE(link({main_o, dir.file("lib.so"), "-o", dir.file("p")}).ok());  // the machine is that of the first object
  CHECK(has(readelf({"-d"}, dir.file("p")), "RISCV_VARIANT_CC"));
  CHECK(has(readelf({"-l"}, dir.file("p")), "/lib/ld-linux-riscv64-lp64d.so.1"));
}

TEST_CASE("riscv64: relocations that are kept describe what relaxation has left") {
  TempDir dir;
  ElfObject o = caller(0, true);
  o.symbol("number", fe::SHN_ABS, {.value = 16});
  const uint32_t more = o.text(".text.more", words({lui_a0, addi_a0, ret}), 4);
  relax(o, more, 0, fe::R_RISCV_HI20, "number");
  relax(o, more, 4, fe::R_RISCV_LO12_I, "number");
  const std::string in = dir.write("a.o", text_of(o.bytes()));
  REQUIRE(link({"-m", "elf64lriscv", "--emit-relocs", in, "-o", dir.file("p")}).ok());
  const std::string relocations = readelf({"-r"}, dir.file("p"));
  CHECK(has(relocations, "R_RISCV_RVC_JUMP"));
  CHECK(has(relocations, "R_RISCV_LO12_I"));
  for (const char* gone : {"R_RISCV_CALL", "R_RISCV_HI20", "R_RISCV_RELAX", "unrecognized"})
    CHECK(!has(relocations, gone));
}

// ---- programs -------------------------------------------------------------------------------------------------------

namespace {

const std::string gcc = "riscv64-linux-gnu-gcc";
const std::string qemu = "qemu-riscv64";

// A folder with a linker for gcc's -B.
std::string linker_folder(const TempDir& dir) {
  std::filesystem::create_directories(dir.file("bin"));
  if (!std::filesystem::exists(dir.file("bin/ld"))) std::filesystem::create_symlink(LODE_BINARY, dir.file("bin/ld"));
  return "-B" + dir.file("bin");
}

std::string run_program(const std::string& program, const std::string& library_path = "") {
  RunResult r = run(Args{qemu, "-L", "/usr/riscv64-linux-gnu"} +
                    (library_path.empty() ? Args{} : Args{"-E", "LD_LIBRARY_PATH=" + library_path}) + Args{program});
  INFO(r.describe());
  CHECK(r.ok());
  return r.out;
}

const char* program_source = R"(
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int small = 3, shared_data(void);
extern int library_data;
extern __thread int library_tls;
int library_function(int (*)(int), int);
__thread int near_tls = 5;
static __thread char big_tls[5000];
static int table[3000];
__attribute__((weak)) void nobody(void);
static int twice(int x) { return 2 * x; }
static int hidden_one(void) { return 40; }
static int (*resolve_one(void))(void) { return hidden_one; }
__attribute__((ifunc("resolve_one"))) int chosen(void);
static void* thread(void* p) { near_tls += *(int*)p; big_tls[4999] = 7; return (void*)(long)(near_tls + big_tls[4999]); }
static int compare(const void* a, const void* b) { return *(const int*)a - *(const int*)b; }
int main(int argc, char** argv) {
  pthread_t t;
  void* result;
  int five = 5;
  pthread_create(&t, 0, thread, &five);
  pthread_join(t, &result);
  for (int i = 0; i < 3000; i++) table[i] = i * 7919 % 3000;
  qsort(table, 3000, sizeof(int), compare);
  if (nobody) nobody();
  char text[64];
  snprintf(text, sizeof text, "%d %ld %d %d", small, (long)result, near_tls, table[1234]);
  printf("%s %zu %d %d %d %d\n", text, strlen(text), library_data, library_tls, library_function(twice, 21), chosen());
  return 0;
}
)";
const char* library_source = R"(
int library_data = 11;
__thread int library_tls = 13;
static __thread int own = 1;
int library_function(int (*f)(int), int x) { own++; return f(x) + own + library_tls; }
)";
const std::string expected = "3 17 5 1234 11 11 13 57 40\n";

}  // namespace

TEST_CASE("riscv64 programs: static and dynamic, at fixed addresses and not, with and without relaxation") {
  LODE_NEEDS(gcc, qemu, "/usr/riscv64-linux-gnu/lib/libc.so.6");
  TempDir dir;
  const std::string main_c = dir.write("main.c", program_source), lib_c = dir.write("lib.c", library_source);
  const std::string b = linker_folder(dir);
  auto make = [&](const Args& args) {
    RunResult r = run(Args{gcc, "-O1", "-w", b} + args);
    INFO(r.describe());
    REQUIRE(r.ok());
  };
  for (const std::string relax : {"-Wl,--relax", "-Wl,--no-relax"}) {
    make({"-fPIC", "-shared", lib_c, relax, "-o", dir.file("libown.so")});
    for (const Args& kind : {Args{"-static"}, Args{"-static", "-no-pie", "-fno-pie", "-mcmodel=medlow"},
                             Args{"-static", "-Wl,--gc-sections", "-ffunction-sections", "-Wl,--icf=all"}}) {
      make(kind + Args{relax, main_c, lib_c, "-pthread", "-o", dir.file("p")});
      CHECK(run_program(dir.file("p")) == expected);
    }
    for (const Args& kind : {Args{"-pie", "-fPIE"}, Args{"-no-pie", "-fno-pie"},
                             Args{"-no-pie", "-fno-pie", "-mcmodel=medlow"},
                             Args{"-fPIC", "-Wl,-z,now", "-Wl,-z,pack-relative-relocs"}}) {
      make(kind + Args{relax, main_c, "-L" + dir.path(), "-lown", "-pthread", "-o", dir.file("p")});
      CHECK(run_program(dir.file("p"), dir.path()) == expected);
    }
  }
}

TEST_CASE("riscv64 programs: what -r joins links and relaxes as its parts do") {
  LODE_NEEDS(gcc, qemu, "/usr/riscv64-linux-gnu/lib/libc.so.6");
  TempDir dir;
  const std::string main_c = dir.write("main.c", program_source), lib_c = dir.write("lib.c", library_source);
  const std::string b = linker_folder(dir);
  REQUIRE(run({gcc, "-O1", "-w", b, "-r", main_c, lib_c, "-o", dir.file("both.o")}).ok());
  for (const Args& linker : {Args{b}, Args{}}) {  // lode, GNU ld
    RunResult r = run(Args{gcc, "-static", dir.file("both.o"), "-pthread", "-o", dir.file("p")} + linker);
    INFO(r.describe());
    REQUIRE(r.ok());
    CHECK(run_program(dir.file("p")) == expected);
  }
}

TEST_CASE("riscv64 programs: C++ with exceptions, threads and debug information") {
  LODE_NEEDS("riscv64-linux-gnu-g++", qemu, "/usr/riscv64-linux-gnu/lib/libc.so.6", "llvm-dwarfdump-19");
  TempDir dir;
  const std::string source = dir.write("p.cc", R"(
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
struct Base { virtual ~Base() {} virtual int f() { return 1; } };
struct Derived : Base { int f() override { throw std::runtime_error("derived"); } };
thread_local std::string own = "tls";
int main() {
  std::map<std::string, int> m{{"x", 1}, {"y", 2}};
  Base* b = new Derived;
  try { b->f(); } catch (std::exception& e) { std::cout << e.what() << " "; }
  std::thread t([&] { own += "!"; m[own] = 3; });
  t.join();
  for (auto& [k, v] : m) std::cout << k << v << " ";
  try { try { throw 5; } catch (int) { throw; } } catch (int i) { std::cout << own << i << std::endl; }
}
)");
  const std::string b = linker_folder(dir);
  for (const Args& kind : {Args{"-static"}, Args{"-pie"}, Args{"-static", "-Wl,--no-relax"}}) {
    RunResult r = run(Args{"riscv64-linux-gnu-g++", "-O1", "-g", "-pthread", b, source, "-o", dir.file("p")} + kind);
    INFO(r.describe());
    REQUIRE(r.ok());
    CHECK(run_program(dir.file("p")) == "derived tls!3 x1 y2 tls5\n");
    // Line tables are of differences that shrink with the code; a place that no row covers would be left over.
    RunResult d = run({"llvm-dwarfdump-19", "--debug-info", "--name=main", dir.file("p")});
    CHECK(has(d.out, "DW_AT_low_pc"));
    CHECK(!has(d.err, "error"));
  }
}
