#include "codegen/riscv64/print.h"

#include <charconv>
#include <iterator>

#include "base/bytes.h"

namespace lode::riscv64 {

namespace {
const char* const integer_names[] = {"zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
                                     "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
                                     "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
const char* const float_names[] = {"ft0", "ft1", "ft2", "ft3", "ft4", "ft5",  "ft6",  "ft7", "fs0",  "fs1", "fa0",
                                   "fa1", "fa2", "fa3", "fa4", "fa5", "fa6",  "fa7",  "fs2", "fs3",  "fs4", "fs5",
                                   "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11"};
const char* const roundings[] = {"rne", "rtz", "rdn", "rup", "rmm", "?", "?", "dyn"};
const char* const orderings[] = {"", ".aq", ".rl", ".aqrl"};
const char* const conditions[] = {"eq", "ne", "?", "?", "lt", "ge", "ltu", "geu"};
// Control and status registers of unprivileged code (unprivileged ISA, "Zicsr" and "Zicntr").
struct Csr {
  uint32_t number;
  const char* name;
} const csrs[] = {{1, "fflags"}, {2, "frm"}, {3, "fcsr"}, {0x15, "seed"},
                  {0xc00, "cycle"}, {0xc01, "time"}, {0xc02, "instret"}};

std::string plus(int64_t v) { return (v < 0 ? "" : "+") + std::to_string(v); }

std::string fence_set(unsigned bits) {
  std::string s;
  for (unsigned k = 0; k < 4; k++)
    if (bits >> (3 - k) & 1) s += "iorw"[k];
  return s.empty() ? "0" : s;
}
}  // namespace

mir::FunctionView view_of(const mir::FunctionDraft& d) {
  mir::FunctionView v;
  v.symbol = d.symbol;
  v.tags = reinterpret_cast<const uint8_t*>(d.tags.data());
  v.operands = d.operands.data();
  v.count = uint32_t(d.tags.size());
  v.extra = d.extra;
  v.locals = d.locals;
  v.references = d.references;
  v.constants = d.constants;
  v.frame = d.frame;
  v.text_align_log2 = d.text_align_log2;
  v.constants_align_log2 = d.constants_align_log2;
  v.flags = d.flags;
  return v;
}

std::string print_register(char cls, unsigned n) { return (cls == 'f' ? float_names : integer_names)[n & 31]; }

bool parse_register(std::string_view text, char cls, uint8_t& number) {
  const char* const* names = cls == 'f' ? float_names : integer_names;
  for (uint8_t n = 0; n < 32; n++)
    if (text == names[n]) return number = n, true;
  if (cls == 'x' && text == "fp") return number = reg::s0, true;
  if (text.size() < 2 || text.size() > 3 || text[0] != cls || (text.size() == 3 && text[1] == '0')) return false;
  const char* end = text.data() + text.size();
  const auto r = std::from_chars(text.data() + 1, end, number);
  return r.ec == std::errc{} && r.ptr == end && number < 32;
}

std::string print_csr(uint32_t number) {
  for (const Csr& c : csrs)
    if (c.number == number) return c.name;
  return std::to_string(number);
}

bool parse_csr(std::string_view text, int64_t& number) {
  for (const Csr& c : csrs)
    if (text == c.name) return number = c.number, true;
  return false;
}

std::string print_memory(const Mem& m) {
  switch (m.kind) {
    case Mem::Kind::base: return std::to_string(m.disp) + "(" + print_register('x', m.base) + ")";
    case Mem::Kind::slot: return "slot" + std::to_string(m.target) + plus(m.disp);
    case Mem::Kind::incoming: return "in" + plus(m.disp);
    case Mem::Kind::outgoing: return "out" + plus(m.disp);
    case Mem::Kind::dynamic_area: return "dynamic" + plus(m.disp);
    case Mem::Kind::symbol: return "ref" + std::to_string(m.target);
    case Mem::Kind::constants: return "const" + plus(m.disp);
    case Mem::Kind::thread: return "tp:ref" + std::to_string(m.target);
  }
  return "?";
}

std::string print_row(const InstInfo& row, const Fields& f, const std::string& memory) {
  std::string s = row.mnemonic;
  const bool atomic = row.form == Form::amo || row.form == Form::lr;
  if (atomic) s += orderings[f.mode & 3];
  const uint8_t numbers[] = {f.a, f.b, f.c, f.d};
  unsigned next = 0;
  bool first = true;
  auto add = [&](const std::string& operand) {
    s += first ? " " : ", ";
    s += operand;
    first = false;
  };
  auto name = [&] {
    const unsigned k = next++;
    return print_register(row.registers[k], numbers[k]);
  };
  switch (row.form) {
    case Form::load:
    case Form::store:
      add(name());
      add(!memory.empty() ? memory : std::to_string(f.imm) + "(" + name() + ")");
      return s;
    case Form::fence:
      add(fence_set(unsigned(f.imm) >> 4));
      add(fence_set(unsigned(f.imm) & 15));
      return s;
    case Form::csr:
    case Form::csri:
      add(name());
      add(print_csr(uint32_t(f.imm)));
      add(row.form == Form::csr ? print_register('x', f.b) : std::to_string(f.b));
      return s;
    default: break;
  }
  while (row.registers[next]) {
    const std::string r = name();
    add(atomic && !row.registers[next] ? "(" + r + ")" : r);
  }
  switch (row.form) {
    case Form::i: case Form::shift: case Form::shiftw: case Form::j: case Form::b: add(std::to_string(f.imm)); break;
    case Form::u: add(std::to_string(f.imm & 0xfffff)); break;
    default: break;
  }
  if (row.traits & T_rm && f.mode != uint8_t(Rounding::dyn)) add(roundings[f.mode & 7]);
  return s;
}

// The operands of the 16-bit form: those of the full instruction without what the form implies.
std::string print_compressed(const CompressedInfo& row, const Fields& f) {
  const InstInfo& full = info(row.full);
  std::string s = row.mnemonic;
  auto reg = [&](unsigned k, uint8_t n) { return print_register(full.registers[k], n); };
  const std::string_view name = row.mnemonic;
  if (name == "c.nop" || name == "c.ebreak" || name == "c.unimp") return s;
  if (name == "c.jr" || name == "c.jalr") return s + " " + reg(1, f.b);
  if (name == "c.mv") return s + " " + reg(0, f.a) + ", " + print_register('x', f.b ? f.b : f.c);
  if (name == "c.addi4spn") return s + " " + reg(0, f.a) + ", sp, " + std::to_string(f.imm);
  if (name == "c.lui") {
    const int64_t v = f.imm & 0xfffff;
    return s + " " + reg(0, f.a) + ", " + std::to_string(v);
  }
  s += " " + reg(0, f.a) + ", ";
  switch (full.form) {
    case Form::load: case Form::store: return s + std::to_string(f.imm) + "(" + reg(1, f.b) + ")";
    case Form::r: return s + reg(1, f.a == f.b ? f.c : f.b);
    default: return s + std::to_string(f.imm);
  }
}

std::string print_instruction(const mir::FunctionView& fn, uint32_t i) {
  const uint16_t tag = fn.tag16(i);
  if ((tag & 0xfff) >= op_count) return "?";
  const InstInfo& row = info(tag_op(tag));
  const uint32_t o = fn.operands[i];
  Decoder decode{fn.extra};
  const std::string name = row.mnemonic;
  auto x = [](uint32_t n) { return print_register('x', n & 31); };
  auto ref = [](uint32_t n) { return "ref" + std::to_string(n); };
  auto label = [](uint32_t n) { return "." + std::to_string(n); };
  switch (row.form) {
    case Form::load: case Form::store:
      return print_row(row, {uint8_t(o & 31), 0, 0, 0, 0, 0}, print_memory(decode.memory(o)));
    default: return print_row(row, Decoder::fields(row, o));
    case Form::pseudo_none: return name;
    case Form::pseudo_r: return name + " " + x(o);
    case Form::pseudo_jump: return name + " " + label(o);
    case Form::pseudo_branch:
      return name + conditions[unsigned(tag_cond(tag))] + " " + x(o) + ", " + x(o >> 5) + ", " + label(o >> 10);
    case Form::pseudo_ref: return name + " " + ref(o);
    case Form::pseudo_r_ref: return name + " " + x(o) + ", " + ref(o >> 5);
    case Form::pseudo_r_label: return name + " " + x(o) + ", " + label(o >> 5);
    case Form::pseudo_lea: return name + " " + x(o) + ", " + print_memory(decode.memory(o));
    case Form::pseudo_tls_gd: return name + " " + ref(decode.word(o));
    case Form::pseudo_jump_table: {
      std::string s = name + " " + x(o) + ", " + x(o >> 5) + ":";
      const uint32_t at = o >> 10, count = decode.word(at);
      for (uint32_t k = 0; k < count && decode.ok; k++) s += " " + label(decode.word(uint64_t(at) + 2 + k));
      return s;
    }
    case Form::pseudo_align: return name + " " + std::to_string(1u << (o & 15)) + ", at most " + std::to_string(o >> 4);
    case Form::pseudo_bytes: {
      std::string s = name;
      const uint32_t count = decode.word(o);
      for (uint32_t k = 0; k < count && decode.ok; k++)
        s += " " + std::to_string(decode.word(uint64_t(o) + 1 + k / 4) >> (8 * (k % 4)) & 0xff);
      return s;
    }
  }
  return "?";
}

std::string print_function(const mir::FunctionView& fn) {
  std::string s = "frame: saved";
  for (unsigned k = 0; k < saved_registers; k++)
    if (fn.frame[frame::word_saved] >> k & 1) {
      const uint8_t r = saved_register(k);
      s += " " + print_register(r < fp_base ? 'x' : 'f', r & 31);
    }
  s += ", outgoing " + std::to_string(fn.frame[frame::word_outgoing]) + ", flags " +
       std::to_string(fn.frame[frame::word_flags]) + "\n";
  for (size_t i = 0; i + frame::slot_bytes <= fn.locals.size(); i += frame::slot_bytes)
    s += "slot" + std::to_string(i / frame::slot_bytes) + ": " + std::to_string(load_le<uint32_t>(&fn.locals[i])) +
         " align 2^" + std::to_string(fn.locals[i + 4] & 31) +
         (fn.locals[i + 4] >> 5 ? " zone " + std::to_string(fn.locals[i + 4] >> 5) : "") + "\n";
  for (size_t i = 0; i < fn.references.size(); i++) {
    const mir::Reference& r = fn.references[i];
    s += "ref" + std::to_string(i) + ": symbol " + (r.symbol.valid() ? std::to_string(r.symbol.value) : "none") +
         plus(r.addend) + " kind " + std::to_string(unsigned(r.kind)) + "\n";
  }
  for (uint32_t i = 0; i < fn.count; i++) s += std::to_string(i) + ": " + print_instruction(fn, i) + "\n";
  return s;
}

}  // namespace lode::riscv64
