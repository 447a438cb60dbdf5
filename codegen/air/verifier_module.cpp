// What must hold of a module, whatever its functions do: names and types of symbols, initialisers and the addresses in
// them, aliases, constructors; then that each function has its body, which verifier.cpp judges.
//
// Symbols are judged without bodies, so also in a module whose bodies are read on request. A problem of one symbol is
// reported as that symbol's; only what has no symbol is the module's.
#include "codegen/air/text.h"
#include "codegen/air/verifier.h"

namespace lode::air {

void verify_symbols(const Module& m, std::vector<Problem>& problems) {
  auto report = [&](uint32_t symbol, std::string message) {
    problems.push_back({SymbolIndex(symbol), ~0u, ~0u, std::move(message)});
  };
  auto string_ok = [&](StringRef r) { return uint64_t(r.offset) + r.size <= m.strings.size(); };
  for (const Comdat& c : m.comdats)
    if (!string_ok(c.name)) problems.push_back({SymbolIndex{}, ~0u, ~0u, "a comdat without a name"});
  for (uint32_t t = 0; t < m.types.size(); t++)
    if (m.types.nesting(TypeId(t)) > TypeTable::max_nesting) {
      report(~0u, "a type nests more than " + std::to_string(TypeTable::max_nesting) + " levels deep");
      return;
    }
  // Aliases end at something that is no alias. 1: on the way, 2: ends well, 3: does not, and that is reported.
  std::vector<uint8_t> alias_state(m.symbols.size(), 0);
  std::vector<uint32_t> chain;
  auto follow_alias = [&](uint32_t k) {
    chain.clear();
    const char* problem = nullptr;
    uint32_t to = k;
    for (;;) {
      const Symbol& x = m.symbols[to];
      if (alias_state[to] == 1) problem = "the alias leads to itself";
      if (alias_state[to] || (x.kind != SymbolKind::alias && x.kind != SymbolKind::ifunc)) break;
      alias_state[to] = 1;
      chain.push_back(to);
      if (!x.aliasee.valid() || x.aliasee.value >= m.symbols.size()) {
        problem = "the alias leads nowhere";
        break;
      }
      to = x.aliasee.value;
    }
    const bool good = !problem && alias_state[to] != 3;
    for (uint32_t c : chain) alias_state[c] = good ? 2 : 3;
    if (problem) report(k, problem);
  };
  for (uint32_t k = 0; k < m.symbols.size(); k++) {
    const Symbol& s = m.symbols[k];
    if (!string_ok(s.name) || !string_ok(s.section)) {
      problems.push_back({SymbolIndex{}, ~0u, ~0u, "symbol " + std::to_string(k) + " has no name"});
      continue;
    }
    if (!s.type.valid() || s.type.value >= m.types.size()) {
      report(k, "the symbol has an unknown type");
      continue;
    }
    if (s.comdat.valid() && s.comdat.value >= m.comdats.size()) report(k, "the symbol's comdat does not exist");
    if (!s.defined && s.linkage == Linkage::internal) report(k, "an internal symbol that is not defined");
    if (s.kind == SymbolKind::function) {
      if (m.types[s.type].kind != TypeKind::Function) report(k, "the function has type " + type_name(m.types, s.type));
      if (s.defined && (!s.function.valid() || s.function.value >= m.functions.size() ||
                        m.functions[s.function.value].symbol.value != k))
        report(k,
               s.function.valid() ? "the function has no body" : "the function was begun, but has no body: finish()");
      if (s.tls != TlsModel::none) report(k, "a thread-local function");
    } else if (s.kind == SymbolKind::data) {
      if (!s.defined) continue;
      if (s.bytes_size > s.size || s.bytes_offset > m.data.size() || s.bytes_size > m.data.size() - s.bytes_offset) {
        report(k, "the initialiser lies outside of the module's data");
        continue;
      }
      if (uint64_t(s.relocs) + s.reloc_count > m.data_relocs.size()) {
        report(k, "addresses outside of the module's list");
        continue;
      }
      uint64_t at = 0;
      for (uint32_t r = 0; r < s.reloc_count; r++) {
        const DataReloc& x = m.data_relocs[s.relocs + r];
        std::string where = "the address at offset " + std::to_string(x.offset);
        if (x.size != 4 && x.size != 8) report(k, where + " has " + std::to_string(x.size) + " bytes");
        else if (x.offset < at || x.offset > s.size || x.size > s.size - x.offset)
          report(k, where + " lies outside of the data or on another");
        at = x.offset + x.size;
        const bool of_block = x.kind == DataRelocKind::block_address || x.kind == DataRelocKind::block_difference;
        SymbolIndex target = of_block ? x.function : x.symbol;
        if (!target.valid() || target.value >= m.symbols.size()) report(k, where + " is of no symbol");
        else if (of_block && (m.symbols[target.value].kind != SymbolKind::function || !m.symbols[target.value].defined))
          report(k, where + " is of a block in no function");
      }
    } else {
      follow_alias(k);
      if (s.kind == SymbolKind::ifunc && s.aliasee.valid() && s.aliasee.value < m.symbols.size() &&
          m.symbols[s.aliasee.value].kind == SymbolKind::data)
        report(k, "the resolver is no function");
    }
  }
  for (const InitEntry& i : m.inits)
    if (!i.function.valid() || i.function.value >= m.symbols.size())
      problems.push_back({SymbolIndex{}, ~0u, ~0u, "a constructor that does not exist"});
    else if (m.symbols[i.function.value].kind == SymbolKind::data)
      report(i.function.value, "a constructor that is no function");
}

void verify_module(const Module& m, std::vector<Problem>& problems) {
  verify_symbols(m, problems);
  for (uint32_t f = 0; f < m.functions.size(); f++) {
    const FunctionDecl& d = m.functions[f];
    if (!d.symbol.valid() || d.symbol.value >= m.symbols.size()) {
      problems.push_back({SymbolIndex{}, ~0u, ~0u, "a function without a symbol"});
      continue;
    }
    if (m.bodies) continue;
    if (f >= m.in_memory.size()) {
      problems.push_back({d.symbol, ~0u, ~0u, "the function has no body"});
      continue;
    }
    verify_function(m, m.in_memory[f], problems);
  }
}

std::string problem_text(const Module& m, const Problem& p) {
  std::string s;
  if (p.symbol.valid() && p.symbol.value < m.symbols.size()) s = std::string(m.name_of(p.symbol));
  if (p.block != ~0u) s += ", block " + std::to_string(p.block);
  if (p.inst != ~0u) s += ", instruction " + std::to_string(p.inst);
  return s.empty() ? p.message : s + ": " + p.message;
}

}  // namespace lode::air
