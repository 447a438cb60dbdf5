// riscv64: the relocations of the RISC-V psABI (chapter "Relocations") as rows, their fields in instructions, and the
// shape of the PLT.
//
// A 32-bit address is made by two instructions: an upper part of 20 bits and a lower one of 12, which is signed, so
// that the upper part is rounded. A lower part that belongs to a distance from the program counter says so by a label
// at the instruction with the upper one (Want::follower); both are parts of one value.
//
// Vendors' relocations (191 and above) mean what a vendor says that they mean: refused by name.
#include <array>
#include <cstring>

#include "base/bytes.h"
#include "codegen/riscv64/target.h"
#include "link/elf/machines/machine.h"
#include "link/elf/machines/riscv64.h"
#include "link/elf/relocations/referent.h"

namespace lode::link::elf {

namespace {

using namespace riscv64;

#define R(n, bytes, want, field, ...) \
  RelocationRow { R_RISCV_##n, "R_RISCV_" #n, bytes, Want::want, Field::field __VA_OPT__(, ) __VA_ARGS__ }
constexpr RelocationRow rows[] = {
    R(NONE, 0, nothing, none),
    R(32, 4, address, u32),
    R(64, 8, address, any),
    R(TLS_DTPREL32, 4, tls_offset, s32),
    R(TLS_DTPREL64, 8, tls_offset, any),
    R(BRANCH, 4, call, instruction, 13),
    R(JAL, 4, call, instruction, 21),
    R(CALL, 8, call, instruction, 32),
    R(CALL_PLT, 8, call, instruction, 32),
    R(GOT_HI20, 4, got_distance_relaxable, instruction, 32),
    R(TLS_GOT_HI20, 4, tls_initial, instruction, 32),
    R(TLS_GD_HI20, 4, tls_general, instruction, 32),
    R(PCREL_HI20, 4, distance, instruction, 32),
    R(PCREL_LO12_I, 4, follower, instruction, 32),
    R(PCREL_LO12_S, 4, follower, instruction, 32),
    R(HI20, 4, address, instruction, 32),
    R(LO12_I, 4, address, instruction, 32),
    R(LO12_S, 4, address, instruction, 32),
    R(TPREL_HI20, 4, tls_local, instruction, 32),
    R(TPREL_LO12_I, 4, tls_local, instruction, 32),
    R(TPREL_LO12_S, 4, tls_local, instruction, 32),
    R(TPREL_ADD, 4, relax_mark, none),
    R(ADD8, 1, add, any),
    R(ADD16, 2, add, any),
    R(ADD32, 4, add, any),
    R(ADD64, 8, add, any),
    R(SUB8, 1, subtract, any),
    R(SUB16, 2, subtract, any),
    R(SUB32, 4, subtract, any),
    R(SUB64, 8, subtract, any),
    R(GOT32_PCREL, 4, got_distance, s32),
    R(ALIGN, 0, alignment, none),
    R(RVC_BRANCH, 2, call, instruction, 9),
    R(RVC_JUMP, 2, call, instruction, 12),
    R(RVC_LUI, 2, address, instruction, 18),
    R(RELAX, 0, relax_mark, none),
    R(SUB6, 1, subtract, low6),
    R(SET6, 1, set, low6),
    R(SET8, 1, set, any),
    R(SET16, 2, set, any),
    R(SET32, 4, set, any),
    R(32_PCREL, 4, distance, s32),
    R(PLT32, 4, call, s32),
    R(SET_ULEB128, 1, set_leb, none),
    R(SUB_ULEB128, 1, subtract_leb, none),
    R(TLSDESC_HI20, 4, tls_descriptor, instruction, 32),
    R(TLSDESC_LOAD_LO12, 4, follower, instruction, 32),
    R(TLSDESC_ADD_LO12, 4, follower, instruction, 32),
    R(TLSDESC_CALL, 4, follower, instruction, 32),
    R(VENDOR, 0, refused, none),
};
#undef R

constexpr auto by_type = [] {
  std::array<RelocationRow, last_type + 1> table;
  table.fill(Machine::unknown);
  for (const RelocationRow& r : rows) table[r.type] = r;
  for (uint32_t t = R_RISCV_VENDOR + 1; t < 256; t++)
    table[t] = {t, "of a vendor's own number", 0, Want::refused, Field::none};
  table[gprel_lo12_i] = {gprel_lo12_i, "R_RISCV_LO12_I to gp", 4, Want::gp_distance, Field::instruction, 12};
  table[gprel_lo12_s] = {gprel_lo12_s, "R_RISCV_LO12_S to gp", 4, Want::gp_distance, Field::instruction, 12};
  return table;
}();

// ---- fields ---------------------------------------------------------------------------------------------------------

bool has_upper_part(uint64_t v) { return fits_signed(int64_t(v + 0x800), 32); }

void put_bits(uint8_t* p, uint32_t mask, uint32_t bits) { store_le(p, (load_le<uint32_t>(p) & ~mask) | bits); }

bool store(const RelocationRow& row, uint8_t* p, uint64_t v) {
  const int64_t s = int64_t(v);
  switch (row.type) {
    case R_RISCV_HI20: case R_RISCV_PCREL_HI20: case R_RISCV_GOT_HI20: case R_RISCV_TLS_GOT_HI20:
    case R_RISCV_TLS_GD_HI20: case R_RISCV_TPREL_HI20: case R_RISCV_TLSDESC_HI20:
      if (!has_upper_part(v)) return false;
      put_upper(p, v);
      return true;
    case R_RISCV_LO12_I: case R_RISCV_PCREL_LO12_I: case R_RISCV_TPREL_LO12_I: case R_RISCV_TLSDESC_LOAD_LO12:
    case R_RISCV_TLSDESC_ADD_LO12: put_lower_i(p, v); return true;
    case R_RISCV_TLSDESC_CALL: return true;
    case R_RISCV_LO12_S: case R_RISCV_PCREL_LO12_S: case R_RISCV_TPREL_LO12_S: put_lower_s(p, v); return true;
    case gprel_lo12_i: case gprel_lo12_s:
      if (!fits_signed(s, 12)) return false;
      (row.type == gprel_lo12_i ? put_lower_i : put_lower_s)(p, v);
      return true;
    case R_RISCV_CALL: case R_RISCV_CALL_PLT:
      if (!has_upper_part(v)) return false;
      put_upper(p, v);
      put_lower_i(p + 4, v);
      return true;
    case R_RISCV_JAL:
      if (!fits_signed(s, 21) || (v & 1)) return false;
      put_bits(p, 0xfffff000,
               uint32_t((v >> 20 & 1) << 31 | (v >> 1 & 0x3ff) << 21 | (v >> 11 & 1) << 20 | (v >> 12 & 0xff) << 12));
      return true;
    case R_RISCV_BRANCH:
      if (!fits_signed(s, 13) || (v & 1)) return false;
      put_bits(p, 0xfe000f80,
               uint32_t((v >> 12 & 1) << 31 | (v >> 5 & 0x3f) << 25 | (v >> 1 & 0xf) << 8 | (v >> 11 & 1) << 7));
      return true;
    case R_RISCV_RVC_BRANCH:
      if (!fits_signed(s, 9) || (v & 1)) return false;
      store_le(p, uint16_t((load_le<uint16_t>(p) & 0xe383) | (v >> 8 & 1) << 12 | (v >> 3 & 3) << 10 |
                           (v >> 6 & 3) << 5 | (v >> 1 & 3) << 3 | (v >> 5 & 1) << 2));
      return true;
    case R_RISCV_RVC_JUMP:
      if (!fits_signed(s, 12) || (v & 1)) return false;
      store_le(p, uint16_t((load_le<uint16_t>(p) & 0xe003) | (v >> 11 & 1) << 12 | (v >> 4 & 1) << 11 |
                           (v >> 8 & 3) << 9 | (v >> 10 & 1) << 8 | (v >> 6 & 1) << 7 | (v >> 7 & 1) << 6 |
                           (v >> 1 & 7) << 3 | (v >> 5 & 1) << 2));
      return true;
    case R_RISCV_RVC_LUI: {
      const int64_t upper = (s + 0x800) >> 12;
      if (!fits_signed(upper, 6)) return false;
      uint16_t code = load_le<uint16_t>(p) & 0xef83;
      if (upper == 0) code = uint16_t((code & 0x1fff) | 0x4000);  // c.lui has no zero; c.li has
      store_le(p, uint16_t(code | (uint64_t(upper) >> 5 & 1) << 12 | (uint64_t(upper) & 31) << 2));
      return true;
    }
    default: return false;
  }
}

// An auipc and jalr, or a jal, becomes a jump by register 0 (ISA manual, "Unconditional Jumps": jalr).
void call_nowhere(const RelocationRow& row, uint8_t* p) {
  switch (row.type) {
    case R_RISCV_CALL: case R_RISCV_CALL_PLT: put_bits(p + 4, 0xfff00000 | 31 << 15, 0); break;
    case R_RISCV_JAL: put_bits(p, 0xfffff07f, 0x67); break;
    case R_RISCV_RVC_JUMP: store_le(p, uint16_t(0)); break;  // there is no such jump; an illegal instruction traps, too
    default: break;
  }
}

// ---- rewriting ------------------------------------------------------------------------------------------------------

// What may be rewritten is when sections shrink (riscv64_relax.cpp); nothing is left for apply.
bool rewrite(const InputPlace&, Rewrite, uint8_t*, RewriteValues&) { return false; }

void describe(const InputPlace&, Rewrite, Rela&) {}

// ---- PLT ------------------------------------------------------------------------------------------------------------

// psABI, "Procedure Linkage Table": an entry jumps through its slot with its own place in t1, which at first leads to
// the header; that turns the place into the slot's offset for the resolver.
constexpr uint32_t plt_header_size = 32, plt_entry_size = 16;

uint64_t plt_slot(const Link& link, size_t i) { return link.gotplt->addr + 16 + 8 * i; }

uint64_t lazy_address(const Link& link, uint32_t) { return link.plt->addr; }

// auipc t3, slot; ld t3, slot(t3); jalr t1, t3; nop
void write_jump(uint8_t* p, uint64_t address, uint64_t slot) {
  static constexpr uint32_t code[] = {0x00000e17, 0x000e3e03, 0x000e0367, 0x00000013};
  std::memcpy(p, code, sizeof code);
  put_upper(p, slot - address);
  put_lower_i(p + 4, slot - address);
}

void write_plt(Link& link, uint8_t* out) {
  static constexpr uint32_t header[] = {
      0x00000397,  // auipc t2, .got.plt
      0x41c30333,  // sub   t1, t1, t3
      0x0003be03,  // ld    t3, .got.plt(t2)
      0xfd430313,  // addi  t1, t1, -(header + 12)
      0x00038293,  // addi  t0, t2, .got.plt
      0x00135313,  // srli  t1, t1, 1
      0x0082b283,  // ld    t0, 8(t0)
      0x000e0067,  // jr    t3
  };
  static_assert(sizeof header == plt_header_size);
  const uint64_t plt = link.plt->addr, distance = link.gotplt->addr - plt;
  std::memcpy(out, header, sizeof header);
  put_upper(out, distance);
  put_lower_i(out + 8, distance);
  put_lower_i(out + 16, distance);
  for (size_t i = 0; i < link.plt_symbols.size(); i++) {
    const uint64_t at = plt_header_size + plt_entry_size * i;
    write_jump(out + at, plt + at, plt_slot(link, i));
  }
}

void write_pltgot(Link& link, uint8_t* out) {
  for (size_t i = 0; i < link.pltgot_symbols.size(); i++)
    write_jump(out + plt_entry_size * i, link.pltgot->addr + plt_entry_size * i,
               got_address(link, link.aux[link.symbols[link.pltgot_symbols[i]].aux].got));
}

constexpr const char* emulations[] = {"elf64lriscv"};
constexpr const char* architectures[] = {"riscv64"};
constexpr const char* library_directories[] = {
    "/usr/local/lib/riscv64-linux-gnu", "/lib/riscv64-linux-gnu", "/usr/lib/riscv64-linux-gnu", "/lib64/lp64d",
    "/usr/lib64/lp64d", "/usr/local/lib", "/lib", "/usr/lib"};

}  // namespace

constexpr Machine riscv64_machine{
    .name = "riscv64",
    .elf_machine = EM_RISCV,
    .emulations = emulations,
    .architectures = architectures,
    .library_directories = library_directories,
    .dynamic_linker = "/lib/ld-linux-riscv64-lp64d.so.1",
    .page_size = 4096,
    .default_base = 0x10000,
    .trap_fill = 0,  // an illegal instruction
    .large_section = 0,
    .unwind_section_type = SHT_PROGBITS,
    .tls_below_tp = false,
    .plt_header_size = plt_header_size,
    .plt_entry_size = plt_entry_size,
    .gotplt_header = 2,
    .pltgot_entry_size = plt_entry_size,
    .pltgot_ibt_entry_size = plt_entry_size,
    .r_none = R_RISCV_NONE,
    .r_relative = R_RISCV_RELATIVE,
    .r_glob_dat = R_RISCV_64,
    .r_jump_slot = R_RISCV_JUMP_SLOT,
    .r_copy = R_RISCV_COPY,
    .r_irelative = R_RISCV_IRELATIVE,
    .r_dtpmod = R_RISCV_TLS_DTPMOD64,
    .r_dtpoff = R_RISCV_TLS_DTPREL64,
    .r_tpoff = R_RISCV_TLS_TPREL64,
    .r_tlsdesc = R_RISCV_TLSDESC,
    .r_address = {R_RISCV_SET8, R_RISCV_SET16, R_RISCV_32, R_RISCV_64},
    .r_distance = {R_RISCV_NONE, R_RISCV_NONE, R_RISCV_32_PCREL, R_RISCV_NONE},
    .relocations = by_type,
    .store = store,
    .sequence = riscv64::sequence,
    .rewrite = rewrite,
    .describe = describe,
    .fixup_type = [](uint16_t kind) { return uint32_t(kind); },  // a fixup's kind is the psABI's number
    .write_plt = write_plt,
    .write_pltsec = nullptr,
    .lazy_address = lazy_address,
    .write_pltgot = write_pltgot,
    .merge_flags = merge_flags,
    .merge_properties = [](Link&) { return std::vector<uint8_t>(); },
    .report_properties = nullptr,
    .rewrite_image = nullptr,
    .code = [] { return &lode::riscv64::target(); },
    .function_align_log2 = 1,
    .got_header = 1,
    .got_base_in_got = true,
    .dtp_bias = 0x800,
    .tls_rewrite_optional = true,
    .sorted_relocations = true,
    .symbol_other = STO_RISCV_VARIANT_CC,
    .symbol_other_tag = DT_RISCV_VARIANT_CC,
    .global_pointer = "__global_pointer$",
    .attributes_section = ".riscv.attributes",
    .attributes_type = SHT_RISCV_ATTRIBUTES,
    .attributes_segment = PT_RISCV_ATTRIBUTES,
    .merge_attributes = merge_attributes,
    .call_nowhere = call_nowhere,
    .shrink = &shrink_rules,
};

}  // namespace lode::link::elf
