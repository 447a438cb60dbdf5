// Data: initialisers flattened to bytes and relocations, aliases and ifuncs, and the arrays by which a module talks to
// the linker (llvm.used, llvm.compiler.used, llvm.global_ctors, llvm.global_dtors).
//
// Only the part of an initialiser up to its last non-zero byte or relocation is stored; the rest is zero by definition,
// so that a large zeroed array costs nothing. The number of bytes that a file may ask for is bounded by its own size.
#include <algorithm>

#include "base/bytes.h"
#include "codegen/import/function_import.h"

namespace lode::codegen {

namespace {

class DataImporter {
 public:
  explicit DataImporter(ImportState& s)
      : s_(s), folder_(s, nullptr), byte_limit_((uint64_t{256} << 20) + uint64_t{s.bitcode.stream.size()} * 64),
        node_limit_((1 << 22) + uint64_t{s.bitcode.stream.size()} * 16) {}

  Result<void> run();

 private:
  bool write(uint32_t value, air::TypeId type, uint64_t at);
  bool bytes(uint64_t at, const void* data, uint64_t n);
  bool relocate(const Folded& f, uint64_t at, uint64_t size);
  bool symbol_list(const bc::Global& g, bool retain);
  bool inits(const bc::Global& g, bool destructor);
  bool alias(uint32_t global);
  bool block_number(air::SymbolIndex function, uint32_t block, uint32_t& out);
  bool fail(const char* what) {
    if (!error_) error_ = what;
    return false;
  }

  ImportState& s_;
  Folder folder_;
  uint64_t byte_limit_, node_limit_;
  uint64_t nodes_ = 0;
  std::vector<uint8_t> buffer_;  // of the current symbol
  air::SymbolIndex current_;
  const char* error_ = nullptr;
  uint32_t blocks_of_ = ~0u;     // body whose block numbers are in blocks_
  std::vector<uint32_t> blocks_;
};

bool DataImporter::bytes(uint64_t at, const void* data, uint64_t n) {
  while (n > 0 && static_cast<const uint8_t*>(data)[n - 1] == 0) n--;
  if (n == 0) return true;
  uint64_t end = at + n;
  if (end < at || end > byte_limit_ || s_.air.data.size() + end > byte_limit_) return fail("initialiser too large");
  if (buffer_.size() < end) buffer_.resize(end);
  std::memcpy(buffer_.data() + at, data, n);
  return true;
}

bool DataImporter::block_number(air::SymbolIndex function, uint32_t block, uint32_t& out) {
  air::FunctionIndex f = s_.air.symbols[function.value].function;
  if (!f) return fail("address of a block of a function without a body");
  uint32_t body = s_.body_of[f.value];
  if (body == bc::none) return fail("address of a block that does not exist");
  if (blocks_of_ != body) {
    auto scratch = take_scratch(s_);
    auto r = block_numbers(s_, body, *scratch, blocks_);
    give_scratch(s_, std::move(scratch));
    if (!r.ok()) return fail("address of a block of a function that cannot be read");
    blocks_of_ = body;
  }
  if (block >= blocks_.size()) return fail("address of a block that does not exist");
  out = blocks_[block];
  return true;
}

bool DataImporter::relocate(const Folded& f, uint64_t at, uint64_t size) {
  air::DataReloc r;
  r.offset = at;
  r.addend = int64_t(f.bits);
  r.symbol = f.symbol;
  r.size = uint8_t(size);
  if (size != 4 && size != 8) return fail("address in an integer that is neither 4 nor 8 bytes wide");
  switch (f.kind) {
    case Folded::Address: break;
    case Folded::Difference:
      // a - (this symbol + b) == a + (at - b) - (this symbol + at)
      if (f.minus != current_) return fail("difference of two addresses, neither of them in the same variable");
      r.kind = air::DataRelocKind::symbol_minus_place;
      r.addend += int64_t(at);
      break;
    case Folded::Block: {
      uint32_t number;
      if (!block_number(f.symbol, f.block, number)) return false;
      if (number == bc::none) {
        // Nothing reaches the block: any address that is no block's will do.
        uint8_t one = 1;
        return bytes(at, &one, 1);
      }
      r.kind = air::DataRelocKind::block_address;
      r.function = f.symbol;
      r.symbol = air::SymbolIndex(number);
      break;
    }
    case Folded::BlockDifference: {
      uint32_t a, b;
      if (!block_number(f.symbol, f.block, a) || !block_number(f.symbol, uint32_t(f.bits), b)) return false;
      if (a == bc::none || b == bc::none) return true;
      r.kind = air::DataRelocKind::block_difference;
      r.function = f.symbol;
      r.symbol = air::SymbolIndex(a);
      r.addend = b;
      break;
    }
    default: return fail("initialiser that cannot be computed when linking");
  }
  s_.air.data_relocs.push_back(r);
  return true;
}

bool DataImporter::write(uint32_t value, air::TypeId type, uint64_t at) {
  if (++nodes_ > node_limit_) return fail("initialiser too large");
  const auto& types = s_.air.types;
  const air::Type& t = types[type];
  const bc::Constant* k;
  const bc::Constants* pool = folder_.pool(value, k);
  if (!pool) {
    if (value >= s_.bitcode.globals.size()) return fail("initialiser that is not a constant");
    Folded f = folder_.fold(value);
    if (f.kind == Folded::No) return fail("address of an intrinsic in an initialiser");
    return relocate(f, at, types.store_size_of(type));
  }
  if (s_.types[k->type] != type) return fail("initialiser of a wrong type");
  switch (k->kind) {
    case bc::ConstKind::Null:
    case bc::ConstKind::Undef:
    case bc::ConstKind::Poison: return true;
    case bc::ConstKind::Int: {
      uint64_t v = k->bits;
      if (t.bits < 64) v &= (uint64_t{1} << t.bits) - 1;
      return bytes(at, &v, std::min<uint64_t>(types.store_size_of(type), 8));
    }
    case bc::ConstKind::WideInt:
    case bc::ConstKind::WideFloat: {
      auto w = pool->words_of(*k);
      return bytes(at, w.data(), std::min<uint64_t>(types.store_size_of(type), w.size() * 8));
    }
    case bc::ConstKind::Float: return bytes(at, &k->bits, std::min<uint64_t>(types.store_size_of(type), 8));
    case bc::ConstKind::String: {
      auto text = pool->bytes_of(*k);
      return bytes(at, text.data(), text.size());
    }
    case bc::ConstKind::Data: {
      auto w = pool->words_of(*k);
      uint64_t size = types.size_of(t.element);
      if (size > 8) return fail("initialiser of a wrong type");
      for (size_t i = 0; i < w.size(); i++)
        if (!bytes(at + i * size, &w[i], size)) return false;
      return true;
    }
    case bc::ConstKind::Aggregate: {
      auto ops = pool->operands_of(*k);
      if (t.kind == air::TypeKind::Struct) {
        for (uint32_t i = 0; i < ops.size(); i++)
          if (!write(ops[i], types.member(t, i), at + types.field_offset(type, i))) return false;
        return true;
      }
      const air::Type& e = types[t.element];
      if (t.kind == air::TypeKind::Vector && e.kind == air::TypeKind::Int && e.bits % 8 != 0) {
        // Lanes of odd widths are packed, the first in the lowest bits.
        if (e.bits > 64 || t.count * e.bits > 4096) return fail("vector of odd integers in an initialiser");
        std::vector<uint8_t> packed(t.count * e.bits / 8 + 1);
        for (uint64_t i = 0; i < ops.size(); i++) {
          Folded f = folder_.fold(ops[i]);
          if (f.kind != Folded::Int) return fail("address in a vector of odd integers");
          for (uint32_t b = 0; b < e.bits; b++)
            if (f.bits >> b & 1) packed[(i * e.bits + b) / 8] |= uint8_t(1 << (i * e.bits + b) % 8);
        }
        return bytes(at, packed.data(), packed.size());
      }
      uint64_t stride = types.size_of(t.element);
      for (size_t i = 0; i < ops.size(); i++)
        if (!write(ops[i], t.element, at + i * stride)) return false;
      return true;
    }
    default: break;
  }
  Folded f = folder_.fold(value);
  if (f.kind == Folded::Int) {
    return bytes(at, &f.bits, std::min<uint64_t>(types.store_size_of(type), 8));
  }
  if (f.kind == Folded::No) return fail("initialiser that cannot be computed when linking");
  if (t.kind != air::TypeKind::Ptr && t.kind != air::TypeKind::Int)
    return fail("address in something that is no integer");
  return relocate(f, at, types.store_size_of(type));
}

// llvm.used and llvm.compiler.used: arrays of pointers.
bool DataImporter::symbol_list(const bc::Global& g, bool retain) {
  const bc::Constant* k;
  const bc::Constants* pool = g.init == bc::none ? nullptr : folder_.pool(g.init, k);
  if (!pool || k->kind != bc::ConstKind::Aggregate) return true;
  for (uint32_t v : pool->operands_of(*k)) {
    Folded f = folder_.fold(v);
    if (f.kind != Folded::Address) continue;
    s_.air.symbols[f.symbol.value].used = true;
    if (retain) s_.air.symbols[f.symbol.value].retain = true;
  }
  return true;
}

// Arrays of { i32 priority, ptr function, ptr associated }.
bool DataImporter::inits(const bc::Global& g, bool destructor) {
  const bc::Constant* k;
  const bc::Constants* pool = g.init == bc::none ? nullptr : folder_.pool(g.init, k);
  if (!pool || k->kind != bc::ConstKind::Aggregate) return true;
  for (uint32_t v : pool->operands_of(*k)) {
    const bc::Constant* e;
    const bc::Constants* p = folder_.pool(v, e);
    if (!p) return fail("bad list of constructors");
    if (e->kind == bc::ConstKind::Null) continue;
    if (e->kind != bc::ConstKind::Aggregate || e->count < 2) return fail("bad list of constructors");
    auto ops = p->operands_of(*e);
    Folded priority = folder_.fold(ops[0]), function = folder_.fold(ops[1]);
    if (priority.kind != Folded::Int) return fail("bad list of constructors");
    if (function.kind == Folded::Int) continue;
    if (function.kind != Folded::Address || function.bits != 0) return fail("constructor that is not a function");
    air::InitEntry init;
    init.priority = uint32_t(priority.bits);
    init.function = function.symbol;
    init.destructor = destructor;
    if (ops.size() > 2) {
      Folded a = folder_.fold(ops[2]);
      if (a.kind == Folded::Address) init.associated = a.symbol;
    }
    s_.air.inits.push_back(init);
  }
  return true;
}

bool DataImporter::alias(uint32_t global) {
  const bc::Global& g = s_.bitcode.globals[global];
  air::Symbol& y = s_.air.symbols[s_.symbols[global].value];
  Folded f = folder_.fold(g.init);
  if (f.kind != Folded::Address) return fail("alias of something that is not an address");
  y.defined = true;
  y.aliasee = f.symbol;
  y.alias_offset = int64_t(f.bits);
  const air::Symbol& target = s_.air.symbols[f.symbol.value];
  if (y.kind == air::SymbolKind::ifunc && f.bits != 0) return fail("resolver that is not a function");
  if (y.kind == air::SymbolKind::alias && !y.comdat && target.comdat) y.comdat = target.comdat;
  return true;
}

Result<void> DataImporter::run() {
  const bc::Module& m = s_.bitcode;
  for (uint32_t i = 0; i < m.globals.size(); i++) {
    const bc::Global& g = m.globals[i];
    bool ok = true;
    if (g.kind == bc::Global::Variable && !s_.symbols[i]) {
      if (g.name == "llvm.used") ok = symbol_list(g, true);
      if (g.name == "llvm.compiler.used") ok = symbol_list(g, false);
      if (g.name == "llvm.global_ctors") ok = inits(g, false);
      if (g.name == "llvm.global_dtors") ok = inits(g, true);
    } else if (g.kind == bc::Global::Alias || g.kind == bc::Global::IFunc) {
      ok = alias(i);
    } else if (g.kind == bc::Global::Variable && s_.air.symbols[s_.symbols[i].value].defined) {
      current_ = s_.symbols[i];
      air::Symbol& y = s_.air.symbols[current_.value];
      buffer_.clear();
      y.relocs = uint32_t(s_.air.data_relocs.size());
      ok = write(g.init, y.type, 0);
      if (ok) {
        y.reloc_count = uint32_t(s_.air.data_relocs.size()) - y.relocs;
        // Places with relocations lie inside the stored bytes.
        for (uint32_t r = y.relocs; r < y.relocs + y.reloc_count; r++) {
          uint64_t end = s_.air.data_relocs[r].offset + s_.air.data_relocs[r].size;
          if (end > byte_limit_) ok = fail("initialiser too large");
          else if (buffer_.size() < end) buffer_.resize(end);
        }
        std::sort(s_.air.data_relocs.begin() + y.relocs, s_.air.data_relocs.end(),
                  [](const air::DataReloc& a, const air::DataReloc& b) { return a.offset < b.offset; });
      }
      s_.air.data.resize(align_up(s_.air.data.size(), 16));
      y.bytes_offset = s_.air.data.size();
      y.bytes_size = buffer_.size();
      s_.air.data.insert(s_.air.data.end(), buffer_.begin(), buffer_.end());
    }
    if (!ok) return error("'" + std::string(g.name) + "': " + error_);
  }
  return {};
}

}  // namespace

Result<void> import_data(ImportState& s) { return DataImporter(s).run(); }

}  // namespace lode::codegen
