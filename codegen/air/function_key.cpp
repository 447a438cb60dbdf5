#include "codegen/air/function_key.h"

#include <xxhash.h>

#include <cstring>
#include <string_view>
#include <unordered_map>

namespace lode::codegen {

namespace {

// The words that are hashed. Records are taken field by field where they have padding.
class Form {
 public:
  void word(uint32_t w) { words_.push_back(w); }
  void wide(uint64_t w) { word(uint32_t(w)), word(uint32_t(w >> 32)); }
  void hash(const mir::Hash128& h) { wide(h.low), wide(h.high); }
  void bytes(const void* data, size_t n) {
    wide(n);
    const size_t at = words_.size();
    words_.resize(at + (n + 3) / 4);
    if (n) std::memcpy(words_.data() + at, data, n);
  }
  void text(std::string_view s) { bytes(s.data(), s.size()); }
  template <class T>
  void array(const std::vector<T>& v) {
    static_assert(std::has_unique_object_representations_v<T>, "has padding, or bits that mean nothing");
    bytes(v.data(), v.size() * sizeof(T));
  }
  mir::Hash128 finish() const {
    const XXH128_hash_t h = XXH3_128bits(words_.data(), words_.size() * 4);
    return {h.low64, h.high64};
  }

 private:
  std::vector<uint32_t> words_;
};

}  // namespace

AirModuleKey air_module_key(const air::Module& m) {
  Form types, names;
  const air::DataLayout& l = m.types.layout();
  for (uint32_t w : {l.pointer_bytes, l.f80_align, l.i64_align, l.i128_align, l.f128_align, l.max_vector_align})
    types.word(w);
  types.text(m.triple);
  for (uint32_t t = 0; t < m.types.size(); t++) {
    const air::Type& x = m.types[air::TypeId(t)];
    types.word(uint32_t(x.kind) | uint32_t(x.packed) << 8 | uint32_t(x.vararg) << 9);
    for (uint32_t w : {x.bits, x.element.value, x.field_count}) types.word(w);
    types.wide(x.count);
    for (uint32_t k = 0; k < x.field_count; k++) types.word(m.types.member(x, k).value);
  }
  const air::ModuleRequests& r = m.requests;
  for (uint32_t w : {uint32_t(r.branch_targets), uint32_t(r.shadow_stack), uint32_t(r.runtime_by_got),
                     uint32_t(r.indirect_branch_prefix), uint32_t(r.type_ids), r.type_id_offset, uint32_t(r.guard),
                     uint32_t(r.guard_segment), uint32_t(r.guard_offset)})
    types.word(w);
  types.text(r.guard_symbol.valid() ? m.name_of(r.guard_symbol) : std::string_view());
  for (uint32_t s = 0; s < m.symbols.size(); s++) names.text(m.name_of(air::SymbolIndex(s)));
  return {types.finish(), names.finish()};
}

mir::Hash128 air_function_key(const air::Module& m, const AirModuleKey& key, const air::Function& f,
                              std::vector<air::SymbolIndex>& symbols) {
  Form form;
  symbols.clear();
  std::unordered_map<uint32_t, uint32_t> order;
  auto symbol = [&](auto&& self, air::SymbolIndex s) -> void {
    if (!s.valid()) return form.word(~0u);
    auto [it, fresh] = order.try_emplace(s.value, uint32_t(symbols.size()));
    form.word(it->second);
    if (!fresh) return;
    symbols.push_back(s);
    const air::Symbol& x = m.symbols[s.value];
    form.word(uint32_t(x.kind) | uint32_t(x.tls) << 4 | uint32_t(x.linkage) << 8 | uint32_t(x.defined) << 16 |
              uint32_t(x.comdat.valid()) << 17);
    form.word(x.type.value);
    if (x.kind == air::SymbolKind::alias || x.kind == air::SymbolKind::ifunc) self(self, x.aliasee);
  };
  form.hash(key.types);
  symbol(symbol, f.symbol);
  symbol(symbol, f.personality);
  for (uint32_t w :
       {f.type.value, uint32_t(f.conv), f.flags, f.features, uint32_t(f.result_attrs), f.align_log2,
        uint32_t(f.lifetime_markers)})
    form.word(w);
  const air::Requests& q = f.requests;
  for (uint32_t w : {q.probe_size, q.protect_buffer_size, uint32_t(q.zero_registers), q.patchable_entry,
                     q.patchable_prefix, q.patchable_section.offset, q.patchable_section.size, q.type_id})
    form.word(w);
  symbol(symbol, q.probe_symbol);
  symbol(symbol, q.fentry);
  form.array(f.param_attrs);
  form.array(f.blocks);
  form.array(f.insts);
  form.array(f.values);
  form.array(f.extra);
  form.array(f.edges);
  form.text(f.strings);
  for (const air::Constant& c : f.constants) {
    form.word(uint32_t(c.kind));
    form.word(c.type.value);
    if (c.kind == air::ConstantKind::Symbol) symbol(symbol, air::SymbolIndex(c.symbol));
    else form.word(c.symbol);
    form.wide(c.bits);
  }
  for (const air::CallSite& c : f.calls)
    for (uint32_t w : {c.callee.value, c.function_type.value, c.args, c.arg_count, c.attrs, c.inline_asm,
                       uint32_t(c.flags) | uint32_t(c.result_attrs) << 16, uint32_t(c.conv), c.type_id, c.fixed_args})
      form.word(w);
  for (const air::StackSlot& s : f.slots) form.wide(s.size), form.word(s.align_log2), form.word(uint32_t(s.array));
  for (const air::LandingPad& p : f.landing_pads) form.word(p.cleanup), form.word(p.clauses), form.word(p.clause_count);
  for (const air::InlineAsm& a : f.inline_asms)
    for (uint32_t w : {a.text, a.text_len, a.constraints, a.constraints_len,
                       uint32_t(a.side_effects) | uint32_t(a.align_stack) << 1 | uint32_t(a.intel) << 2 |
                           uint32_t(a.can_throw) << 3 | uint32_t(a.any_encoding) << 4})
      form.word(w);
  for (size_t n : {f.constants.size(), f.calls.size(), f.slots.size(), f.landing_pads.size(), f.inline_asms.size()})
    form.wide(n);
  if (!f.inline_asms.empty()) form.hash(key.names);
  return form.finish();
}

}  // namespace lode::codegen
