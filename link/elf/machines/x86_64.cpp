// x86-64: the relocations of the psABI (chapter 4.4 "Relocation", and Drepper's "ELF handling for thread-local
// storage") as rows, the instruction sequences that may be rewritten, and the shapes of the PLT.
//
// Rewriting (psABI appendix B): GOTPCRELX and REX_GOTPCRELX loads of an address that is known become lea, mov imm or
// direct branches; thread-local accesses of an executable become initial-exec or local-exec. All rewritten sequences
// are as long as the original ones.
//
// A function that is resolved at start-up (STT_GNU_IFUNC) and defined here has one address for all: its PLT entry,
// whose .got.plt slot an IRELATIVE relocation fills.
#include <array>
#include <cstring>

#include "base/bytes.h"
#include "codegen/x86_64/fixups.h"
#include "link/elf/machines/machine.h"
#include "link/elf/machines/x86_64.h"
#include "link/elf/relocations/referent.h"

namespace lode::link::elf {

namespace {

#define R(n, bytes, want, field) \
  RelocationRow { R_X86_64_##n, "R_X86_64_" #n, bytes, Want::want, Field::field }
constexpr RelocationRow rows[] = {
    R(NONE, 0, nothing, none),
    R(64, 8, address, any),
    R(PC32, 4, distance, s32),
    R(GOT32, 4, got_offset, s32),
    R(PLT32, 4, call, s32),
    R(GOTPCREL, 4, got_distance, s32),
    R(32, 4, address, u32),
    R(32S, 4, address, s32),
    R(16, 2, address, su16),
    R(PC16, 2, distance, s16),
    R(8, 1, address, su8),
    R(PC8, 1, distance, s8),
    R(TLSGD, 4, tls_general, s32),
    R(TLSLD, 4, tls_module, s32),
    R(DTPOFF32, 4, tls_offset, s32),
    R(DTPOFF64, 8, tls_offset, any),
    R(GOTTPOFF, 4, tls_initial, s32),
    R(TPOFF32, 4, tls_local, s32),
    R(TPOFF64, 8, tls_local, any),
    R(PC64, 8, distance, any),
    R(GOTOFF64, 8, offset_in_got, any),
    R(GOTPC32, 4, got_base, s32),
    R(GOT64, 8, got_offset, any),
    R(GOTPCREL64, 8, got_distance, any),
    R(GOTPC64, 8, got_base, any),
    R(PLTOFF64, 8, plt_offset, any),
    R(SIZE32, 4, size, u32),
    R(SIZE64, 8, size, any),
    R(GOTPC32_TLSDESC, 4, tls_descriptor, s32),
    R(TLSDESC_CALL, 0, tls_descriptor_call, none),
    R(GOTPCRELX, 4, got_distance_relaxable, s32),
    R(REX_GOTPCRELX, 4, got_distance_relaxable, s32),
};
#undef R

constexpr auto by_type = [] {
  std::array<RelocationRow, 64> table;
  table.fill(Machine::unknown);
  for (const RelocationRow& r : rows) table[r.type] = r;
  return table;
}();

// ---- rewriting ------------------------------------------------------------------------------------------------------

bool is_got_access(uint32_t type) {
  return type == R_X86_64_GOTPCREL || type == R_X86_64_GOTPCRELX || type == R_X86_64_REX_GOTPCRELX;
}

// The general and the local dynamic model end in a call of __tls_get_addr, which has a relocation of its own.
bool next_calls_tls_get_addr(const InputPlace& place) {
  if (place.index + 1 >= place.count) return false;
  const Rela& next = place.relocs[place.index + 1];
  return next.sym < place.symbol_count && (next.type == R_X86_64_PLT32 || next.type == R_X86_64_PC32 ||
                                           next.type == R_X86_64_PLTOFF64 || is_got_access(next.type));
}
uint32_t next_type(const InputPlace& place) { return place.relocs[place.index + 1].type; }

// Instructions around a field: `p` points to it, `before` bytes of the section precede it and `after` follow from it
// on.
struct Around {
  const uint8_t* p;
  uint64_t before, after;
  explicit Around(const InputPlace& place)
      : p(place.data.data() + place.rel().offset), before(place.rel().offset), after(place.data.size() - before) {}
};

bool is_got_instruction(const Around& c, bool rex) {
  if (c.before < (rex ? 3u : 2u)) return false;
  const uint8_t op = c.p[-2], modrm = c.p[-1];
  if (op == 0x8b) return (modrm & 0xc7) == 0x05;                     // mov foo@GOTPCREL(%rip), %reg
  if (!rex && op == 0xff) return modrm == 0x15 || modrm == 0x25;     // call, jmp
  return false;
}
bool has_rex_w(const Around& c) { return c.before >= 3 && (c.p[-3] == 0x48 || c.p[-3] == 0x4c); }
bool is_rip_relative(const Around& c) { return (c.p[-1] & 0xc7) == 0x05; }

// lea foo@tlsld(%rip),%rdi; call __tls_get_addr  =>  xor %eax,%eax; mov %fs:(%rax),%rax, padded
constexpr uint8_t ld_direct[] = {0x31, 0xc0, 0x64, 0x48, 0x8b, 0x00, 0x66, 0x66, 0x66, 0x90, 0x66, 0x90};
constexpr uint8_t ld_indirect[] = {0x31, 0xc0, 0x64, 0x48, 0x8b, 0x00, 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00, 0x90};
constexpr uint8_t ld_large[] = {0x31, 0xc0, 0x64, 0x48, 0x8b, 0x00, 0x66, 0x0f, 0x1f, 0x84, 0,
                                0,    0,    0,    0,    0x66, 0x0f, 0x1f, 0x44, 0,    0,    0x90};
std::span<const uint8_t> ld_code(uint32_t next) {
  if (is_got_access(next)) return ld_indirect;
  if (next == R_X86_64_PLTOFF64) return ld_large;
  return ld_direct;
}

int sequence(const InputPlace& place, Rewrite to) {
  const Rela& r = place.rel();
  const Around c(place);
  switch (uint32_t(r.type)) {
    case R_X86_64_GOTPCRELX: case R_X86_64_REX_GOTPCRELX:
      return is_got_instruction(c, r.type == R_X86_64_REX_GOTPCRELX) && r.addend == -4 ? 0 : -1;
    case R_X86_64_TLSGD: {
      if (!next_calls_tls_get_addr(place)) return -1;
      const bool large = next_type(place) == R_X86_64_PLTOFF64;
      if (to == Rewrite::none) return 1;
      return c.before >= (large ? 3u : 4u) && c.after >= (large ? 19u : 12u) ? 1 : -1;
    }
    case R_X86_64_TLSLD:
      if (!next_calls_tls_get_addr(place)) return -1;
      return to == Rewrite::none || (c.before >= 3 && c.after + 3 >= ld_code(next_type(place)).size()) ? 1 : -1;
    case R_X86_64_GOTTPOFF:
      return has_rex_w(c) && is_rip_relative(c) && (c.p[-2] == 0x8b || c.p[-2] == 0x03) ? 0 : -1;
    case R_X86_64_GOTPC32_TLSDESC: return has_rex_w(c) && c.p[-2] == 0x8d && is_rip_relative(c) ? 0 : -1;
    case R_X86_64_TLSDESC_CALL: return c.after >= 2 ? 0 : -1;
    default: return -1;
  }
}

bool put32(uint8_t* p, uint64_t v, RewriteValues& values) {
  values.misfit = int64_t(v);
  if (!fits_signed(int64_t(v), 32)) return false;
  store_le(p, uint32_t(v));
  return true;
}

bool rewrite_got_access(const InputPlace& place, uint8_t* p, Rewrite to, RewriteValues& v) {
  const uint64_t distance = v.target - 4 - v.place;
  if (p[-2] == 0x8b && to == Rewrite::absolute) {  // mov $imm, %reg
    const uint8_t reg = (p[-1] >> 3) & 7;
    p[-2] = 0xc7;
    p[-1] = uint8_t(0xc0 | reg);
    if (place.rel().type == R_X86_64_REX_GOTPCRELX) p[-3] = uint8_t((p[-3] & ~5) | ((p[-3] & 4) >> 2));
    store_le(p, uint32_t(v.target));
    return true;
  }
  if (p[-2] == 0x8b) {  // lea
    p[-2] = 0x8d;
    return put32(p, distance, v);
  }
  if (p[-1] == 0x15) {  // call *foo(%rip) => addr32 call foo
    p[-2] = 0x67;
    p[-1] = 0xe8;
    return put32(p, v.undefined_weak ? 0 : distance, v);
  }
  p[-2] = 0xe9;  // jmp *foo(%rip) => jmp foo; nop
  p[3] = 0x90;
  return put32(p - 1, v.undefined_weak ? 0 : distance + 1, v);
}

// data16 lea foo@tlsgd(%rip),%rdi; data16 data16 rex.W call __tls_get_addr, or in the large model
// lea foo@tlsgd(%rip),%rdi; movabs $__tls_get_addr@pltoff,%rax; add %rbx,%rax; call *%rax
//   => mov %fs:0,%rax; lea foo@tpoff(%rax),%rax (large: add $foo@tpoff,%rax) or add foo@gottpoff(%rip),%rax
void rewrite_general_dynamic(const InputPlace& place, uint8_t* p, Rewrite to, const RewriteValues& v) {
  static constexpr uint8_t thread_pointer[] = {0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0};
  static constexpr uint8_t lea[] = {0x48, 0x8d, 0x80}, add[] = {0x48, 0x81, 0xc0}, add_slot[] = {0x48, 0x03, 0x05};
  static constexpr uint8_t nops[] = {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00};
  const bool large = next_type(place) == R_X86_64_PLTOFF64;
  uint8_t* code = p - (large ? 3 : 4);
  std::memcpy(code, thread_pointer, sizeof thread_pointer);
  std::memcpy(code + 9, to == Rewrite::initial_exec ? add_slot : large ? add : lea, 3);
  const uint64_t end = v.place + uint64_t(code + 16 - p);
  store_le(code + 12, uint32_t(to == Rewrite::initial_exec ? v.target - end : v.target + 4));
  if (large) std::memcpy(code + 16, nops, sizeof nops);
}

// <op> foo(%rip), %reg  =>  <op> $imm, %reg
bool rewrite_to_immediate(uint8_t* p, uint8_t op, RewriteValues& v) {
  const uint8_t reg = (p[-1] >> 3) & 7;
  p[-3] = p[-3] == 0x4c ? 0x49 : 0x48;
  p[-2] = op;
  p[-1] = uint8_t(0xc0 | reg);
  return put32(p, v.target + 4, v);
}

bool rewrite(const InputPlace& place, Rewrite to, uint8_t* p, RewriteValues& v) {
  switch (uint32_t(place.rel().type)) {
    case R_X86_64_GOTPCRELX: case R_X86_64_REX_GOTPCRELX: return rewrite_got_access(place, p, to, v);
    case R_X86_64_TLSGD: rewrite_general_dynamic(place, p, to, v); return true;
    case R_X86_64_TLSLD: {
      const std::span<const uint8_t> code = ld_code(next_type(place));
      std::memcpy(p - 3, code.data(), code.size());
      return true;
    }
    case R_X86_64_GOTTPOFF: return rewrite_to_immediate(p, p[-2] == 0x03 ? 0x81 : 0xc7, v);  // add or mov
    case R_X86_64_GOTPC32_TLSDESC:
      if (to == Rewrite::local_exec) return rewrite_to_immediate(p, 0xc7, v);
      p[-2] = 0x8b;  // lea => mov
      return put32(p, v.target + uint64_t(v.addend) - v.place, v);
    case R_X86_64_TLSDESC_CALL:  // call *(%rax) => xchg %ax,%ax
      p[0] = 0x66;
      p[1] = 0x90;
      return true;
    default: return true;
  }
}

void describe(const InputPlace& place, Rewrite to, Rela& out) {
  const Rela& r = place.rel();
  if (!is_got_access(r.type)) return;
  const uint8_t* p = place.data.data() + r.offset;
  if (p[-2] == 0x8b && to == Rewrite::absolute) {
    out.type = r.type == R_X86_64_REX_GOTPCRELX ? R_X86_64_32S : R_X86_64_32;
    out.addend += 4;
    return;
  }
  out.type = R_X86_64_PC32;
  if (p[-2] == 0xff && p[-1] == 0x25) out.offset = out.offset - 1;  // jmp foo; nop
}

// ---- PLT ------------------------------------------------------------------------------------------------------------

// The instructions are those of psABI section 5.2 as GNU ld and lld write them, byte for byte: debuggers and
// disassemblers know PLT entries by these bytes and name them (abort@plt). An entry jumps through its slot, which at
// first leads back to the push behind the jump; that names the slot to the resolver. Under indirect-branch tracking the
// slot may only lead to an endbr64: the lazy half, in .plt, starts with one, and callers enter by the other half, in
// .plt.sec (psABI, "Intel CET PLT").
constexpr uint32_t plt_header_size = 16, plt_entry_size = 16;

// endbr64; jmp *slot(%rip); nopw - of .plt.sec, and of .plt.got under indirect-branch tracking
void write_ibt_jump(uint8_t* p, uint64_t address, uint64_t slot) {
  static const uint8_t code[16] = {0xf3, 0x0f, 0x1e, 0xfa, 0xff, 0x25, 0, 0, 0, 0, 0x66, 0x0f, 0x1f, 0x44, 0, 0};
  std::memcpy(p, code, sizeof code);
  store_le(p + 6, uint32_t(slot - (address + 10)));
}

uint64_t plt_slot(const Link& link, size_t i) { return link.gotplt->addr + 24 + 8 * i; }

uint64_t lazy_address(const Link& link, uint32_t i) {
  uint64_t entry = link.plt->addr + plt_header_size + uint64_t{i} * plt_entry_size;
  return link.ibt_plt ? entry : entry + 6;
}

void write_plt(Link& link, uint8_t* out) {
  static const uint8_t header[plt_header_size] = {
      0xff, 0x35, 0, 0, 0, 0,              // push GOTPLT+8(%rip)
      0xff, 0x25, 0, 0, 0, 0,              // jmp *GOTPLT+16(%rip)
      0x0f, 0x1f, 0x40, 0x00,              // nop
  };
  static const uint8_t entry[plt_entry_size] = {
      0xff, 0x25, 0, 0, 0, 0,              // jmp *slot(%rip)
      0x68, 0, 0, 0, 0,                    // push $index
      0xe9, 0, 0, 0, 0,                    // jmp header
  };
  static const uint8_t ibt_entry[plt_entry_size] = {
      0xf3, 0x0f, 0x1e, 0xfa,              // endbr64
      0x68, 0, 0, 0, 0,                    // push $index
      0xe9, 0, 0, 0, 0,                    // jmp header
      0x66, 0x90,                          // nop
  };
  uint64_t plt = link.plt->addr, gotplt = link.gotplt->addr;
  std::memcpy(out, header, sizeof header);
  store_le(out + 2, uint32_t(gotplt + 8 - (plt + 6)));
  store_le(out + 8, uint32_t(gotplt + 16 - (plt + 12)));
  for (size_t i = 0; i < link.plt_symbols.size(); i++) {
    uint64_t at = plt_header_size + plt_entry_size * i;
    uint8_t* p = out + at;
    std::memcpy(p, link.ibt_plt ? ibt_entry : entry, plt_entry_size);
    uint32_t push = link.ibt_plt ? 4 : 6, jump = push + 5;
    if (!link.ibt_plt) store_le(p + 2, uint32_t(plt_slot(link, i) - (plt + at + 6)));
    store_le(p + push + 1, uint32_t(i));
    store_le(p + jump + 1, uint32_t(0 - (at + jump + 5)));
  }
}

void write_pltsec(Link& link, uint8_t* out) {
  for (size_t i = 0; i < link.plt_symbols.size(); i++)
    write_ibt_jump(out + plt_entry_size * i, link.pltsec->addr + plt_entry_size * i, plt_slot(link, i));
}

void write_pltgot(Link& link, uint8_t* out) {
  static const uint8_t entry[8] = {
      0xff, 0x25, 0, 0, 0, 0,              // jmp *slot(%rip)
      0x66, 0x90,                          // nop
  };
  for (size_t i = 0; i < link.pltgot_symbols.size(); i++) {
    uint64_t slot = got_address(link, link.aux[link.symbols[link.pltgot_symbols[i]].aux].got);
    if (link.ibt_plt) {
      write_ibt_jump(out + 16 * i, link.pltgot->addr + 16 * i, slot);
    } else {
      std::memcpy(out + 8 * i, entry, sizeof entry);
      store_le(out + 8 * i + 2, uint32_t(slot - (link.pltgot->addr + 8 * i + 6)));
    }
  }
}

uint32_t fixup_type(uint16_t kind) {
  using Kind = lode::x86_64::FixupKind;
  switch (Kind(kind)) {
    case Kind::none: break;
    case Kind::pc32: return R_X86_64_PC32;
    case Kind::plt32: return R_X86_64_PLT32;
    case Kind::abs32s: return R_X86_64_32S;
    case Kind::rex_gotpcrelx: return R_X86_64_REX_GOTPCRELX;
    case Kind::tpoff32: return R_X86_64_TPOFF32;
    case Kind::gottpoff: return R_X86_64_GOTTPOFF;
    case Kind::tlsgd: return R_X86_64_TLSGD;
  }
  return R_X86_64_NONE;
}

constexpr const char* emulations[] = {"elf_x86_64", "elf_x86_64_sol2"};
constexpr const char* architectures[] = {"x86_64", "amd64"};
constexpr const char* library_directories[] = {
    "/usr/local/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64",
    "/usr/local/lib", "/lib", "/usr/lib"};

}  // namespace

constexpr Machine x86_64_machine{
    .name = "x86-64",
    .elf_machine = EM_X86_64,
    .emulations = emulations,
    .architectures = architectures,
    .library_directories = library_directories,
    .dynamic_linker = "/lib64/ld-linux-x86-64.so.2",
    .page_size = 4096,
    .default_base = 0x200000,
    .trap_fill = 0xcc,  // int3
    .large_section = SHF_X86_64_LARGE,
    .unwind_section_type = SHT_X86_64_UNWIND,
    .tls_below_tp = true,
    .plt_header_size = plt_header_size,
    .plt_entry_size = plt_entry_size,
    .gotplt_header = 3,
    .pltgot_entry_size = 8,
    .pltgot_ibt_entry_size = 16,
    .r_none = R_X86_64_NONE,
    .r_relative = R_X86_64_RELATIVE,
    .r_glob_dat = R_X86_64_GLOB_DAT,
    .r_jump_slot = R_X86_64_JUMP_SLOT,
    .r_copy = R_X86_64_COPY,
    .r_irelative = R_X86_64_IRELATIVE,
    .r_dtpmod = R_X86_64_DTPMOD64,
    .r_dtpoff = R_X86_64_DTPOFF64,
    .r_tpoff = R_X86_64_TPOFF64,
    .r_tlsdesc = R_X86_64_TLSDESC,
    .r_address = {R_X86_64_8, R_X86_64_16, R_X86_64_32, R_X86_64_64},
    .r_distance = {R_X86_64_PC8, R_X86_64_PC16, R_X86_64_PC32, R_X86_64_PC64},
    .relocations = by_type,
    .store = nullptr,
    .sequence = sequence,
    .rewrite = rewrite,
    .describe = describe,
    .fixup_type = fixup_type,
    .write_plt = write_plt,
    .write_pltsec = write_pltsec,
    .lazy_address = lazy_address,
    .write_pltgot = write_pltgot,
    .merge_flags = nullptr,
    .merge_properties = x86_64::merge_properties,
    .report_properties = x86_64::report_missing_cet,
    .rewrite_image = x86_64::rewrite_endbr,
    .code = [] { return &lode::x86_64::target(); },
};

}  // namespace lode::link::elf
