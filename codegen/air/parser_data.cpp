// Initialisers of data, and aliases: read in the second pass, when all names are known.
#include <algorithm>

#include "codegen/air/parser_impl.h"

namespace lode::air {

void ModuleParser::finish_alias(Item& item) {
  const uint32_t index = item.index;  // symbol_ref() may move the items
  if (peek().kind != Tok::Symbol) {
    fail_here("a symbol");
    return;
  }
  SymbolIndex target = symbol_ref(take());
  Symbol& s = m_.symbols[index];
  s.aliasee = target;
  if (is('+') || is('-')) {
    bool minus = take().punct == '-';
    uint64_t n = 0;
    if (!number(n, "an offset")) return;
    s.alias_offset = int64_t(minus ? 0 - n : n);
  }
  if (peek().kind != Tok::End && !at_item()) fail_here("the end of the declaration");
}

void ModuleParser::place_bytes(Symbol& s, const void* p, size_t n) {
  const uint8_t* b = static_cast<const uint8_t*>(p);
  m_.data.insert(m_.data.end(), b, b + n);
  s.bytes_size += n;
}
bool ModuleParser::place_zeros(Symbol& s, uint64_t n, const Token& where) {
  if (!charge(where, n)) return false;
  m_.data.insert(m_.data.end(), size_t(n), 0);
  s.bytes_size += n;
  return true;
}

// Members at their offsets, without what pads the last one.
bool ModuleParser::place_aggregate(Symbol& s, const ConstNode& c, const Token& where, unsigned depth) {
  const Type t = m_.types[c.type];
  const uint64_t size = m_.types.size_of(c.type), start = s.bytes_size;
  if (t.kind == TypeKind::Vector && m_.types[t.element].kind == TypeKind::Int && m_.types[t.element].bits % 8) {
    // Elements lie bit by bit.
    const uint32_t width = m_.types[t.element].bits;
    if (!charge(where, size)) return false;
    std::vector<uint8_t> bytes(size_t(size), 0);
    for (size_t k = 0; k < c.members.size(); k++)
      for (uint32_t b = 0; b < std::min(width, 64u); b++)
        if (c.members[k].kind == ConstantKind::Int && (c.members[k].bits >> b & 1)) {
          uint64_t at = k * width + b;
          if (at / 8 < bytes.size()) bytes[size_t(at / 8)] |= uint8_t(1u << at % 8);
        }
    place_bytes(s, bytes.data(), bytes.size());
    return true;
  }
  uint64_t stride = t.kind == TypeKind::Struct ? 0 : m_.types.size_of(t.element);
  if (t.kind == TypeKind::Vector && m_.types[t.element].kind == TypeKind::Int) stride = m_.types[t.element].bits / 8;
  for (size_t k = 0; k < c.members.size(); k++) {
    uint64_t at = start + (t.kind == TypeKind::Struct ? m_.types.field_offset(c.type, uint32_t(k)) : k * stride);
    if (s.bytes_size < at && !place_zeros(s, at - s.bytes_size, where)) return false;
    if (!place(s, c.members[k], where, depth + 1)) return false;
    if (t.kind == TypeKind::Vector && s.bytes_size > at + stride) {
      m_.data.resize(size_t(m_.data.size() - (s.bytes_size - at - stride)));
      s.bytes_size = at + stride;
    }
  }
  return true;
}

// The constant with the layout of its type; at the end of what is already there.
bool ModuleParser::place(Symbol& s, const ConstNode& c, const Token& where, unsigned depth) {
  if (depth > max_depth) return fail(where, "constants are nested too deeply");
  const uint64_t size = m_.types.size_of(c.type), start = s.bytes_size;
  auto pad = [&] { return s.bytes_size >= start + size || place_zeros(s, start + size - s.bytes_size, where); };
  switch (c.kind) {
    case ConstantKind::Zero: case ConstantKind::Undef: return pad();
    case ConstantKind::Int:
    case ConstantKind::Float: place_bytes(s, &c.bits, size_t(m_.types.store_size_of(c.type))); return pad();
    case ConstantKind::WideInt: case ConstantKind::WideFloat:
      place_bytes(s, c.words.data(), std::min<size_t>(c.words.size() * 4, size_t(m_.types.store_size_of(c.type))));
      return pad();
    case ConstantKind::Symbol: {
      DataReloc r;
      r.offset = s.bytes_size;
      r.addend = int64_t(c.bits);
      r.symbol = SymbolIndex(c.symbol);
      r.size = uint8_t(size);
      m_.data_relocs.push_back(r);
      s.reloc_count++;
      return pad();
    }
    case ConstantKind::Aggregate: return place_aggregate(s, c, where, depth) && pad();
    default: return fail(where, "this constant cannot stand in data");
  }
}

// relative type @x + n, block type @f n, block_difference type @f n m
bool ModuleParser::address_piece(Symbol& s) {
  const Token first = take();
  const bool difference = text(first) == "block_difference", block = difference || text(first) == "block";
  TypeId ty;
  const Token at = peek();
  if (!type(ty)) return false;
  const uint64_t size = m_.types.size_of(ty);
  if (size != 4 && size != 8) return fail(at, "an address has 4 or 8 bytes");
  if (peek().kind != Tok::Symbol) return fail_here("a symbol");
  DataReloc r;
  r.offset = s.bytes_size;
  r.size = uint8_t(size);
  const SymbolIndex target = symbol_ref(take());
  uint64_t n;
  if (block) {
    if (!number(n, "the number of a block")) return false;
    r.kind = DataRelocKind::block_address;
    r.function = target;
    r.symbol = SymbolIndex(uint32_t(n));
    if (difference) {
      if (!number(n, "the number of a block")) return false;
      r.kind = DataRelocKind::block_difference;
      r.addend = int64_t(n & 0xffffffff);
    }
  } else {
    r.kind = DataRelocKind::symbol_minus_place;
    r.symbol = target;
  }
  if (!difference && (is('+') || is('-'))) {
    const bool minus = take().punct == '-';
    if (!number(n, "an offset")) return false;
    r.addend = int64_t(minus ? 0 - n : n);
  }
  m_.data_relocs.push_back(r);
  s.reloc_count++;
  return place_zeros(s, size, first);
}

bool ModuleParser::data_piece(Symbol& s) {
  const Token t = peek();
  if (t.kind == Tok::String) {
    std::string bytes;
    if (!string(bytes)) return false;
    place_bytes(s, bytes.data(), bytes.size());
    return true;
  }
  if (accept_word("zero")) {
    uint64_t n;
    const Token at = peek();
    if (!number(n, "a number of bytes")) return false;
    if (n > uint64_t{1} << 40) return fail(at, "the initialiser is too large");
    // At the end, zeros need no bytes.
    if (is('}')) {
      s.size = s.bytes_size + n;
      return true;
    }
    return place_zeros(s, n, at);
  }
  if (is_word("relative") || is_word("block") || is_word("block_difference")) return address_piece(s);
  TypeId ty;
  if (!type(ty)) return false;
  // An address of 4 or 8 bytes may be written as an integer.
  if (peek().kind == Tok::Symbol && m_.types[ty].kind == TypeKind::Int &&
      (m_.types[ty].bits == 32 || m_.types[ty].bits == 64)) {
    ConstNode c;
    if (!constant(TypeTable::ptr, c)) return false;
    c.type = ty;
    return place(s, c, t, 0);
  }
  ConstNode c;
  return constant(ty, c) && place(s, c, t, 0);
}

void ModuleParser::finish_data(Item& item) {
  const uint32_t index = item.index;
  // symbol_ref() may add symbols: work on a copy.
  Symbol s = m_.symbols[index];
  s.bytes_offset = m_.data.size();
  s.relocs = uint32_t(m_.data_relocs.size());
  const Token t = peek();
  bool ok = true;
  if (accept('{')) {
    s.size = 0;
    while (ok && !is('}')) {
      if (peek().kind == Tok::End) {
        ok = fail(t, "this '{' is not closed");
        break;
      }
      ok = data_piece(s);
      if (ok && !is('}')) ok = expect(',', "the initialiser");
    }
    if (ok) take();
    s.size = std::max(s.size, s.bytes_size);
  } else {
    ConstNode c;
    ok = constant(s.type, c);
    if (ok && c.kind == ConstantKind::Zero) s.size = m_.types.size_of(s.type);
    else if (ok) ok = place(s, c, t, 0);
    s.size = m_.types.size_of(s.type);
  }
  if (ok && peek().kind != Tok::End && !at_item()) fail_here("the end of the declaration");
  // Zeros at the end need no bytes.
  uint64_t keep = s.reloc_count ? m_.data_relocs.back().offset + m_.data_relocs.back().size : 0;
  while (s.bytes_size > keep && m_.data.back() == 0) {
    m_.data.pop_back();
    s.bytes_size--;
  }
  m_.symbols[index] = s;
}

}  // namespace lode::air
