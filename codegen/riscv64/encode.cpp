#include "codegen/riscv64/encode.h"

#include <array>
#include <utility>

#include "base/bytes.h"

namespace lode::riscv64 {

const InstInfo inst_table[op_count] = {
#define INST(name, mnemonic, form, match, registers, extension, traits) \
  {#name, mnemonic, Form::form, match, registers, Extension::extension, traits},
#include "codegen/riscv64/instructions.def"
#undef INST
};

namespace {

// Shapes of 16-bit instructions (unprivileged ISA, "Compressed Instruction Formats"), with what they ask of the
// operands of the instruction that they stand for.
enum Shape : uint8_t {
  nothing,            // no operand: all that the full instruction has is zero, ebreak has none
  ci_from_zero,       // rd, imm6; the source is zero
  ci_same,            // rd = source, imm6
  ci_same_nonzero,    // rd = source, imm6 that is not 0
  ci_stack,           // sp = sp + imm10, a multiple of 16
  ci_upper,           // rd, imm6 that is not 0
  ci_shift,           // rd = source, 6 bits that are not 0
  ciw,                // rd', sp, 10 bits unsigned, a multiple of 4
  cb_immediate,       // rd' = source, imm6
  cb_shift,           // rd' = source, 6 bits that are not 0
  cr_move,            // rd, rs; one source is zero
  cr_move_addi,       // rd, rs; the immediate is 0
  cr_add,             // rd = one source, the other
  cr_jump,            // rs; the link register is zero, the offset 0
  cr_call,            // rs; the link register is ra, the offset 0
  ca,                 // rd' = first source, rs'
  ca_commutes,        // rd' = one source, the other
  cl_word, cl_double, // r', offset(r') of 7 or 8 bits unsigned: loads and stores
  ci_load_word, ci_load_double, ci_load_double_fp,  // r, offset(sp) of 8 or 9 bits unsigned
  css_word, css_double,
};

bool popular(uint8_t r) { return r >= 8 && r < 16; }  // x8..x15: three bits
bool fits6(int64_t v) { return v >= -32 && v <= 31; }

// Bits [from, from + count) of v at `to`.
constexpr uint32_t bits(int64_t v, unsigned from, unsigned count, unsigned to) {
  return uint32_t(uint64_t(v) >> from & ((1u << count) - 1)) << to;
}
uint16_t ci(uint16_t match, uint8_t rd, int64_t imm) {
  return uint16_t(match | rd << 7 | bits(imm, 0, 5, 2) | bits(imm, 5, 1, 12));
}

int32_t short_form(const CompressedInfo& row, const Fields& f) {
  const auto [a, b, c, d, mode, imm] = f;
  const uint16_t match = row.match;
  const uint32_t lower = uint32_t((a & 7) << 7), upper = uint32_t((a & 7) << 2);
  switch (Shape(row.shape)) {
    case nothing: return a == 0 && b == 0 && imm == 0 ? match : -1;
    case ci_from_zero: return a != 0 && b == 0 && fits6(imm) ? ci(match, a, imm) : -1;
    case ci_same: return a != 0 && a == b && fits6(imm) ? ci(match, a, imm) : -1;
    case ci_same_nonzero: return a != 0 && a == b && imm != 0 && fits6(imm) ? ci(match, a, imm) : -1;
    case ci_stack:
      if (a != reg::sp || b != reg::sp || imm == 0 || imm & 15 || imm < -512 || imm > 496) return -1;
      return uint16_t(match | bits(imm, 4, 1, 6) | bits(imm, 6, 1, 5) | bits(imm, 7, 2, 3) | bits(imm, 5, 1, 2) |
                      bits(imm, 9, 1, 12));
    case ci_upper: {
      const int64_t value = int64_t(int32_t(uint32_t(imm) << 12)) >> 12;
      return a != 0 && a != reg::sp && value != 0 && fits6(value) ? ci(match, a, value) : -1;
    }
    case ci_shift: return a != 0 && a == b && imm != 0 ? ci(match, a, imm) : -1;
    case ciw:
      if (!popular(a) || b != reg::sp || imm <= 0 || imm > 1020 || imm & 3) return -1;
      return uint16_t(match | upper | bits(imm, 4, 2, 11) | bits(imm, 6, 4, 7) | bits(imm, 2, 1, 6) |
                      bits(imm, 3, 1, 5));
    case cb_immediate:
      return popular(a) && a == b && fits6(imm)
                 ? uint16_t(match | lower | bits(imm, 0, 5, 2) | bits(imm, 5, 1, 12))
                 : -1;
    case cb_shift:
      return popular(a) && a == b && imm != 0
                 ? uint16_t(match | lower | bits(imm, 0, 5, 2) | bits(imm, 5, 1, 12))
                 : -1;
    case cr_move: {
      const uint8_t from = b == 0 ? c : c == 0 ? b : 0;
      return a != 0 && from != 0 ? uint16_t(match | a << 7 | from << 2) : -1;
    }
    case cr_move_addi: return a != 0 && b != 0 && imm == 0 ? uint16_t(match | a << 7 | b << 2) : -1;
    case cr_add: {
      const uint8_t from = a == b ? c : a == c ? b : 0;
      return a != 0 && from != 0 ? uint16_t(match | a << 7 | from << 2) : -1;
    }
    case cr_jump: return a == 0 && b != 0 && imm == 0 ? uint16_t(match | b << 7) : -1;
    case cr_call: return a == reg::ra && b != 0 && imm == 0 ? uint16_t(match | b << 7) : -1;
    case ca:
      return popular(a) && popular(c) && a == b ? uint16_t(match | lower | (c & 7) << 2) : -1;
    case ca_commutes: {
      if (!popular(a)) return -1;
      const uint8_t from = a == b ? c : a == c ? b : 0;
      return popular(from) ? uint16_t(match | lower | (from & 7) << 2) : -1;
    }
    case cl_word:
      if (!popular(a) || !popular(b) || imm < 0 || imm > 124 || imm & 3) return -1;
      return uint16_t(match | upper | (b & 7) << 7 | bits(imm, 2, 1, 6) | bits(imm, 6, 1, 5) | bits(imm, 3, 3, 10));
    case cl_double:
      if (!popular(a) || !popular(b) || imm < 0 || imm > 248 || imm & 7) return -1;
      return uint16_t(match | upper | (b & 7) << 7 | bits(imm, 6, 2, 5) | bits(imm, 3, 3, 10));
    case ci_load_word:
      if (a == 0 || b != reg::sp || imm < 0 || imm > 252 || imm & 3) return -1;
      return uint16_t(match | a << 7 | bits(imm, 6, 2, 2) | bits(imm, 2, 3, 4) | bits(imm, 5, 1, 12));
    case ci_load_double:
      if (a == 0) return -1;
      [[fallthrough]];
    case ci_load_double_fp:
      if (b != reg::sp || imm < 0 || imm > 504 || imm & 7) return -1;
      return uint16_t(match | a << 7 | bits(imm, 6, 3, 2) | bits(imm, 3, 2, 5) | bits(imm, 5, 1, 12));
    case css_word:
      if (b != reg::sp || imm < 0 || imm > 252 || imm & 3) return -1;
      return uint16_t(match | a << 2 | bits(imm, 2, 4, 9) | bits(imm, 6, 2, 7));
    case css_double:
      if (b != reg::sp || imm < 0 || imm > 504 || imm & 7) return -1;
      return uint16_t(match | a << 2 | bits(imm, 3, 3, 10) | bits(imm, 6, 3, 7));
  }
  return -1;
}

}  // namespace

const CompressedInfo compressed_table[] = {
#define COMPRESSED(name, mnemonic, shape, match, full) {#name, mnemonic, shape, match, Op::full},
#include "codegen/riscv64/compressed.def"
#undef COMPRESSED
};
const unsigned compressed_count = unsigned(std::size(compressed_table));

int32_t compress(Op op, const Fields& f) {
  // By instruction the first of its rows; rows of one instruction need not be neighbours.
  struct Lists {
    std::array<uint8_t, op_count> first;
    std::array<uint8_t, std::size(compressed_table)> next;
  };
  static const Lists lists = [] {
    Lists l;
    l.first.fill(0xff);
    for (unsigned k = compressed_count; k-- > 0;) {
      uint8_t& head = l.first[unsigned(compressed_table[k].full)];
      l.next[k] = head;
      head = uint8_t(k);
    }
    return l;
  }();
  for (uint8_t k = lists.first[unsigned(op)]; k != 0xff; k = lists.next[k])
    if (const int32_t word = short_form(compressed_table[k], f); word >= 0) return word;
  return -1;
}

bool valid(const InstInfo& row, const Fields& f) {
  const int64_t imm = f.imm;
  switch (row.form) {
    case Form::i: case Form::load: case Form::store: return fits12(imm);
    case Form::shift: return imm >= 0 && imm < 64;
    case Form::shiftw: return imm >= 0 && imm < 32;
    case Form::u: return imm >= -(1 << 19) && imm < 1 << 20;
    case Form::j: return imm >= -(1 << 20) && imm < 1 << 20 && !(imm & 1);
    case Form::b: return imm >= -(1 << 12) && imm < 1 << 12 && !(imm & 1);
    case Form::csr: case Form::csri: return imm >= 0 && imm < 1 << 12;
    case Form::fence: return imm >= 0 && imm < 256;
    default: return true;
  }
}

uint32_t branch_bits(int32_t d) {
  return bits(d, 11, 1, 7) | bits(d, 1, 4, 8) | bits(d, 5, 6, 25) | bits(d, 12, 1, 31);
}
uint32_t jump_bits(int32_t d) {
  return bits(d, 12, 8, 12) | bits(d, 11, 1, 20) | bits(d, 1, 10, 21) | bits(d, 20, 1, 31);
}
uint16_t short_jump_bits(int32_t d) {
  return uint16_t(bits(d, 5, 1, 2) | bits(d, 1, 3, 3) | bits(d, 7, 1, 6) | bits(d, 6, 1, 7) | bits(d, 10, 1, 8) |
                  bits(d, 8, 2, 9) | bits(d, 4, 1, 11) | bits(d, 11, 1, 12));
}
uint16_t short_branch_bits(int32_t d) {
  return uint16_t(bits(d, 5, 1, 2) | bits(d, 1, 2, 3) | bits(d, 6, 2, 5) | bits(d, 3, 2, 10) | bits(d, 8, 1, 12));
}

uint32_t encode(const InstInfo& row, const Fields& f) {
  const uint32_t a = f.a & 31u, b = f.b & 31u, c = f.c & 31u, d = f.d & 31u;
  const uint32_t mode = row.traits & T_rm ? uint32_t(f.mode & 7) << 12 : 0;
  const uint32_t order = uint32_t(f.mode & 1) << 26 | uint32_t(f.mode >> 1 & 1) << 25;
  switch (row.form) {
    case Form::r: return row.match | a << 7 | b << 15 | c << 20 | mode;
    case Form::r2: return row.match | a << 7 | b << 15 | mode;
    case Form::r4: return row.match | a << 7 | b << 15 | c << 20 | d << 27 | mode;
    case Form::i: case Form::load: return row.match | a << 7 | b << 15 | bits(f.imm, 0, 12, 20);
    case Form::shift: return row.match | a << 7 | b << 15 | bits(f.imm, 0, 6, 20);
    case Form::shiftw: return row.match | a << 7 | b << 15 | bits(f.imm, 0, 5, 20);
    case Form::store: return row.match | a << 20 | b << 15 | bits(f.imm, 0, 5, 7) | bits(f.imm, 5, 7, 25);
    case Form::u: return row.match | a << 7 | bits(f.imm, 0, 20, 12);
    case Form::j: return row.match | a << 7 | jump_bits(int32_t(f.imm));
    case Form::b: return row.match | a << 15 | b << 20 | branch_bits(int32_t(f.imm));
    // The text names the value before the address.
    case Form::amo: return row.match | a << 7 | b << 20 | c << 15 | order;
    case Form::lr: return row.match | a << 7 | b << 15 | order;
    case Form::fence: return row.match | bits(f.imm, 0, 8, 20);
    case Form::csr: case Form::csri: return row.match | a << 7 | b << 15 | bits(f.imm, 0, 12, 20);
    default: return row.match;
  }
}

uint8_t* put32(uint8_t* p, Op op, const Fields& f) {
  store_le(p, encode(info(op), f));
  return p + 4;
}

uint8_t* put(uint8_t* p, Op op, const Fields& f) {
  const int32_t word = compress(op, f);
  if (word < 0) return put32(p, op, f);
  store_le(p, uint16_t(word));
  return p + 2;
}

}  // namespace lode::riscv64
