// Where variables are: ranges of the MIR's debug column as location expressions (DWARF 5, 2.5 and 2.6) and lists.
//
// A wrong location is worse than none. What a metadata expression asks for and cannot be said (entry values, values
// made of several, conversions) leaves the variable without a location for that range. Values in registers have garbage
// above their width, so operations that would bring it down are refused as well.
#include <algorithm>

#include "codegen/debug/builder.h"

namespace lode::codegen::dwarf {

namespace {

// Operands of an operation of DIExpression; -1: it is not handled.
int operand_count(uint64_t op) {
  if (op >= op_lit0 && op < op_lit0 + 32) return 0;
  switch (op) {
    case op_constu: case op_consts: case op_plus_uconst: case op_deref_size: return 1;
    case op_llvm_fragment: return 2;
    case op_deref: case op_dup: case 0x16 /* swap */: case op_minus: case op_plus: case op_stack_value:
    case 0x19: case 0x1a: case 0x1b: case 0x1d: case 0x1e: case 0x1f: case 0x20: case 0x21: case 0x24: case 0x25:
    case 0x26: case 0x27: case 0x29: case 0x2a: case 0x2b: case 0x2c: case 0x2d: case 0x2e:
    case op_push_object_address: case 0x14 /* over */: return 0;
    default: return -1;
  }
}

// Operations whose low bits depend on the low bits of their operands alone.
bool is_modular(uint64_t op) {
  switch (op) {
    case op_constu: case op_consts: case op_plus_uconst: case op_minus: case op_plus: case 0x1a /* and */:
    case 0x1e /* mul */: case 0x1f /* neg */: case 0x20 /* not */: case 0x21 /* or */: case 0x24 /* shl */:
    case 0x27 /* xor */: case op_stack_value: case op_dup: case 0x16: return true;
    default: return op >= op_lit0 && op < op_lit0 + 32;
  }
}

void append_breg(Section& out, unsigned reg, int64_t offset) {
  if (reg < 32) out.u8(op_breg0 + reg);
  else out.u8(op_bregx), out.uleb(reg);
  out.sleb(offset);
}

}  // namespace

bool Builder::fragment_of(uint32_t expression, Piece& out) const {
  out = {};
  if (kind(expression) != K::expression) return false;
  const uint32_t n = m().count(expression);
  for (uint32_t k = 1; k < n; k++) {
    const uint64_t op = field(expression, k);
    if (op == op_llvm_fragment) {
      if (k + 2 >= n) return false;
      out = {field(expression, k + 1), field(expression, k + 2)};
      return out.size != 0 && out.size < 1u << 30 && out.offset < 1u << 30;
    }
    const int operands = operand_count(op);
    if (operands < 0) return false;
    k += uint32_t(operands);
  }
  return true;
}

// The operations without a fragment. `memory`: what they leave is an address.
bool Builder::append_expression(Section& out, uint32_t expression, bool value, bool& memory) const {
  memory = !value;
  if (kind(expression) != K::expression || field(expression, 0) >> 1 < 3) return false;
  uint32_t end = 1, last = 0;  // behind the last operation; where it is
  for (uint32_t k = 1; k < m().count(expression);) {
    const uint64_t op = field(expression, k);
    if (op == op_llvm_fragment) break;
    const int operands = operand_count(op);
    if (operands < 0 || k + uint32_t(operands) >= m().count(expression)) return false;
    last = k;
    k = end = k + 1 + uint32_t(operands);
  }
  if (last) {
    const uint64_t op = field(expression, last);
    if (op == op_stack_value) {
      memory = false;
    } else if (value) {
      if (op != op_deref) return false;
      memory = true;
      end = last;
    }
  }
  for (uint32_t k = 1; k < end;) {
    const uint64_t op = field(expression, k);
    out.u8(op);
    const int operands = operand_count(op);
    if (op == op_deref_size) out.u8(field(expression, k + 1));
    else if (op == op_consts) out.sleb(int64_t(field(expression, k + 1)));
    else if (operands == 1) out.uleb(field(expression, k + 1));
    k += 1 + uint32_t(operands);
  }
  return true;
}

// The encoding of a base type behind typedefs and qualifiers; 0: none.
unsigned Builder::encoding_of(uint32_t node, uint64_t& bytes) const {
  for (unsigned depth = 0; depth < max_depth && node != no_node; depth++) {
    if (kind(node) == K::basic_type) {
      bytes = field(node, 3) / 8;
      return unsigned(field(node, 5));
    }
    const bool enumeration = kind(node) == K::composite_type && field(node, 1) == tag_enumeration_type;
    if (kind(node) != K::derived_type && !enumeration) return 0;
    const uint16_t tag = uint16_t(field(node, 1));
    if (tag == tag_pointer_type || tag == tag_reference_type || tag == tag_rvalue_reference_type) return 0;
    node = ref(node, 6);
  }
  return 0;
}

// One range as an expression, without its fragment. False: it cannot be said.
bool Builder::describe(const DebugRange& r, const DebugFunction& f, Section& out) const {
  const uint32_t expression = r.expression ? r.expression - 1 : no_node;
  bool modular = true, plain = true;
  for (uint32_t k = 1; k < m().count(expression); k++) {
    const uint64_t op = field(expression, k);
    if (op == op_llvm_fragment) break;
    plain = false;
    modular &= is_modular(op);
    k += uint32_t(std::max(operand_count(op), 0));
  }
  if (kind(expression) != K::expression) return false;
  const bool slot_kind =
      r.kind == DebugRange::slot || r.kind == DebugRange::slot_value || r.kind == DebugRange::slot_address;
  if (slot_kind && r.payload >= f.frame.slots.size()) return false;
  const int64_t slot = slot_kind ? f.frame.slots[r.payload] : 0;
  const bool in_register = r.kind == DebugRange::reg || r.kind == DebugRange::memory;
  const unsigned reg = in_register && r.payload < in_.dwarf_registers.size() ? in_.dwarf_registers[r.payload] : 255;
  if (in_register && reg == 255) return false;
  bool memory = false;
  switch (r.kind) {
    case DebugRange::slot:
      out.u8(op_fbreg), out.sleb(slot);
      return append_expression(out, expression, false, memory);
    case DebugRange::incoming:
      append_breg(out, f.frame.incoming_register, f.frame.incoming + int64_t(r.payload));
      return append_expression(out, expression, false, memory);
    case DebugRange::memory:
      append_breg(out, reg, 0);
      return append_expression(out, expression, false, memory);
    case DebugRange::reg:
      if (plain) {
        if (reg < 32) out.u8(op_reg0 + reg);
        else out.u8(op_regx), out.uleb(reg);
        return true;
      }
      // A pointer fills its register; of what is narrower only the low bits count.
      append_breg(out, reg, 0);
      if (!append_expression(out, expression, true, memory)) return false;
      return memory || modular;
    case DebugRange::slot_value:
      out.u8(op_fbreg), out.sleb(slot);
      if (plain) return true;
      out.u8(op_deref);
      if (!append_expression(out, expression, true, memory)) return false;
      return memory;
    case DebugRange::slot_address:
      out.u8(op_fbreg), out.sleb(slot);
      if (plain) return out.u8(op_stack_value), true;
      return append_expression(out, expression, true, memory);
    case DebugRange::constant: {
      if (!plain) {
        out.u8(op_constu), out.uleb(r.payload);
        return append_expression(out, expression, true, memory) && !memory;
      }
      uint64_t bytes = 8;
      const unsigned encoding = encoding_of(r.variable ? ref(r.variable - 1, 6) : no_node, bytes);
      Piece piece;
      if (!fragment_of(expression, piece)) return false;
      if (encoding == 4 && (bytes == 4 || bytes == 8) && !piece.size) {  // DW_ATE_float
        out.u8(op_implicit_value);
        out.uleb(bytes);
        for (uint64_t k = 0; k < bytes; k++) out.u8(r.payload >> 8 * k);
        return true;
      }
      if (encoding == 4 && !piece.size) return false;
      if (encoding == 5 || encoding == 6) {  // signed
        out.u8(op_consts), out.sleb(int64_t(r.payload));
      } else {
        uint64_t v = r.payload;
        if (encoding && bytes < 8 && !piece.size) v &= (uint64_t{1} << 8 * bytes) - 1;
        out.u8(op_constu), out.uleb(v);
      }
      out.u8(op_stack_value);
      return true;
    }
  }
  return false;
}

void Builder::locations(uint32_t die, std::span<const DebugRange> list, const DebugFunction& f) {
  struct Part {
    uint32_t begin, end;
    Piece piece;
    Section text;
  };
  std::vector<Part> parts;
  std::vector<uint32_t> cuts;
  bool declared = false;
  for (const DebugRange& r : list) declared |= r.end == ~0u;
  for (const DebugRange& r : list) {
    Part p;
    if (declared && r.end != ~0u) continue;
    p.begin = declared ? f.entry : r.begin;
    p.end = declared ? f.text_size : r.end;
    if (p.begin >= p.end || !fragment_of(r.expression ? r.expression - 1 : no_node, p.piece)) continue;
    if (!describe(r, f, p.text)) continue;
    cuts.push_back(p.begin);
    cuts.push_back(p.end);
    parts.push_back(std::move(p));
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  // Between two cuts the same parts hold; the pieces stand in order, with gaps where nothing is known.
  struct Entry {
    uint32_t begin, end;
    Bytes text;
  };
  std::vector<Entry> entries;
  for (size_t k = 0; k + 1 < cuts.size(); k++) {
    std::vector<const Part*> now;
    for (const Part& p : parts)
      if (p.begin <= cuts[k] && cuts[k] < p.end) now.push_back(&p);
    if (now.empty()) continue;
    std::stable_sort(now.begin(), now.end(),
                     [](const Part* a, const Part* b) { return a->piece.offset < b->piece.offset; });
    Section text;
    if (now.size() == 1 && !now[0]->piece.size) {
      text.bytes = now[0]->text.bytes;
    } else {
      uint64_t at = 0;
      bool clash = false;
      auto piece = [&](uint64_t bits) {
        if (bits % 8 == 0) text.u8(op_piece), text.uleb(bits / 8);
        else text.u8(op_bit_piece), text.uleb(bits), text.uleb(0);
      };
      for (const Part* p : now) {
        clash |= p->piece.size == 0 || p->piece.offset < at;
        if (clash) break;
        if (p->piece.offset > at) piece(p->piece.offset - at);
        text.bytes.insert(text.bytes.end(), p->text.bytes.begin(), p->text.bytes.end());
        piece(p->piece.size);
        at = p->piece.offset + p->piece.size;
      }
      if (clash) continue;
    }
    if (!entries.empty() && entries.back().end == cuts[k] && entries.back().text == text.bytes)
      entries.back().end = cuts[k + 1];
    else entries.push_back({cuts[k], cuts[k + 1], std::move(text.bytes)});
  }
  if (entries.empty()) return;
  if (entries.size() == 1 && entries[0].begin <= f.entry && entries[0].end >= f.text_size)
    return tree_.expression(die, at_location, std::move(entries[0].text));
  Section out;
  out.u8(lle_base_addressx);
  out.uleb(tables_.address(f.symbol, 0));
  for (const Entry& e : entries) {
    out.u8(lle_offset_pair);
    out.uleb(e.begin - std::min(e.begin, f.entry));
    out.uleb(e.end - std::min(e.end, f.entry));
    out.uleb(e.text.size());
    out.bytes.insert(out.bytes.end(), e.text.begin(), e.text.end());
  }
  out.u8(lle_end);
  tree_.attribute(die, at_location, form_loclistx, tables_.add_locations(std::move(out.bytes)));
}

}  // namespace lode::codegen::dwarf
