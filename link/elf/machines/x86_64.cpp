// x86-64: what each relocation of the psABI (chapter 4.4 "Relocation", and the TLS chapter of Drepper's "ELF handling
// for thread-local storage") asks for, and how it is applied.
//
// A row of `table` gives a relocation's formula and field. `scan` asks only for what `apply` will use; both go through
// the same small decision functions (abs_action, pcrel_action, tls_model, relaxes), so they cannot disagree.
//
// A function that is resolved at start-up (STT_GNU_IFUNC) and defined here has one address for all: its PLT entry,
// whose .got.plt slot an IRELATIVE relocation fills.
//
// Relaxations (psABI appendix B): GOTPCRELX and REX_GOTPCRELX loads of an address that is known become lea, mov imm or
// direct branches; thread-local accesses of an executable become initial-exec or local-exec.
#include <cstring>

#include "base/bytes.h"
#include "codegen/x86_64/fixups.h"
#include "link/elf/machines/machine.h"

namespace lode::link::elf {

namespace {

enum class Formula : uint8_t {
  none, abs, pcrel, plt, pltoff, got, gotpcrel, gotpcrelx, gotoff, gotpc, size, tlsgd, tlsld, dtpoff, gottpoff, tpoff,
  tlsdesc, tlsdesc_call, bad,
};
enum Check : uint8_t { any, s8, s16, s32, u32, su8, su16 };

struct Row {
  uint32_t type;
  const char* name;
  uint8_t bytes;
  Formula formula;
  Check check;
};

#define R(n, bytes, formula, check) {R_X86_64_##n, "R_X86_64_" #n, bytes, Formula::formula, check}
constexpr Row rows[] = {
    R(NONE, 0, none, any), R(64, 8, abs, any), R(PC32, 4, pcrel, s32), R(GOT32, 4, got, s32), R(PLT32, 4, plt, s32),
    R(GOTPCREL, 4, gotpcrel, s32), R(32, 4, abs, u32), R(32S, 4, abs, s32), R(16, 2, abs, su16), R(PC16, 2, pcrel, s16),
    R(8, 1, abs, su8), R(PC8, 1, pcrel, s8), R(TLSGD, 4, tlsgd, s32), R(TLSLD, 4, tlsld, s32),
    R(DTPOFF32, 4, dtpoff, s32), R(DTPOFF64, 8, dtpoff, any), R(GOTTPOFF, 4, gottpoff, s32), R(TPOFF32, 4, tpoff, s32),
    R(TPOFF64, 8, tpoff, any), R(PC64, 8, pcrel, any), R(GOTOFF64, 8, gotoff, any), R(GOTPC32, 4, gotpc, s32),
    R(GOT64, 8, got, any), R(GOTPCREL64, 8, gotpcrel, any), R(GOTPC64, 8, gotpc, any), R(PLTOFF64, 8, pltoff, any),
    R(SIZE32, 4, size, u32), R(SIZE64, 8, size, any), R(GOTPC32_TLSDESC, 4, tlsdesc, s32),
    R(TLSDESC_CALL, 0, tlsdesc_call, any), R(GOTPCRELX, 4, gotpcrelx, s32), R(REX_GOTPCRELX, 4, gotpcrelx, s32),
};
#undef R

struct Table {
  Row by_type[64];
  constexpr Table() : by_type() {
    for (Row& r : by_type) r = {0, "unknown", 0, Formula::bad, any};
    for (const Row& r : rows) by_type[r.type] = r;
  }
};
constexpr Table table;
constexpr Row unknown_row{0, "unknown", 0, Formula::bad, any};
inline const Row& row_of(uint32_t type) { return type < 64 ? table.by_type[type] : unknown_row; }

// ---- decisions ------------------------------------------------------------------------------------------------------

struct Target_ {  // what a relocation refers to, reduced to what decisions need
  Referent ref;
  const Symbol* sym = nullptr;
  bool imported = false, ifunc = false, absolute = false, function = false, undefined_weak = false;
};

Target_ resolve_target(Link& link, ObjectFile& f, uint32_t sym) {
  Target_ t;
  t.ref = referent(link, f, sym);
  if (t.ref.id != none) {
    const Symbol& s = link.symbols[t.ref.id];
    t.sym = &s;
    t.imported = s.imported;
    t.ifunc = s.type == STT_GNU_IFUNC && !s.imported && s.defined();
    t.function = s.type == STT_FUNC || s.type == STT_GNU_IFUNC;
    t.absolute = is_absolute(link, s) || (!s.defined() && !s.imported);
    t.undefined_weak = !s.defined() && !s.imported;
  } else {
    t.ifunc = t.ref.type == STT_GNU_IFUNC;
    t.function = t.ref.type == STT_FUNC;
    t.absolute = t.ref.atom == none;
  }
  return t;
}

// Most relocations are of this kind: the distance, or in an output with a known base the address, of something that has
// its place in this output and is no IFUNC. Nothing has to be reserved or decided for them, so neither scan nor apply
// looks further.
bool is_plain(const Link& link, const Row& row) {
  return row.formula == Formula::pcrel || row.formula == Formula::plt || (row.formula == Formula::abs && !link.pic);
}
// `address`, if given, gets that of the target, which layout must have decided then.
inline bool is_plain_target(Link& link, ObjectFile& f, uint32_t sym, int64_t addend = 0, uint64_t* address = nullptr) {
  if (sym >= f.first_global) {
    const Symbol& s = link.symbols[f.symbol_id(sym)];
    if (address) *address = s.address + uint64_t(addend);
    return s.atom != none && !s.imported && s.type != STT_GNU_IFUNC;
  }
  const Referent r = referent(link, f, sym);
  if (r.atom == none || r.discarded || r.type == STT_GNU_IFUNC) return false;
  if (address) *address = local_address(link, r, addend);
  return true;
}

enum class Action : uint8_t { none, error, relative, dynamic, copy, canonical_plt, plt };

// An address stored in a word of 8 bytes.
Action abs_word_action(const Link& link, const Target_& t, bool writable) {
  if (t.imported) {
    if (writable || link.shared || !link.opt.copyreloc) return Action::dynamic;
    return t.function ? Action::canonical_plt : Action::copy;
  }
  if (t.absolute || !link.pic) return Action::none;
  return Action::relative;
}
// An address in less than a word: must be final.
Action abs_short_action(const Link& link, const Target_& t) {
  if (t.imported) return link.pic ? Action::error : t.function ? Action::canonical_plt : Action::copy;
  return link.pic && !t.absolute ? Action::error : Action::none;
}
Action pcrel_action(const Link& link, const Target_& t) {
  if (t.imported) {
    if (link.shared) return t.function ? Action::plt : Action::error;
    return t.function ? Action::canonical_plt : Action::copy;
  }
  if (t.absolute && link.pic && !t.undefined_weak) return Action::error;
  return Action::none;
}

enum class TlsModel : uint8_t { general, initial, local };
TlsModel tls_model(const Link& link, const Target_& t) {
  if (!relaxes_tls(link)) return TlsModel::general;
  return t.imported ? TlsModel::initial : TlsModel::local;
}

bool relaxes_got(const Link& link, const Target_& t) {
  // A static PIE's start-up code runs before anyone has filled the GOT, so there it is not a matter of choice.
  return (link.opt.relax || (link.pic && link.opt.is_static)) && !link.large_image && !t.imported && !t.ifunc &&
         !(t.absolute && link.pic) && !(t.absolute && t.sym && t.sym->value > 0x7fffffff);
}

// May the instruction around a GOTPCRELX field be rewritten? `p` points to the field, `before` bytes precede it.
bool relaxable_got_instruction(const uint8_t* p, uint64_t before, bool rex) {
  if (before < (rex ? 3u : 2u)) return false;
  uint8_t op = p[-2], modrm = p[-1];
  if (op == 0x8b) return (modrm & 0xc7) == 0x05;                       // mov foo@GOTPCREL(%rip), %reg
  if (!rex && op == 0xff) return modrm == 0x15 || modrm == 0x25;       // call, jmp
  return false;
}
bool relaxable_ie_instruction(const uint8_t* p, uint64_t before) {
  if (before < 3) return false;
  if ((p[-3] != 0x48 && p[-3] != 0x4c) || (p[-1] & 0xc7) != 0x05) return false;
  return p[-2] == 0x8b || p[-2] == 0x03;
}
bool relaxable_tlsdesc(const uint8_t* p, uint64_t before) {
  return before >= 3 && (p[-3] == 0x48 || p[-3] == 0x4c) && p[-2] == 0x8d && (p[-1] & 0xc7) == 0x05;
}

std::string place(Link& link, const ObjectFile& f, const Atom& a, uint64_t offset) {
  char hex[24];
  std::snprintf(hex, sizeof hex, "+0x%llx)", static_cast<unsigned long long>(offset));
  std::string s = f.name + ":(" + std::string(section_name(f, a.section)) + hex;
  std::string in = place_name(link, a, offset);
  return in.empty() ? s : s + " in " + in;
}
uint64_t key_of(const ObjectFile& f, const Atom& a, uint64_t i) {
  return uint64_t(f.priority) << 40 | uint64_t(a.section & 0xffff) << 24 | (i & 0xffffff);
}

std::string target_name(Link& link, const ObjectFile& f, const Target_& t, uint32_t sym) {
  if (t.sym) return link.display(*t.sym);
  std::string_view n = f.sym_name(f.syms[sym]);
  if (!n.empty()) return std::string(n);
  if (t.ref.atom != none) return std::string(section_name(f, link.atoms[t.ref.atom].section));
  return "*ABS*";
}
std::string quoted_target(Link& link, const ObjectFile& f, const Target_& t, uint32_t sym) {
  return "`" + target_name(link, f, t, sym) + "`";
}

const char* output_kind(const Link& link) {
  return link.shared ? "shared object" : link.pic ? "position-independent executable" : "dynamically linked executable";
}

// DT_RELR describes places at even addresses only.
bool packs_relative(Link& link, const Atom& a, const Rela& r, bool writable) {
  if (!link.opt.pack_relr || !writable || (uint64_t(r.offset) & 1) || uint64_t(r.offset) >> 32 || a.p2align < 1)
    return false;
  auto start = link.opt.section_start.find(link.sections[a.out]->name);
  return start == link.opt.section_start.end() || !(start->second & 1);
}

// GCC may describe a function of a COMDAT group in a table outside of the group. Where the group is dropped nobody
// reads the entry.
bool is_exception_table(Link&, const ObjectFile& f, const Atom& a) {
  std::string_view name = section_name(f, a.section);
  return name.starts_with(".gcc_except_table") && (name.size() == 17 || name[17] == '.');
}

// ---- scan -----------------------------------------------------------------------------------------------------------

void want(Link& link, ObjectFile& f, const Target_& t, uint32_t sym, uint32_t flags) {
  if (t.ref.id != none) atomic_or(link.symbols[t.ref.id].flags, flags);
  else f.promoted.push_back({sym, flags});  // turned into symbols after the scan
}

bool next_calls_tls_get_addr(Link& link, ObjectFile& f, const Atom& a, uint32_t i) {
  if (i + 1 >= a.reloc_count || a.relocs[i + 1].sym >= f.syms.size()) return false;
  switch (uint32_t(a.relocs[i + 1].type)) {
    case R_X86_64_PLT32: case R_X86_64_PC32: case R_X86_64_GOTPCREL: case R_X86_64_GOTPCRELX:
    case R_X86_64_REX_GOTPCRELX: case R_X86_64_PLTOFF64: return true;
    default: (void)link; return false;
  }
}

void scan(Link& link, ObjectFile& f, Atom& a) {
  const bool frame = a.kind == AtomKind::eh_frame;
  const bool writable =
      f.sections[a.section].flags & SHF_WRITE || (a.out != none && link.sections[a.out]->flags & SHF_WRITE);
  for (uint32_t i = 0; i < a.reloc_count; i++) {
    const Rela r = a.relocs[i];
    const Row& row = row_of(r.type);
    if (row.formula == Formula::none) continue;
    // What apply could not take is an error for good; what it can, --noinhibit-exec lets pass.
    auto reject = [&](const std::string& m) {
      link.diag.error(place(link, f, a, r.offset) + ": " + m, key_of(f, a, i));
    };
    auto fail = [&](const std::string& m) {
      link.diag.recoverable(place(link, f, a, r.offset) + ": " + m, key_of(f, a, i));
    };
    if (row.formula == Formula::bad) {
      reject("unknown relocation type " + std::to_string(uint32_t(r.type)));
      continue;
    }
    if (r.sym >= f.syms.size() || r.offset > a.size || a.size - r.offset < row.bytes || (!a.data && row.bytes)) {
      reject(std::string("malformed relocation ") + row.name);
      continue;
    }
    if (is_plain(link, row) && is_plain_target(link, f, r.sym)) continue;
    Target_ t = resolve_target(link, f, r.sym);
    if (t.ref.discarded && row.formula <= Formula::pcrel && (frame || is_exception_table(link, f, a)))
      continue;  // what went with another copy of its function: becomes 0
    if (t.ref.discarded && row.formula != Formula::size) {
      reject("relocation refers to a symbol in a discarded section: " + link.demangled(f.sym_name(f.syms[r.sym])) +
             discarded_place(link, f, r.sym));
      continue;
    }
    if (t.sym && !t.sym->defined() && f.syms[r.sym].shndx != SHN_UNDEF) {
      reject("relocation refers to a symbol in a discarded section: " + link.display(*t.sym) +
             discarded_place(link, f, r.sym));
      continue;
    }
    if (t.sym && !t.sym->defined() && !t.sym->imported && note_undefined(link, t.ref.id, f, a, r.offset)) continue;
    bool is_tls_formula = row.formula >= Formula::tlsgd && row.formula != Formula::tlsld;
    uint8_t type = t.sym ? t.sym->type : t.ref.type;
    if (is_tls_formula && type != STT_TLS && type != STT_SECTION && type != STT_NOTYPE) {
      reject(std::string(row.name) + " against a symbol that is not thread-local: " + target_name(link, f, t, r.sym));
      continue;
    }
    if (t.ifunc) want(link, f, t, r.sym, needs_plt);
    const uint8_t* p = a.data ? a.data + r.offset : nullptr;
    auto act = [&](Action action) {
      switch (action) {
        case Action::none: break;
        case Action::error: {
          fail(std::string("relocation ") + row.name + " against " + quoted_target(link, f, t, r.sym) +
               " can not be used when making a " + output_kind(link) + "; recompile with -fPIC");
          break;
        }
        case Action::relative: case Action::dynamic:
          if (frame) {
            fail(std::string("relocation ") + row.name + " against " + quoted_target(link, f, t, r.sym) +
                 " can not be used in .eh_frame when making a " + output_kind(link) + "; recompile with -fPIC");
            break;
          }
          if (!writable) {
            if (link.opt.text) {
              fail(std::string("relocation ") + row.name + " against symbol " + quoted_target(link, f, t, r.sym) +
                   " in read-only section `" + std::string(section_name(f, a.section)) +
                   "' would be made at run time; recompile with -fPIC or pass -z notext");
              break;
            }
            std::atomic_ref<uint8_t>(link.has_textrel).store(1, std::memory_order_relaxed);
            if (link.opt.warn_textrel || (link.shared && link.opt.warn_shared_textrel))
              link.diag.warning(place(link, f, a, r.offset) + ": relocation against symbol `" +
                                    target_name(link, f, t, r.sym) + "' in read-only section `" +
                                    std::string(section_name(f, a.section)) + "'",
                                key_of(f, a, i));
          }
          if (action == Action::dynamic) {
            want(link, f, t, r.sym, needs_dynsym);
            f.dynrel_count++;
          } else if (packs_relative(link, a, r, writable)) {
            f.relr.push_back(uint64_t(&a - link.atoms.data()) << 32 | r.offset);
          } else {
            f.dynrel_count++;
          }
          break;
        case Action::copy:
          if (!t.sym->defined()) {
            fail("cannot create a copy relocation for " + link.display(*t.sym) +
                 ", which is undefined; recompile with -fPIE or -fPIC");
          } else if (!link.opt.copyreloc || t.sym->visibility() == STV_PROTECTED) {
            fail(std::string("relocation ") + row.name + " against " + quoted_target(link, f, t, r.sym) +
                 " would need a copy relocation, which -z nocopyreloc forbids; recompile with -fPIC");
          } else if (link.files[t.sym->file]->kind == FileKind::shared &&
                     link.files[t.sym->file]->syms[t.sym->sym].visibility() == STV_PROTECTED) {
            fail("cannot create a copy relocation for protected symbol '" + link.display(*t.sym) + "', defined in " +
                 link.files[t.sym->file]->name + "; recompile with -fPIC");
          } else {
            want(link, f, t, r.sym, needs_copy | needs_dynsym);
          }
          break;
        case Action::canonical_plt: want(link, f, t, r.sym, needs_plt | needs_canonical_plt | needs_dynsym); break;
        case Action::plt: want(link, f, t, r.sym, needs_plt); break;
      }
    };
    switch (row.formula) {
      case Formula::abs: act(row.bytes == 8 ? abs_word_action(link, t, writable) : abs_short_action(link, t)); break;
      case Formula::pcrel: act(pcrel_action(link, t)); break;
      case Formula::plt: case Formula::pltoff:
        if (t.imported) want(link, f, t, r.sym, needs_plt);
        else if (t.absolute && link.pic && !t.undefined_weak) act(Action::error);
        if (row.formula == Formula::pltoff) link.needs_got_base = 1;
        break;
      case Formula::got: case Formula::gotpcrel:
        want(link, f, t, r.sym, needs_got);
        if (row.formula == Formula::got)
          std::atomic_ref<uint8_t>(link.needs_got_base).store(1, std::memory_order_relaxed);
        break;
      case Formula::gotpcrelx:
        if (!relaxes_got(link, t) || !relaxable_got_instruction(p, r.offset, r.type == R_X86_64_REX_GOTPCRELX) ||
            r.addend != -4)
          want(link, f, t, r.sym, needs_got);
        break;
      case Formula::gotoff:
      case Formula::gotpc: std::atomic_ref<uint8_t>(link.needs_got_base).store(1, std::memory_order_relaxed); break;
      case Formula::tlsgd:
        if (!next_calls_tls_get_addr(link, f, a, i)) {
          reject("TLSGD relocation is not followed by a call of __tls_get_addr");
          break;
        }
        switch (tls_model(link, t)) {
          case TlsModel::general: want(link, f, t, r.sym, needs_tlsgd); break;
          case TlsModel::initial: want(link, f, t, r.sym, needs_gottp); i++; break;
          case TlsModel::local: i++; break;
        }
        break;
      case Formula::tlsld:
        if (!next_calls_tls_get_addr(link, f, a, i)) {
          reject("TLSLD relocation is not followed by a call of __tls_get_addr");
          break;
        }
        if (tls_model(link, Target_{}) == TlsModel::local) i++;
        else std::atomic_ref<uint8_t>(link.needs_tlsld).store(1, std::memory_order_relaxed);
        break;
      case Formula::gottpoff:
        if (relaxes_tls(link) && !t.imported && relaxable_ie_instruction(p, r.offset)) break;
        want(link, f, t, r.sym, needs_gottp);
        if (link.shared) std::atomic_ref<uint8_t>(link.has_static_tls).store(1, std::memory_order_relaxed);
        break;
      case Formula::tpoff:
        if (link.shared)
          fail(std::string("relocation ") + row.name + " against " + quoted_target(link, f, t, r.sym) +
               " can not be used when making a shared object; recompile with -fPIC");
        else if (t.imported)
          fail(std::string("relocation ") + row.name + " against " + target_name(link, f, t, r.sym) +
               ", which a shared library defines; recompile with -fPIE");
        break;
      case Formula::tlsdesc:
        if (!relaxable_tlsdesc(p, r.offset)) {
          reject("GOTPC32_TLSDESC relocation is not in a lea instruction");
          break;
        }
        switch (tls_model(link, t)) {
          case TlsModel::general: want(link, f, t, r.sym, needs_tlsdesc); break;
          case TlsModel::initial: want(link, f, t, r.sym, needs_gottp); break;
          case TlsModel::local: break;
        }
        break;
      case Formula::tlsdesc_call: case Formula::dtpoff: case Formula::size: case Formula::none:
      case Formula::bad: break;
    }
  }
}

// ---- apply ----------------------------------------------------------------------------------------------------------

struct Applier {
  Link& link;
  ObjectFile& f;
  const Atom& a;

  void put(uint8_t* p, const Rela& r, const Row& row, uint64_t v) {
    bool ok = true;
    int64_t s = int64_t(v);
    switch (row.check) {
      case any: break;
      case s8: ok = fits_signed(s, 8); break;
      case s16: ok = fits_signed(s, 16); break;
      case s32: ok = fits_signed(s, 32); break;
      case u32: ok = fits_unsigned(v, 32); break;
      case su8: ok = fits_signed(s, 8) || fits_unsigned(v, 8); break;
      case su16: ok = fits_signed(s, 16) || fits_unsigned(v, 16); break;
    }
    if (!ok) {
      Target_ t = resolve_target(link, f, r.sym);
      link.diag.recoverable(place(link, f, a, r.offset) + ": relocation " + row.name + " against " +
                                target_name(link, f, t, r.sym) + " out of range: " + std::to_string(s) +
                                " does not fit in " + std::to_string(row.bytes * 8) + " bits",
                            key_of(f, a, r.offset));
      return;
    }
    switch (row.bytes) {
      case 1: *p = uint8_t(v); break;
      case 2: store_le(p, uint16_t(v)); break;
      case 4: store_le(p, uint32_t(v)); break;
      case 8: store_le(p, v); break;
      default: break;
    }
  }
};

uint64_t target_address(Link& link, const Target_& t, int64_t addend) {
  if (t.sym) return t.sym->address + uint64_t(addend);
  return local_address(link, t.ref, addend);
}
uint32_t target_id(const ObjectFile& f, const Target_& t, uint32_t sym) {
  return t.ref.id != none ? t.ref.id : promoted_id(f, sym);
}

const SymbolAux& aux_of(Link& link, const ObjectFile& f, const Target_& t, uint32_t sym) {
  static const SymbolAux empty{};
  uint32_t id = target_id(f, t, sym);
  if (id == none || link.symbols[id].aux == none) return empty;
  return link.aux[link.symbols[id].aux];
}

// A local ifunc's address is its PLT entry's; globals carry it in Symbol::address.
uint64_t address_or_plt(Link& link, ObjectFile& f, const Target_& t, uint32_t sym, int64_t addend) {
  if (t.ifunc && !t.sym)
    if (uint32_t id = promoted_id(f, sym); id != none) return link.symbols[id].address + uint64_t(addend);
  return target_address(link, t, addend);
}

void relax_gd_to_le(uint8_t* p, uint32_t next_type, uint64_t tpoff, bool& ok, uint64_t before, uint64_t after) {
  // data16 lea foo@tlsgd(%rip),%rdi; data16 data16 rex.W call __tls_get_addr  =>  mov %fs:0,%rax; lea
  // foo@tpoff(%rax),%rax
  static const uint8_t code[] = {0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0x8d, 0x80};
  static const uint8_t code_large[] = {0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0x81, 0xc0};
  if (next_type == R_X86_64_PLTOFF64) {
    // lea foo@tlsgd(%rip),%rdi; movabs $__tls_get_addr@pltoff,%rax; add %rbx,%rax; call *%rax
    ok = before >= 3 && after >= 19;
    if (!ok) return;
    std::memcpy(p - 3, code_large, 12);
    store_le(p + 9, uint32_t(tpoff));
    static const uint8_t nops[] = {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00};
    std::memcpy(p + 13, nops, 6);
    return;
  }
  ok = before >= 4 && after >= 12;
  if (!ok) return;
  std::memcpy(p - 4, code, 12);
  store_le(p + 8, uint32_t(tpoff));
}

void apply(Link& link, ObjectFile& f, Atom& a, uint8_t* out, uint64_t address, DynamicRelocations& dynrels) {
  Applier ap{link, f, a};
  const uint64_t got = link.got ? link.gotplt->addr : 0;
  const bool writable = f.sections[a.section].flags & SHF_WRITE || link.sections[a.out]->flags & SHF_WRITE;
  for (uint32_t i = 0; i < a.reloc_count; i++) {
    const Rela r = a.relocs[i];
    const Row& row = row_of(r.type);
    if (row.formula == Formula::none) continue;
    uint8_t* p = out + r.offset;
    if (uint64_t v; is_plain(link, row) && is_plain_target(link, f, r.sym, r.addend, &v)) {
      if (row.formula != Formula::abs) v -= address + r.offset;
      if (row.bytes == 4 && row.check == s32 && fits_signed(int64_t(v), 32)) store_le(p, uint32_t(v));
      else ap.put(p, r, row, v);
      continue;
    }
    Target_ t = resolve_target(link, f, r.sym);
    if (t.ref.discarded) {  // the scan let an exception table pass
      std::memset(p, 0, row.bytes);
      continue;
    }
    const uint64_t P = address + r.offset;
    const int64_t A = r.addend;
    auto S = [&](int64_t addend) { return address_or_plt(link, f, t, r.sym, addend); };
    auto aux = [&]() -> const SymbolAux& { return aux_of(link, f, t, r.sym); };
    auto no_slot = [&](uint32_t n) {
      link.diag.error(place(link, f, a, r.offset) + ": internal error: nothing was reserved for relocation " + row.name,
                      key_of(f, a, n));
    };
    auto slot = [&](int32_t n) {
      if (n < 0) no_slot(i);
      return got_address(link, n);
    };
    switch (row.formula) {
      case Formula::abs:
        if (row.bytes == 8) {
          switch (abs_word_action(link, t, writable)) {
            case Action::relative: {
              uint64_t v = S(A);
              if (packs_relative(link, a, r, writable)) {
                store_le(p, v);
              } else {
                dynrels.put({P, R_X86_64_RELATIVE, 0, int64_t(v)});
                store_le(p, link.opt.apply_dynamic_relocs ? v : uint64_t{0});
              }
              break;
            }
            case Action::dynamic: {
              int32_t n = aux().dynsym;
              if (n < 0) no_slot(i);
              dynrels.put({P, R_X86_64_64, uint32_t(n < 0 ? 0 : n), A});
              store_le(p, link.opt.apply_dynamic_relocs ? uint64_t(A) : uint64_t{0});
              break;
            }
            default: store_le(p, S(A)); break;
          }
        } else {
          ap.put(p, r, row, S(A));
        }
        break;
      case Formula::pcrel: case Formula::plt: {
        uint64_t v;
        if (t.imported && (t.sym->flags & (needs_plt | needs_canonical_plt)) &&
            (row.formula == Formula::plt || t.function || !(t.sym->flags & needs_copy)))
          v = plt_address(link, *t.sym) + uint64_t(A);
        else v = S(A);
        if (t.undefined_weak && row.formula == Formula::plt)
          v = P + uint64_t(A);  // a call of an undefined weak function goes nowhere
        ap.put(p, r, row, v - P);
        break;
      }
      case Formula::pltoff:
        ap.put(p, r, row, (t.imported ? plt_address(link, *t.sym) + uint64_t(A) : S(A)) - got);
        break;
      case Formula::got: ap.put(p, r, row, slot(aux().got) + uint64_t(A) - got); break;
      case Formula::gotpcrel: ap.put(p, r, row, slot(aux().got) + uint64_t(A) - P); break;
      case Formula::gotpcrelx: {
        bool rex = r.type == R_X86_64_REX_GOTPCRELX;
        if (!relaxes_got(link, t) || !relaxable_got_instruction(a.data + r.offset, r.offset, rex) || A != -4) {
          ap.put(p, r, row, slot(aux().got) + uint64_t(A) - P);
          break;
        }
        uint64_t v = S(0);
        if (p[-2] == 0x8b) {
          if (t.absolute) {  // mov $imm, %reg
            uint8_t reg = (p[-1] >> 3) & 7;
            p[-2] = 0xc7;
            p[-1] = uint8_t(0xc0 | reg);
            if (rex) p[-3] = uint8_t((p[-3] & ~5) | ((p[-3] & 4) >> 2));
            store_le(p, uint32_t(v));
          } else {
            p[-2] = 0x8d;  // lea
            ap.put(p, r, row, v - 4 - P);
          }
        } else if (p[-1] == 0x15) {  // call *foo(%rip) => addr32 call foo
          p[-2] = 0x67;
          p[-1] = 0xe8;
          if (t.undefined_weak) store_le(p, uint32_t{0});
          else ap.put(p, r, row, v - 4 - P);
        } else {  // jmp *foo(%rip) => jmp foo; nop
          p[-2] = 0xe9;
          p[3] = 0x90;
          ap.put(p - 1, r, row, t.undefined_weak ? 0 : v - 4 - (P - 1));
        }
        break;
      }
      case Formula::gotoff: ap.put(p, r, row, S(A) - got); break;
      case Formula::gotpc: ap.put(p, r, row, got + uint64_t(A) - P); break;
      case Formula::size:
        ap.put(p, r, row,
               (t.sym ? (t.sym->defined() ? size_of(link, *t.sym) : 0) : uint64_t(f.syms[r.sym].size)) + uint64_t(A));
        break;
      case Formula::tlsgd: {
        TlsModel model = tls_model(link, t);
        if (model == TlsModel::general) {
          ap.put(p, r, row, slot(aux().tlsgd) + uint64_t(A) - P);
          break;
        }
        bool ok = true;
        uint64_t after = a.size - r.offset;
        if (model == TlsModel::local) {
          relax_gd_to_le(p, a.relocs[i + 1].type, S(A) + 4 - link.tp, ok, r.offset, after);
        } else {
          // => mov %fs:0,%rax; add foo@gottpoff(%rip),%rax
          static const uint8_t code[] = {0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0x03, 0x05};
          if (a.relocs[i + 1].type == R_X86_64_PLTOFF64) {
            ok = r.offset >= 3 && after >= 19;
            if (ok) {
              std::memcpy(p - 3, code, 12);
              store_le(p + 9, uint32_t(slot(aux().gottp) - (P + 13)));
              static const uint8_t nops[] = {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00};
              std::memcpy(p + 13, nops, 6);
            }
          } else {
            ok = r.offset >= 4 && after >= 12;
            if (ok) {
              std::memcpy(p - 4, code, 12);
              store_le(p + 8, uint32_t(slot(aux().gottp) - (P + 12)));
            }
          }
        }
        if (!ok)
          link.diag.error(place(link, f, a, r.offset) + ": unexpected instructions around R_X86_64_TLSGD",
                          key_of(f, a, i));
        i++;
        break;
      }
      case Formula::tlsld: {
        if (tls_model(link, Target_{}) != TlsModel::local) {
          ap.put(p, r, row, slot(link.tlsld_slot) + uint64_t(A) - P);
          break;
        }
        // lea foo@tlsld(%rip),%rdi; call __tls_get_addr  =>  mov %fs:0,%rax, padded
        static const uint8_t direct[] = {0x31, 0xc0, 0x64, 0x48, 0x8b, 0x00, 0x66, 0x66, 0x66, 0x90, 0x66, 0x90};
        static const uint8_t indirect[] = {0x31, 0xc0, 0x64, 0x48, 0x8b, 0x00, 0x66,
                                           0x0f, 0x1f, 0x44, 0x00, 0x00, 0x90};
        static const uint8_t large[] = {0x31, 0xc0, 0x64, 0x48, 0x8b, 0x00, 0x66, 0x0f, 0x1f, 0x84, 0,
                                        0,    0,    0,    0,    0x66, 0x0f, 0x1f, 0x44, 0,    0,    0x90};
        uint32_t next = a.relocs[i + 1].type;
        const uint8_t* code = direct;
        uint64_t n = sizeof direct;
        if (next == R_X86_64_GOTPCREL || next == R_X86_64_GOTPCRELX || next == R_X86_64_REX_GOTPCRELX) {
          code = indirect;
          n = sizeof indirect;
        } else if (next == R_X86_64_PLTOFF64) {
          code = large;
          n = sizeof large;
        }
        if (r.offset < 3 || a.size - r.offset + 3 < n)
          link.diag.error(place(link, f, a, r.offset) + ": unexpected instructions around R_X86_64_TLSLD",
                          key_of(f, a, i));
        else std::memcpy(p - 3, code, n);
        i++;
        break;
      }
      case Formula::dtpoff:
        ap.put(p, r, row, S(A) - (tls_model(link, Target_{}) == TlsModel::local ? link.tp : link.tls_begin));
        break;
      case Formula::gottpoff:
        if (relaxes_tls(link) && !t.imported && relaxable_ie_instruction(a.data + r.offset, r.offset)) {
          // mov/add foo@gottpoff(%rip), %reg  =>  mov/add $foo@tpoff, %reg
          uint8_t reg = (p[-1] >> 3) & 7;
          bool add = p[-2] == 0x03;
          p[-3] = p[-3] == 0x4c ? 0x49 : 0x48;
          p[-2] = add ? 0x81 : 0xc7;
          p[-1] = uint8_t(0xc0 | reg);
          ap.put(p, r, row, S(A) + 4 - link.tp);
        } else {
          ap.put(p, r, row, slot(aux().gottp) + uint64_t(A) - P);
        }
        break;
      case Formula::tpoff: ap.put(p, r, row, S(A) - link.tp); break;
      case Formula::tlsdesc: {
        TlsModel model = tls_model(link, t);
        if (model == TlsModel::general) {
          ap.put(p, r, row, slot(aux().tlsdesc) + uint64_t(A) - P);
        } else if (model == TlsModel::initial) {
          p[-2] = 0x8b;  // lea => mov
          ap.put(p, r, row, slot(aux().gottp) + uint64_t(A) - P);
        } else {
          uint8_t reg = (p[-1] >> 3) & 7;
          p[-3] = p[-3] == 0x4c ? 0x49 : 0x48;
          p[-2] = 0xc7;
          p[-1] = uint8_t(0xc0 | reg);
          ap.put(p, r, row, S(A) + 4 - link.tp);
        }
        break;
      }
      case Formula::tlsdesc_call:
        if (tls_model(link, t) != TlsModel::general && a.size - r.offset >= 2) {
          p[0] = 0x66;  // call *(%rax) => xchg %ax,%ax
          p[1] = 0x90;
        }
        break;
      case Formula::none: case Formula::bad: break;
    }
  }
}

// Debug information of dead code points nowhere: 1 in the range lists of DWARF before 5 (where 0,0 ends a list), else
// 0.
void apply_nonalloc(Link& link, ObjectFile& f, Atom& a, uint8_t* out) {
  Applier ap{link, f, a};
  std::string_view section = section_name(f, a.section);
  uint64_t tombstone = section == ".debug_loc" || section == ".debug_ranges" ? 1 : 0;
  for (const TombstoneRule& rule : link.opt.tombstones)
    if (formats::glob_match(rule.glob, section)) tombstone = rule.value;
  const bool debug = section.starts_with(".debug_");
  for (uint32_t i = 0; i < a.reloc_count; i++) {
    const Rela r = a.relocs[i];
    const Row& row = row_of(r.type);
    if (row.formula == Formula::none) continue;
    if (row.formula == Formula::bad || r.sym >= f.syms.size() || r.offset > a.size || a.size - r.offset < row.bytes) {
      link.diag.error(place(link, f, a, r.offset) + ": malformed relocation", key_of(f, a, i));
      continue;
    }
    uint8_t* p = out + r.offset;
    Target_ t = resolve_target(link, f, r.sym);
    uint32_t atom = t.sym ? t.sym->atom : t.ref.atom;
    bool dead = t.ref.discarded || (t.sym && (!t.sym->defined() || t.imported)) ||
                (atom != none && (!link.atoms[atom].live || link.atoms[atom].kind == AtomKind::discarded));
    if (!dead && atom != none && link.atoms[atom].folded && debug) dead = true;
    // A symbol whose copy here was discarded is described where it was kept.
    if (!dead && t.sym && debug && t.sym->file != f.id && f.syms[r.sym].shndx != SHN_UNDEF &&
        f.section_of(r.sym) < f.sections.size() &&
        link.atoms[f.atom_base + f.section_of(r.sym)].kind == AtomKind::discarded)
      dead = true;
    switch (row.formula) {
      case Formula::abs:
        if (dead) {
          if (row.bytes == 8) store_le(p, tombstone);
          else ap.put(p, r, row, tombstone);
        } else {
          ap.put(p, r, row, address_or_plt(link, f, t, r.sym, r.addend));
        }
        break;
      case Formula::dtpoff: ap.put(p, r, row, dead ? 0 : target_address(link, t, r.addend) - link.tls_begin); break;
      case Formula::pcrel:
        ap.put(p, r, row,
               dead ? 0 : target_address(link, t, r.addend) - (link.sections[a.out]->addr + a.offset + r.offset));
        break;
      case Formula::gotoff: ap.put(p, r, row, dead ? 0 : target_address(link, t, r.addend) - link.gotplt->addr); break;
      case Formula::size: ap.put(p, r, row, uint64_t(f.syms[r.sym].size) + uint64_t(int64_t(r.addend))); break;
      default:
        link.diag.error(place(link, f, a, r.offset) + ": relocation " + row.name +
                            " is not allowed in a section that is not loaded",
                        key_of(f, a, i));
    }
  }
}

void apply_data(Link& link, ObjectFile& f, const Atom& a, const Rela& rel, uint8_t* at, uint64_t room,
                uint64_t address) {
  const Rela r = rel;
  const Row& row = row_of(r.type);
  if (row.formula == Formula::none) return;
  Applier ap{link, f, a};
  if ((row.formula != Formula::abs && row.formula != Formula::pcrel && row.formula != Formula::gotpcrel) ||
      row.bytes > room || r.sym >= f.syms.size()) {
    link.diag.error(place(link, f, a, r.offset) + ": unexpected relocation " + row.name + " in .eh_frame",
                    key_of(f, a, r.offset));
    return;
  }
  Target_ t = resolve_target(link, f, r.sym);
  if (row.formula == Formula::gotpcrel) {
    ap.put(at, r, row, got_address(link, aux_of(link, f, t, r.sym).got) + uint64_t(int64_t(r.addend)) - address);
    return;
  }
  uint64_t v = t.ref.discarded ? 0 : address_or_plt(link, f, t, r.sym, r.addend);
  if (t.imported && (t.sym->flags & needs_plt)) v = plt_address(link, *t.sym) + uint64_t(int64_t(r.addend));
  if (row.formula == Formula::pcrel) v -= address;
  ap.put(at, r, row, v);
}

void emitted_relocation(Link& link, ObjectFile& f, const Atom& a, uint32_t i, Rela& out) {
  const Rela r = a.relocs[i];
  // The call of __tls_get_addr that a relaxed sequence no longer has.
  if (i > 0 && a.relocs[i - 1].sym < f.syms.size()) {
    Formula before = row_of(a.relocs[i - 1].type).formula;
    Target_ t = resolve_target(link, f, a.relocs[i - 1].sym);
    if ((before == Formula::tlsgd && tls_model(link, t) != TlsModel::general) ||
        (before == Formula::tlsld && tls_model(link, Target_{}) != TlsModel::general)) {
      out = {uint64_t(out.offset), R_X86_64_NONE, 0, 0};
      return;
    }
  }
  if (row_of(r.type).formula != Formula::gotpcrelx) return;
  Target_ t = resolve_target(link, f, r.sym);
  const uint8_t* p = a.data + r.offset;
  if (!relaxes_got(link, t) || !relaxable_got_instruction(p, r.offset, r.type == R_X86_64_REX_GOTPCRELX) ||
      r.addend != -4)
    return;
  if (p[-2] == 0x8b && t.absolute) {
    out.type = r.type == R_X86_64_REX_GOTPCRELX ? R_X86_64_32S : R_X86_64_32;
    out.addend += 4;
  } else {
    out.type = R_X86_64_PC32;
    if (p[-2] == 0xff && p[-1] == 0x25) out.offset = out.offset - 1;  // jmp foo; nop
  }
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

constexpr Target x86_64{
    .machine = EM_X86_64,
    .dynamic_linker = "/lib64/ld-linux-x86-64.so.2",
    .page_size = 4096,
    .default_base = 0x200000,
    .plt_header_size = plt_header_size, .plt_entry_size = plt_entry_size, .gotplt_header = 3, .pltgot_entry_size = 8,
    .pltgot_ibt_entry_size = 16, .r_abs = R_X86_64_64, .r_relative = R_X86_64_RELATIVE, .r_glob_dat = R_X86_64_GLOB_DAT,
    .r_jump_slot = R_X86_64_JUMP_SLOT, .r_copy = R_X86_64_COPY, .r_irelative = R_X86_64_IRELATIVE,
    .r_dtpmod = R_X86_64_DTPMOD64, .r_dtpoff = R_X86_64_DTPOFF64, .r_tpoff = R_X86_64_TPOFF64,
    .r_tlsdesc = R_X86_64_TLSDESC, .r_pcrel32 = R_X86_64_PC32, .tls_below_tp = true,
    .scan = scan, .apply = apply, .apply_nonalloc = apply_nonalloc, .apply_data = apply_data,
    .emitted_relocation = emitted_relocation, .is_call = [](uint32_t type) { return type == R_X86_64_PLT32; },
    .fixup_type = fixup_type,
    .write_plt = write_plt, .write_pltsec = write_pltsec, .lazy_address = lazy_address, .write_pltgot = write_pltgot,
    .code = [] { return &lode::x86_64::target(); },
};

}  // namespace

const Target& x86_64_target() { return x86_64; }

}  // namespace lode::link::elf
