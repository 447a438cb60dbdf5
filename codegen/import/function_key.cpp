// See function_key.h. The form is a list of 32-bit words, hashed at the end. Whatever has no words of its own here (an
// operation without a row, constants nested too deeply) binds the function to its module: a key may be too narrow,
// never too wide.
#include "codegen/import/function_key.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "codegen/import/state.h"

namespace lode::codegen {

namespace {

constexpr unsigned max_depth = 64;

mir::Hash128 hash_words(std::span<const uint32_t> words) {
  const XXH128_hash_t h = XXH3_128bits(words.data(), words.size_bytes());
  return {h.low64, h.high64};
}

void append_text(std::vector<uint32_t>& out, std::string_view s) {
  out.push_back(uint32_t(s.size()));
  const size_t at = out.size();
  out.resize(at + (s.size() + 3) / 4);
  if (!s.empty()) std::memcpy(out.data() + at, s.data(), s.size());
}
void append_hash(std::vector<uint32_t>& out, const mir::Hash128& h) {
  for (uint64_t w : {h.low, h.high}) out.push_back(uint32_t(w)), out.push_back(uint32_t(w >> 32));
}

// The operands of each operation: v value, b block, t type, a attribute list, n number; what stands in parentheses
// repeats to the end. Empty: calls, which have rows of their own kind, and operations that the importer refuses.
constexpr std::string_view operand_kinds(bc::Op op) {
  using O = bc::Op;
  switch (op) {
    case O::Ret: case O::Resume: return "(v)";
    case O::Br: return "b";
    case O::CondBr: return "vbb";
    case O::Switch: return "vb(vb)";
    case O::IndirectBr: return "v(b)";
    case O::Unreachable: return "()";
    case O::Binop: case O::Compare: case O::ExtractElement: return "vv";
    case O::Unop: case O::Cast: case O::Freeze: case O::VaArg: return "v";
    case O::Gep: return "tv(v)";
    case O::Select: case O::InsertElement: case O::ShuffleVector: return "vvv";
    case O::Phi: return "(vb)";
    case O::Alloca: return "tvn";
    case O::Load: return "vnnn";
    case O::Store: return "vvnnn";
    case O::ExtractValue: return "v(n)";
    case O::InsertValue: return "vv(n)";
    case O::Fence: return "nn";
    case O::CmpXchg: return "vvvnnnn";
    case O::AtomicRmw: return "vvnnn";
    case O::LandingPad: return "n(nv)";
    default: return {};
  }
}

}  // namespace

// ---- of a module ----------------------------------------------------------------------------------------------------

mir::Hash128 ModuleKeys::hash_type(const bc::Module& m, uint32_t t, unsigned depth) {
  if (known_[t]) return types_[t];
  known_[t] = 1;  // a damaged file's type that holds itself ends here
  const bc::Type& x = m.types[t];
  std::vector<uint32_t> words{uint32_t(x.kind) | uint32_t(x.packed) << 8 | uint32_t(x.vararg) << 9, uint32_t(x.count),
                              uint32_t(x.count >> 32)};
  auto member = [&](uint32_t index) {
    // Deeper than any reader goes: such a type has no values.
    if (index < m.types.size() && depth < 512) append_hash(words, hash_type(m, index, depth + 1));
  };
  switch (x.kind) {
    case bc::TypeKind::Array: case bc::TypeKind::Vector: case bc::TypeKind::ScalableVector: member(x.element); break;
    case bc::TypeKind::Struct: case bc::TypeKind::Function: case bc::TypeKind::TargetExt:
      for (uint32_t f : m.list_of(x)) member(f);
      break;
    default: break;  // what a pointer points to is no part of its type
  }
  return types_[t] = hash_words(words);
}

const mir::Hash128& ModuleKeys::content(const bc::Module& m) {
  std::call_once(content_once_, [&] {
    const XXH128_hash_t h = XXH3_128bits(m.stream.data(), m.stream.size());
    content_ = {h.low64, h.high64};
  });
  return content_;
}

void ModuleKeys::prepare(const ImportState& s) {
  std::call_once(once_, [&] {
    const bc::Module& m = s.bitcode;
    types_.resize(m.types.size());
    known_.assign(m.types.size(), 0);
    for (uint32_t t = 0; t < m.types.size(); t++) hash_type(m, t, 0);
    std::vector<uint32_t> words;
    for (uint32_t l = 0; l < m.attribute_lists.size(); l++) {
      words.clear();
      const auto [first, count] = m.attribute_lists[l];
      for (uint32_t g : std::span(m.attribute_list_groups).subspan(first, count)) {
        const bc::AttributeGroup& group = m.attribute_groups[g];
        words.push_back(group.index);
        words.push_back(group.count);
        for (const bc::Attribute& a : std::span(m.attributes).subspan(group.first, group.count)) {
          words.push_back(uint32_t(a.form));
          words.push_back(a.kind);
          if (a.form == bc::Attribute::Type && a.value < types_.size()) append_hash(words, types_[a.value]);
          else words.push_back(uint32_t(a.value)), words.push_back(uint32_t(a.value >> 32));
          append_text(words, a.key);
          append_text(words, a.text);
        }
      }
      attributes_.push_back(hash_words(words));
    }
    words.clear();
    append_text(words, m.triple);
    append_text(words, m.data_layout);
    for (std::string_view scope : m.sync_scopes) append_text(words, scope);
    const air::ModuleRequests& r = s.air.requests;
    for (uint32_t w : {uint32_t(r.branch_targets), uint32_t(r.shadow_stack), uint32_t(r.runtime_by_got),
                       uint32_t(r.indirect_branch_prefix), uint32_t(r.type_ids), r.type_id_offset, uint32_t(r.guard),
                       uint32_t(r.guard_segment), uint32_t(r.guard_offset), uint32_t(s.has_trap), uint32_t(s.wasm)})
      words.push_back(w);
    append_text(words, r.guard_symbol.valid() ? s.air.name_of(r.guard_symbol) : std::string_view());
    module_ = hash_words(words);
  });
}

// Strings and arrays, which data holds; a body that names one by its number reads it whole.
static bool is_contents(const bc::Module& m, const bc::Constant& k) {
  using K = bc::ConstKind;
  if (k.kind == K::String) return true;
  if ((k.kind != K::Data && k.kind != K::Aggregate) || k.type >= m.types.size()) return false;
  return m.types[k.type].kind == bc::TypeKind::Array || m.types[k.type].kind == bc::TypeKind::Struct;
}

uint64_t ModuleKeys::tables(const ImportState& s) {
  if (s.keeps_debug) return 0;  // numbers of metadata are not among them
  prepare(s);
  std::call_once(tables_once_, [&] {
    const bc::Module& m = s.bitcode;
    std::vector<uint32_t> words;
    words.reserve(m.globals.size() * 20 + m.constants.list.size() * 6);
    append_hash(words, module_);
    for (const auto* list : {&types_, &attributes_}) {
      words.push_back(uint32_t(list->size()));
      const XXH128_hash_t h = XXH3_128bits(list->data(), list->size() * sizeof(mir::Hash128));
      append_hash(words, {h.low64, h.high64});
    }
    for (std::string_view tag : m.bundle_tags) append_text(words, tag);
    for (const bc::AbbrevField& f : m.block_info.fields)
      for (uint32_t w : {uint32_t(f.kind), uint32_t(f.value), uint32_t(f.value >> 32)}) words.push_back(w);
    for (const bc::BlockInfo::Entry& e : m.block_info.entries)
      for (uint32_t w : {e.block, e.abbrev.first, e.abbrev.count}) words.push_back(w);
    words.push_back(uint32_t(m.globals.size()));
    for (const bc::Global& g : m.globals) {
      for (uint32_t w : {uint32_t(g.kind) | uint32_t(g.tls) << 4 | uint32_t(g.linkage) << 8 |
                             uint32_t(g.declaration) << 12 | uint32_t(g.comdat != bc::none) << 13 |
                             uint32_t(g.calling_convention) << 16,
                         g.address_space, uint32_t(g.log2_align) | uint32_t(g.code_model) << 8, g.type, g.attributes,
                         g.kind == bc::Global::Variable ? 0 : g.init, g.personality, g.prefix, g.prologue,
                         uint32_t(g.gc != bc::none), g.body})
        words.push_back(w);
      if (g.kind == bc::Global::Function) append_text(words, g.name);
    }
    for (const bc::Constant& k : m.constants.list) {
      words.push_back(uint32_t(k.kind) | uint32_t(k.op) << 8 | uint32_t(k.flags) << 16);
      words.push_back(k.type);
      using K = bc::ConstKind;
      switch (k.kind) {
        case K::Null: case K::Undef: case K::Poison: break;
        case K::Int: case K::Float: words.push_back(uint32_t(k.bits)), words.push_back(uint32_t(k.bits >> 32)); break;
        default:
          if (is_contents(m, k)) break;
          words.push_back(k.count);
          if (k.kind == K::WideInt || k.kind == K::WideFloat || k.kind == K::Data) {
            for (uint64_t w : m.constants.words_of(k)) words.push_back(uint32_t(w)), words.push_back(uint32_t(w >> 32));
            break;
          }
          for (uint32_t w : m.constants.operands_of(k)) words.push_back(w);
          if (k.kind == K::InlineAsm && k.count >= 5) {
            const auto ops = m.constants.operands_of(k);
            append_text(words, {m.constants.bytes.data() + ops[1], ops[2]});
            append_text(words, {m.constants.bytes.data() + ops[3], ops[4]});
          }
      }
    }
    // What the numbers became here.
    for (air::SymbolIndex x : s.symbols) words.push_back(x.value);
    for (uint32_t b : s.body_of) words.push_back(b);
    tables_ = std::max<uint64_t>(XXH3_64bits(words.data(), words.size() * sizeof words[0]), 1);
  });
  return tables_;
}

// ---- of a function --------------------------------------------------------------------------------------------------

bool FunctionKeyWriter::first(Order& order, uint32_t index, uint32_t& number) {
  if (order.stamps[index] == stamp_) {
    number = order.numbers[index];
    return false;
  }
  order.stamps[index] = stamp_;
  number = order.numbers[index] = order.count++;
  return true;
}

void FunctionKeyWriter::text(std::string_view s) {
  word(uint32_t(s.size()));
  for (; !s.empty(); s.remove_prefix(std::min<size_t>(s.size(), 4))) {
    uint32_t w = 0;
    std::memcpy(&w, s.data(), std::min<size_t>(s.size(), 4));
    word(w);
  }
}

void FunctionKeyWriter::type(uint32_t t) {
  uint32_t number;
  if (t >= m_->types.size()) return word(bc::none);
  const bool is_new = first(types_, t, number);
  word(number);
  if (is_new) hash(keys_->type(t));
}

void FunctionKeyWriter::attributes(uint32_t list) {
  uint32_t number;
  if (list >= m_->attribute_lists.size()) return word(bc::none);
  const bool is_new = first(attributes_, list, number);
  word(number);
  if (is_new) hash(keys_->attributes(list));
}

void FunctionKeyWriter::global(uint32_t index, unsigned depth) {
  const bc::Global& g = m_->globals[index];
  const bool local = g.linkage == bc::Linkage::Internal || g.linkage == bc::Linkage::Private;
  globals_->push_back(index);
  word(uint32_t(g.kind) | uint32_t(g.tls) << 4 | uint32_t(g.linkage) << 8 | uint32_t(g.declaration) << 12 |
       uint32_t(g.comdat != bc::none) << 13 | uint32_t(g.calling_convention) << 16);
  word(g.address_space);
  word(uint32_t(g.log2_align) | uint32_t(g.code_model) << 8);
  type(g.type);
  attributes(g.attributes);
  // Intrinsics are known by their names; of what is local, the name says nothing.
  if (g.kind == bc::Global::Function && !local) text(g.name);
  // An alias is of the kind and the type of what it stands for.
  if (g.kind == bc::Global::Alias || g.kind == bc::Global::IFunc) {
    if (g.init == bc::none || depth > max_depth) bind_to_module();
    else value(g.init, depth + 1);
  }
}

// Local values keep their numbers, from the function's first: arguments, constants, results.
void FunctionKeyWriter::value(uint32_t v, unsigned depth) {
  if (v >= body_->first_local) [[likely]] return word((v - body_->first_local) << 1);  // there are fewer than 2^31
  uint32_t number;
  const bool is_new = first(values_, v, number);
  word(number << 1 | 1);
  if (!is_new) return;
  if (v < m_->globals.size()) return global(v, depth);
  if (depth > max_depth) return bind_to_module();
  const bc::Constant& k = m_->constants.list[v - m_->globals.size()];
  reads_contents_ |= is_contents(*m_, k);
  constant(m_->constants, k, depth + 1);
}

void FunctionKeyWriter::constant(const bc::Constants& pool, const bc::Constant& k, unsigned depth) {
  using K = bc::ConstKind;
  word(uint32_t(k.kind) | uint32_t(k.op) << 8 | uint32_t(k.flags) << 16);
  type(k.type);
  switch (k.kind) {
    case K::Null: case K::Undef: case K::Poison: return;
    case K::Int: case K::Float: return wide(k.bits);
    case K::WideInt: case K::WideFloat: case K::Data:
      word(k.count);
      for (uint64_t w : pool.words_of(k)) wide(w);
      return;
    case K::String: return text(pool.bytes_of(k));
    default: break;
  }
  const std::span<const uint32_t> ops = pool.operands_of(k);
  word(k.count);
  switch (k.kind) {
    case K::InlineAsm:
      // Its text may name symbols, and whether a module knows them changes the code.
      if (ops.size() >= 3 && ops[2]) bind_to_module();
      for (uint32_t w : ops) word(w);
      if (!ops.empty()) type(ops[0]);
      if (ops.size() >= 5) {
        text({pool.bytes.data() + ops[1], ops[2]});
        text({pool.bytes.data() + ops[3], ops[4]});
      }
      return;
    case K::Cast:
      if (ops.size() < 2) return bind_to_module();
      value(ops[0], depth);
      return type(ops[1]);
    case K::Gep:
      if (ops.empty()) return bind_to_module();
      type(ops[0]);
      for (uint32_t v : ops.subspan(1)) value(v, depth);
      return;
    case K::BlockAddress:
      if (ops.size() < 2) return bind_to_module();
      value(ops[0], depth);
      return word(ops[1]);
    default:
      for (uint32_t v : ops) value(v, depth);
  }
}

// Arguments, then bundles, from operands[args] on; operands: type, callee, attribute list, number of arguments.
void FunctionKeyWriter::call(std::span<const uint32_t> o, uint32_t args) {
  type(o[0]);
  value(o[1]);
  attributes(o[2]);
  word(o[3]);
  const std::span<const uint32_t> params = m_->list_of(m_->types[o[0]]).subspan(1);
  uint32_t at = args;
  for (uint32_t k = 0; k < o[3]; k++, at++) {
    const bc::TypeKind kind = k < params.size() ? m_->types[params[k]].kind : bc::TypeKind::Integer;
    if (kind == bc::TypeKind::Metadata) bind_to_module();
    else if (kind == bc::TypeKind::Label) word(o[at]);
    else value(o[at]);
  }
  for (uint32_t bundles = o[at++]; bundles-- > 0;) {
    text(o[at] < m_->bundle_tags.size() ? m_->bundle_tags[o[at]] : std::string_view());
    const uint32_t n = o[at + 1];
    word(n);
    at += 2;
    for (uint32_t k = 0; k < n; k++) value(o[at++]);
  }
}

void FunctionKeyWriter::inst(const bc::Inst& i) {
  using O = bc::Op;
  const std::span<const uint32_t> o = body_->operands_of(i);
  // Debug intrinsics leave no code and no value.
  if (i.op == O::Call && o[1] < m_->globals.size() && m_->globals[o[1]].name.starts_with("llvm.dbg.")) {
    if (s_->keeps_debug) {
      word(i.loc);
      for (uint32_t w : o) word(w);
      for (uint32_t k = 4; k < o.size(); k++) metadata(o[k]);
    }
    return;
  }
  word(uint32_t(i.op) | uint32_t(i.sub) << 8 | uint32_t(i.flags) << 16);
  word(uint32_t(o.size()));
  if (i.type != bc::none) type(i.type);
  switch (i.op) {
    case O::Call: return call(o, 4);
    case O::Invoke:
      word(o[4]), word(o[5]);
      return call(o, 6);
    case O::CallBr:
      for (uint32_t k = 4; k < 6 + o[5]; k++) word(o[k]);
      return call(o, 6 + o[5]);
    default: break;
  }
  static constexpr auto table = [] {
    std::array<std::string_view, size_t(O::Freeze) + 1> t{};
    for (size_t k = 0; k < t.size(); k++) t[k] = operand_kinds(O(k));
    return t;
  }();
  const std::string_view kinds = table[size_t(i.op)];
  if (kinds.empty()) return bind_to_module();
  const char *kind = kinds.data(), *repeat = kind;
  for (uint32_t w : o) {
    if (*kind == '(') repeat = ++kind;
    switch (*kind) {
      case 'v': value(w); break;
      case 't': type(w); break;
      case '\0': bind_to_module(); [[fallthrough]];  // more operands than the row has
      default: word(w); break;
    }
    if (*kind && *++kind == ')') kind = repeat;
  }
}

// What the importer reads of a node of the module; those of the function's own block are all in the form.
void FunctionKeyWriter::metadata(uint32_t number) {
  const bc::DebugScopes::Node* n = s_->scopes.node(number);
  if (n) word(uint32_t(n->kind)), word(n->a), word(n->b);
}

// By the module's own numbers of metadata: what they stand for is read anew in each link, so that equal numbers are
// all that kept rows need. The nodes that they name in the function's own block have their numbers from the module's.
void FunctionKeyWriter::debug_information() {
  const bc::Body& b = *body_;
  word(b.subprogram);
  word(uint32_t(b.locs.size()));
  for (const bc::DebugLoc& l : b.locs)
    for (uint32_t w : {l.line, l.column, l.scope, l.inlined_at}) word(w);
  for (const bc::Inst& i : b.insts) word(i.loc);
  word(uint32_t(b.records.size()));
  for (const bc::DebugRecord& r : b.records)
    for (uint32_t w : {uint32_t(r.kind) | uint32_t(r.is_value) << 8, r.inst, r.location, r.variable, r.expression,
                       r.operand})
      word(w);
  for (const bc::DebugRecord& r : b.records) {
    metadata(r.location);
    metadata(r.expression);
    if (!r.is_value) metadata(r.operand);
  }
  // What an operand stands for lies in the function's metadata block: its values, and where it was inlined.
  if (!b.records.empty() || s_->scopes.has_units) {
    bc::DebugScopes scopes;
    if (!bc::read_body_scopes(*m_, s_->scopes, m_->globals[b.function].body, scopes).ok()) return bind_to_module();
    for (const bc::DebugScopes::Node& n : scopes.nodes) word(uint32_t(n.kind)), word(n.a), word(n.b);
    word(s_->scopes.end());
  }
}

mir::Hash128 FunctionKeyWriter::write(const ImportState& s, ModuleKeys& keys, const bc::Body& body,
                                      std::vector<uint32_t>& globals) {
  s_ = &s;
  m_ = &s.bitcode;
  keys_ = &keys;
  body_ = &body;
  globals_ = &globals;
  globals.clear();
  count_ = 0;
  bound_ = reads_contents_ = false;
  if (++stamp_ == 1) {  // the first function of this module, or the stamps are used up
    auto renew = [](Order& order, size_t n) {
      order.stamps.assign(n, 0);
      order.numbers.resize(n);
    };
    renew(values_, m_->value_count());
    renew(types_, m_->types.size());
    renew(attributes_, m_->attribute_lists.size());
  }
  values_.count = types_.count = attributes_.count = 0;

  hash(keys.module());
  const bc::Global& g = m_->globals[body.function];
  value(body.function);
  for (uint32_t v : {g.personality, g.prefix, g.prologue}) {
    word(v == bc::none);
    if (v != bc::none) value(v);
  }
  word(g.gc == bc::none);
  if (!body.attachments.empty()) bind_to_module();
  word(body.block_count());
  for (uint32_t b : body.blocks) word(b);
  word(uint32_t(body.constants.list.size()));
  for (const bc::Constant& k : body.constants.list) constant(body.constants, k, 0);
  for (const bc::Inst& i : body.insts) inst(i);
  if (s.keeps_debug) debug_information();
  if (bound_) hash(keys.content(*m_));
  return hash_words(std::span(words_).first(count_));
}

}  // namespace lode::codegen
