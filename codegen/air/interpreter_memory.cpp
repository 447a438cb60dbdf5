// Memory of the interpreter: allocations with gaps between them, so that a pointer past the end of one never meets
// another.
#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "codegen/air/interpreter_impl.h"

namespace lode::air {

Result<uint64_t> Interpreter::Impl::allocate(uint64_t size, uint64_t align, bool heap) {
  if (size > options.max_memory || memory_used > options.max_memory - size) return lode::error("out of memory");
  align = std::clamp<uint64_t>(align, 16, 1 << 20);
  uint64_t address = align_up(next_address, align);
  if (address + size > function_base - (1 << 20)) return lode::error("out of addresses");
  Allocation& a = memory[address];
  a.size = size;
  a.bytes.resize(size_t(size));
  a.heap = heap;
  memory_used += size;
  next_address = address + align_up(size, 16) + 32;
  return address;
}

bool Interpreter::Impl::release(uint64_t address) {
  auto it = memory.find(address);
  if (it == memory.end()) return false;
  memory_used -= it->second.size;
  memory.erase(it);
  return true;
}

uint8_t* Interpreter::Impl::at(uint64_t address, uint64_t n, bool write) {
  static uint8_t nothing[1];
  if (n == 0) return nothing;
  auto it = memory.upper_bound(address);
  if (it == memory.begin()) return nullptr;
  --it;
  Allocation& a = it->second;
  uint64_t offset = address - it->first;
  if (offset > a.size || n > a.size - offset || (write && a.read_only)) return nullptr;
  return a.bytes.data() + offset;
}

static std::string hex_address(uint64_t v) {
  static const char digits[] = "0123456789abcdef";
  std::string s;
  for (int shift = 60; shift >= 0; shift -= 4)
    if (v >> shift || shift == 0) s += digits[v >> shift & 15];
  return "0x" + s;
}

// Recursion follows the type, whose depth the type table's users limit.
bool Interpreter::Impl::load(TypeId id, uint64_t address, Scalar* to) {
  const Type& t = module.types[id];
  uint64_t bytes = module.types.store_size_of(id);
  switch (t.kind) {
    case TypeKind::Struct:
      for (uint32_t f = 0; f < t.field_count; f++) {
        TypeId m = module.types.member(t, f);
        if (!load(m, address + module.types.field_offset(id, f), to)) return false;
        to += scalars(m);
      }
      return true;
    case TypeKind::Array:
      for (uint64_t k = 0; k < t.count; k++, to += scalars(t.element))
        if (!load(t.element, address + k * module.types.size_of(t.element), to)) return false;
      return true;
    case TypeKind::Vector: {
      const uint8_t* p = at(address, bytes);
      if (!p) return fail("read of " + std::to_string(bytes) + " bytes at " + hex_address(address));
      const Type& e = module.types[t.element];
      uint64_t width = e.kind == TypeKind::Int   ? e.bits
                       : e.kind == TypeKind::F80 ? 80
                                                 : module.types.store_size_of(t.element) * 8;
      for (uint64_t k = 0; k < t.count; k++) {
        Scalar v = 0;
        for (uint64_t b = 0; b < width; b++) {
          uint64_t bit = k * width + b;
          v |= Scalar(p[bit / 8] >> bit % 8 & 1) << unsigned(b);
        }
        to[k] = v;
      }
      return true;
    }
    default: {
      const uint8_t* p = at(address, bytes);
      if (!p) return fail("read of " + std::to_string(bytes) + " bytes at " + hex_address(address));
      Scalar v = 0;
      std::memcpy(&v, p, size_t(std::min<uint64_t>(bytes, 16)));
      if (t.kind == TypeKind::Int) v &= mask_of(t.bits);
      *to = v;
      return true;
    }
  }
}

bool Interpreter::Impl::store(TypeId id, uint64_t address, const Scalar* from) {
  const Type& t = module.types[id];
  uint64_t bytes = module.types.store_size_of(id);
  switch (t.kind) {
    case TypeKind::Struct:
      for (uint32_t f = 0; f < t.field_count; f++) {
        TypeId m = module.types.member(t, f);
        if (!store(m, address + module.types.field_offset(id, f), from)) return false;
        from += scalars(m);
      }
      return true;
    case TypeKind::Array:
      for (uint64_t k = 0; k < t.count; k++, from += scalars(t.element))
        if (!store(t.element, address + k * module.types.size_of(t.element), from)) return false;
      return true;
    case TypeKind::Vector: {
      uint8_t* p = at(address, bytes, true);
      if (!p) return fail("write of " + std::to_string(bytes) + " bytes at " + hex_address(address));
      const Type& e = module.types[t.element];
      uint64_t width = e.kind == TypeKind::Int   ? e.bits
                       : e.kind == TypeKind::F80 ? 80
                                                 : module.types.store_size_of(t.element) * 8;
      std::memset(p, 0, size_t(bytes));
      for (uint64_t k = 0; k < t.count; k++)
        for (uint64_t b = 0; b < width; b++) {
          uint64_t bit = k * width + b;
          if (from[k] >> unsigned(b) & 1) p[bit / 8] |= uint8_t(1u << bit % 8);
        }
      return true;
    }
    default: {
      uint8_t* p = at(address, bytes, true);
      if (!p) return fail("write of " + std::to_string(bytes) + " bytes at " + hex_address(address));
      std::memcpy(p, from, size_t(std::min<uint64_t>(bytes, 16)));
      return true;
    }
  }
}

bool Interpreter::Impl::c_string(uint64_t address, std::string& out) {
  out.clear();
  for (;; address++) {
    const uint8_t* p = at(address, 1);
    if (!p) return fail("read of a string at " + hex_address(address));
    if (!*p) return true;
    out += char(*p);
  }
}

Result<void> Interpreter::Impl::place_globals() {
  if (globals_ready) return {};
  globals_ready = true;
  const size_t n = module.symbols.size();
  symbol_address.assign(n, 0);
  for (uint32_t k = 0; k < n; k++) {
    const Symbol& s = module.symbols[k];
    if (s.kind == SymbolKind::function) {
      symbol_address[k] = s.linkage == Linkage::extern_weak && !s.defined ? 0 : function_base + uint64_t(k) * 16;
      function_at[function_base + uint64_t(k) * 16] = k;
    } else if (s.kind == SymbolKind::data) {
      if (s.linkage == Linkage::extern_weak && !s.defined) continue;
      uint64_t size = s.defined ? s.size : module.types.size_of(s.type);
      LODE_ASSIGN(symbol_address[k], allocate(size, uint64_t{1} << std::min(s.align_log2, 20u)));
      if (s.defined)
        std::memcpy(memory[symbol_address[k]].bytes.data(), module.data.data() + s.bytes_offset, size_t(s.bytes_size));
    }
  }
  for (uint32_t k = 0; k < n; k++) {
    // Aliases, in any order: follow the chain.
    uint32_t to = k;
    int64_t offset = 0;
    for (size_t step = 0; step < n; step++) {
      const Symbol& s = module.symbols[to];
      if (s.kind != SymbolKind::alias && s.kind != SymbolKind::ifunc) break;
      offset += s.alias_offset;
      to = s.aliasee.value;
    }
    if (to != k) symbol_address[k] = symbol_address[to] + uint64_t(offset);
    if (module.symbols[k].kind == SymbolKind::ifunc) {
      std::vector<Scalar> result;
      if (!call_address(symbol_address[k], {}, {}, 0, TypeTable::ptr, result)) return lode::error(error);
      if (!result.empty()) symbol_address[k] = uint64_t(result[0]);
    }
  }
  for (uint32_t k = 0; k < n; k++) {
    const Symbol& s = module.symbols[k];
    if (s.kind != SymbolKind::data || !s.defined) continue;
    Allocation& a = memory[symbol_address[k]];
    for (uint32_t r = 0; r < s.reloc_count; r++) {
      const DataReloc& x = module.data_relocs[s.relocs + r];
      uint64_t v = x.symbol.valid() && x.kind < DataRelocKind::block_address ? symbol_address[x.symbol.value] : 0;
      if (x.kind == DataRelocKind::symbol_minus_place) v -= symbol_address[k] + x.offset;
      if (x.kind == DataRelocKind::block_address)
        v = block_base + x.symbol.value;
      v += uint64_t(x.addend);
      if (x.kind == DataRelocKind::block_difference) v = uint64_t(x.symbol.value) - uint64_t(x.addend);
      std::memcpy(a.bytes.data() + x.offset, &v, x.size);
    }
    a.read_only = s.constant;
  }
  return {};
}

}  // namespace lode::air
