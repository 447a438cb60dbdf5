// Prints modules, functions and types in the text form. Values are numbered in the order of the text, blocks are b0,
// b1, ...
//
// Printing is also used for messages about functions that are not well-formed: indices are checked, depth is limited.
#include <charconv>
#include <string>

#include "codegen/air/legalize.h"
#include "codegen/air/simd.h"
#include "codegen/air/text.h"
#include "codegen/air/text_lexer.h"
#include "codegen/air/text_words.h"

namespace lode::air {

namespace {

void type_to(std::string& out, const TypeTable& types, TypeId id, unsigned depth) {
  if (!id.valid() || id.value >= types.size() || depth > TypeTable::max_nesting + 1) {
    out += "?";
    return;
  }
  const Type& t = types[id];
  auto members = [&] {
    for (uint32_t k = 0; k < t.field_count; k++) {
      if (k) out += ", ";
      type_to(out, types, types.member(t, k), depth + 1);
    }
  };
  switch (t.kind) {
    case TypeKind::Void: out += "void"; return;
    case TypeKind::Int: out += 'i' + std::to_string(t.bits); return;
    case TypeKind::F16: out += "f16"; return;
    case TypeKind::BF16: out += "bf16"; return;
    case TypeKind::F32: out += "f32"; return;
    case TypeKind::F64: out += "f64"; return;
    case TypeKind::F80: out += "f80"; return;
    case TypeKind::F128: out += "f128"; return;
    case TypeKind::Ptr: out += "ptr"; return;
    case TypeKind::Vector: case TypeKind::Array:
      out += (t.kind == TypeKind::Vector ? '<' : '[') + std::to_string(t.count) + " x ";
      type_to(out, types, t.element, depth + 1);
      out += t.kind == TypeKind::Vector ? '>' : ']';
      return;
    case TypeKind::Struct:
      out += t.packed ? "<{" : "{";
      members();
      out += t.packed ? "}>" : "}";
      return;
    case TypeKind::Function:
      out += "func(";
      members();
      if (t.vararg) out += t.field_count ? ", ..." : "...";
      out += ") -> ";
      type_to(out, types, t.element, depth + 1);
      return;
  }
}

std::string quoted(std::string_view s) { return '"' + escape(s) + '"'; }
std::string sigil_name(char sigil, std::string_view name) {
  return plain_name(name) ? sigil + std::string(name) : sigil + quoted(name);
}

std::string symbol_name(const Module& m, SymbolIndex s) {
  if (!s.valid() || s.value >= m.symbols.size()) return "@?";
  std::string_view name = m.name_of(s);
  if (name.empty()) return "@.anon." + std::to_string(s.value);
  return sigil_name('@', name);
}

std::string addend(int64_t v) {
  if (!v) return "";
  return v < 0 ? " - " + std::to_string(0 - uint64_t(v)) : " + " + std::to_string(v);
}

std::string hex(const uint32_t* words, size_t n) {
  static const char digits[] = "0123456789abcdef";
  std::string s;
  for (size_t k = n; k-- > 0;)
    for (int shift = 28; shift >= 0; shift -= 4) s += digits[words[k] >> shift & 15];
  size_t first = s.find_first_not_of('0');
  return "0x" + (first == std::string::npos ? "0" : s.substr(first));
}
std::string hex(uint64_t v) {
  uint32_t w[] = {uint32_t(v), uint32_t(v >> 32)};
  return hex(w, 2);
}

template <class F>
std::string float_text(F v) {
  char buf[64];
  auto r = std::to_chars(buf, buf + sizeof buf, v);
  std::string s(buf, r.ptr);
  if (s.find_first_of(".e") == std::string::npos) s += ".0";
  return s;
}

class FunctionPrinter {
 public:
  FunctionPrinter(const Module& m, const Function& fn) : m_(m), fn_(fn) {
    names_.assign(fn.values.size(), ~0u);
    uint32_t next = 0;
    auto name = [&](uint32_t v) {
      if (v < names_.size() && names_[v] == ~0u) names_[v] = next++;
    };
    for (const Block& b : fn.blocks) {
      for (uint32_t p = 0; p < b.param_count && p < fn.values.size(); p++) name(b.first_param + p);
      for (uint32_t k = 0; k < b.inst_count && uint64_t(b.first_inst) + k < fn.insts.size(); k++)
        if (fn.insts[b.first_inst + k].result.valid()) name(fn.insts[b.first_inst + k].result.value);
    }
  }

  std::string type(TypeId t) const { return type_name(m_.types, t); }
  TypeId type_of(ValueId v) const { return v.value < fn_.values.size() ? fn_.values[v.value].type : TypeId{}; }

  std::string value(ValueId v, unsigned depth = 0) const {
    if (v.value >= fn_.values.size()) return "%?";
    if (fn_.values[v.value].kind() != ValueKind::Const)
      return names_[v.value] == ~0u ? "%?" : '%' + std::to_string(names_[v.value]);
    if (fn_.values[v.value].index() >= fn_.constants.size() || depth > TypeTable::max_nesting) return "?";
    const Constant& c = fn_.constants[fn_.values[v.value].index()];
    const Type& t = m_.types[c.type];
    auto words = [&](size_t n) {
      return c.bits + n <= fn_.extra.size() ? hex(&fn_.extra[c.bits], n) : std::string("?");
    };
    switch (c.kind) {
      case ConstantKind::Int:
        if (t.bits == 1) return c.bits & 1 ? "true" : "false";
        if (t.bits == 0 || t.bits > 64) return "?";
        return std::to_string(int64_t(c.bits << (64 - t.bits)) >> (64 - t.bits));
      case ConstantKind::WideInt: return words((t.bits + 31) / 32);
      case ConstantKind::Float:
        if (t.kind == TypeKind::F32) {
          float f = std::bit_cast<float>(uint32_t(c.bits));
          if (f == f && f - f == 0) return float_text(f);
        } else if (t.kind == TypeKind::F64) {
          double f = std::bit_cast<double>(c.bits);
          if (f == f && f - f == 0) return float_text(f);
        }
        return "bits " + hex(c.bits);
      case ConstantKind::WideFloat:
        return "bits " + words(t.kind == TypeKind::F80 ? 3 : c.type == TypeTable::v256 ? 8 : 4);
      case ConstantKind::Zero: return t.kind == TypeKind::Ptr ? "null" : "zero";
      case ConstantKind::Undef: return "undef";
      case ConstantKind::Symbol: return symbol_name(m_, SymbolIndex(c.symbol)) + addend(int64_t(c.bits));
      case ConstantKind::BlockAddress: return "block_address b" + std::to_string(c.symbol);
      case ConstantKind::Runtime:
        return c.symbol < runtime_function_count ? std::string("runtime ") + runtime_function_table[c.symbol].id
                                                 : "runtime ?";
      case ConstantKind::Aggregate: {
        uint64_t n = t.kind == TypeKind::Struct ? t.field_count : t.count;
        std::string s = "(";
        for (uint64_t k = 0; k < n && c.bits + k < fn_.extra.size(); k++) {
          if (k) s += ", ";
          s += value(ValueId(fn_.extra[c.bits + k]), depth + 1);
        }
        return s + ")";
      }
    }
    return "?";
  }
  std::string typed(ValueId v) const { return type(type_of(v)) + ' ' + value(v); }

  std::string attrs(const ParamAttr& a) const {
    std::string s;
    for (const words::Word& w : words::param_attr)
      if (a.bits & w.value) {
        s += ' ' + std::string(w.text);
        if ((w.value & (attr::byval | attr::sret | attr::element)) && a.size) s += '(' + std::to_string(a.size) + ')';
      }
    if (a.align_log2) s += " align " + std::to_string(uint64_t{1} << (a.align_log2 & 63));
    return s;
  }

  std::string edge(uint32_t e) const {
    if (e >= fn_.edges.size()) return "?";
    const Edge& x = fn_.edges[e];
    std::string s = "b" + std::to_string(x.target.value);
    if (!x.arg_count) return s;
    s += '(';
    for (uint32_t k = 0; k < x.arg_count; k++) {
      if (k) s += ", ";
      s += word(x.args + k) == ~0u ? "?" : typed(ValueId(word(x.args + k)));
    }
    return s + ')';
  }
  uint32_t word(uint64_t at) const { return at < fn_.extra.size() ? fn_.extra[at] : ~0u; }

  std::string memory(uint16_t aux) const {
    std::string s;
    if (MemoryFlags::is_volatile(aux)) s += " volatile";
    if (MemoryFlags::ordering(aux) != AtomicOrdering::not_atomic)
      s += ' ' + std::string(words::text_of(words::ordering, uint32_t(MemoryFlags::ordering(aux))));
    if (MemoryFlags::align_log2(aux)) s += " align " + std::to_string(uint64_t{1} << MemoryFlags::align_log2(aux));
    return s;
  }

  std::string call(uint32_t index) const {
    if (index >= fn_.calls.size()) return "?";
    const CallSite& c = fn_.calls[index];
    std::string s;
    for (const words::Word& w : words::call_flag)
      if (c.flags & w.value) s += std::string(w.text) + ' ';
    if (c.conv != CallConv::c) s += "cc(" + std::string(words::text_of(words::conv, uint32_t(c.conv))) + ") ";
    for (const words::Word& w : words::param_attr)
      if (c.result_attrs & w.value) s += std::string(w.text) + ' ';
    return s;
  }
  std::string call_rest(uint32_t index) const {
    if (index >= fn_.calls.size()) return "?";
    const CallSite& c = fn_.calls[index];
    std::string s;
    if (c.inline_asm != ~0u && c.inline_asm < fn_.inline_asms.size()) {
      const InlineAsm& a = fn_.inline_asms[c.inline_asm];
      std::string_view all = fn_.strings;
      auto part = [&](uint32_t at, uint32_t n) { return at <= all.size() ? all.substr(at, n) : std::string_view(); };
      s += "asm";
      uint32_t bits =
          uint32_t(a.side_effects) | uint32_t(a.align_stack) << 1 | uint32_t(a.intel) << 2 |
          uint32_t(a.can_throw) << 3 | uint32_t(a.any_encoding) << 4;
      for (const words::Word& w : words::asm_flag)
        if (bits & w.value) s += ' ' + std::string(w.text);
      s += ' ' + quoted(part(a.text, a.text_len)) + ", " + quoted(part(a.constraints, a.constraints_len));
    } else {
      s += c.callee.valid() ? value(c.callee) : "?";
    }
    s += '(';
    for (uint32_t k = 0; k < c.arg_count && c.args + uint64_t(k) < fn_.extra.size(); k++) {
      if (k) s += ", ";
      ValueId v(fn_.extra[c.args + k]);
      s += type(type_of(v));
      if (c.attrs != ~0u && uint64_t(c.attrs) + k < fn_.param_attrs.size()) s += attrs(fn_.param_attrs[c.attrs + k]);
      s += ' ' + value(v);
    }
    s += ')';
    // A function that is called by its name has its own type.
    const Constant* callee = c.callee.valid() && c.callee.value < fn_.values.size() ? fn_.constant(c.callee) : nullptr;
    bool own_type = callee && callee->kind == ConstantKind::Symbol && callee->bits == 0 &&
                    callee->symbol < m_.symbols.size() && m_.symbols[callee->symbol].kind == SymbolKind::function &&
                    m_.symbols[callee->symbol].type == c.function_type;
    if (c.function_type.valid() && !own_type) s += " as " + type(c.function_type);
    if (c.fixed_args != ~0u) s += " fixed " + std::to_string(c.fixed_args);
    return s;
  }

  std::string path(uint32_t x) const {
    std::string s = "[";
    uint32_t n = word(x);
    for (uint32_t k = 0; n != ~0u && k < n && uint64_t(x) + 1 + k < fn_.extra.size(); k++)
      s += (k ? ", " : "") + std::to_string(word(x + 1 + k));
    return s + "]";
  }

  std::string inst(const Inst& i) const {
    std::string s;
    if (i.result.valid()) s += value(i.result) + " = ";
    s += info(i.op).name;
    for (const words::Word& w : words::inst_flag)
      if (i.flags & w.value) s += ' ' + std::string(w.text);
    auto to = [&] { s += " to " + type(i.type); };
    const bool is_explicit = info(i.op).result == ResultRule::Explicit;
    if (i.op == Op::simd1 || i.op == Op::simd2 || i.op == Op::simd3) {
      s += unsigned(simd_op(i.aux)) < simd_op_count ? std::string(" ") + info(simd_op(i.aux)).name : " unknown";
      if (simd_immediate(i.aux)) s += " " + std::to_string(simd_immediate(i.aux));
    }
    switch (info(i.op).shape) {
      case Shape::None:
        if (is_explicit) to();
        break;
      case Shape::Unary:
        s += ' ' + typed(i.va());
        if (i.op == Op::alloca && i.aux) s += " align " + std::to_string(uint64_t{1} << (i.aux & 63));
        if (i.op == Op::prefetch)
          for (const words::Word& w : words::prefetch)
            if (w.value == i.aux) s += " " + std::string(w.text);
        if (is_explicit) to();
        break;
      case Shape::Binary:
        s += ' ' + typed(i.va()) + ", " + (type_of(i.va()) == type_of(i.vb()) ? value(i.vb()) : typed(i.vb()));
        if (is_explicit) to();
        break;
      case Shape::Ternary:
        s += ' ' + typed(i.va()) + ", ";
        if (i.op == Op::select || i.op == Op::insert_element) s += typed(i.vb()) + ", " + typed(i.vc());
        else s += value(i.vb()) + ", " + value(i.vc());
        break;
      case Shape::Compare:
        s += ' ' + std::string(i.op == Op::icmp ? words::text_of(words::int_predicate, i.aux)
                                                : words::text_of(words::float_predicate, i.aux));
        s += ' ' + typed(i.va()) + ", " + value(i.vb());
        break;
      case Shape::Load: s += ' ' + type(i.type) + ", " + typed(i.va()) + memory(i.aux); break;
      case Shape::Store: s += ' ' + typed(i.vb()) + ", " + typed(i.va()) + memory(i.aux); break;
      case Shape::PtrAdd: {
        s += ' ' + typed(i.va());
        if (uint64_t(i.c) + 4 > fn_.extra.size()) {
          s += " ?";
          break;
        }
        PtrAddParts p = ptr_add_parts(fn_, i);
        if (i.b != ~0u) s += ", " + typed(i.vb()) + " * " + std::to_string(p.scale);
        s += p.offset || i.b == ~0u ? (p.offset ? addend(p.offset) : std::string(" + 0")) : std::string();
        break;
      }
      case Shape::Block3: s += ' ' + typed(i.va()) + ", " + typed(i.vb()) + ", " + typed(i.vc()) + memory(i.aux); break;
      case Shape::Rmw:
        s += ' ' + std::string(words::text_of(words::rmw, uint32_t(MemoryFlags::rmw(i.aux)))) + ' ' + typed(i.va()) +
             ", " + typed(i.vb()) + memory(i.aux);
        break;
      case Shape::Cmpxchg:
        s += ' ' + typed(i.va()) + ", " + typed(i.vb()) + ", " + typed(i.vc()) + memory(i.aux);
        break;
      case Shape::Call: s += ' ' + call(i.a) + type(i.type) + ' ' + call_rest(i.a); break;
      case Shape::Path: s += ' ' + typed(i.va()) + ' ' + path(i.b) + " to " + type(i.type); break;
      case Shape::InsertPath: s += ' ' + typed(i.va()) + ", " + typed(i.vb()) + ' ' + path(i.c); break;
      case Shape::List: {
        uint32_t n = word(i.a);
        for (uint32_t k = 0; n != ~0u && k < n && uint64_t(i.a) + 1 + k < fn_.extra.size(); k++)
          s += (k ? ", " : " ") + typed(ValueId(word(i.a + 1 + k)));
        break;
      }
      case Shape::Shuffle: {
        s += ' ' + typed(i.va()) + ", " + value(i.vb()) + " [";
        uint32_t n = word(i.c);
        for (uint32_t k = 0; n != ~0u && k < n && uint64_t(i.c) + 1 + k < fn_.extra.size(); k++) {
          uint32_t lane = word(i.c + 1 + k);
          s += (k ? ", " : "") + (lane == ~0u ? std::string("undef") : std::to_string(lane));
        }
        s += ']';
        break;
      }
      case Shape::Slot: s += " s" + std::to_string(i.a); break;
      case Shape::Fixed:
        if (i.op == Op::landing_pad) {
          s += ' ' + type(i.type);
          if (i.a < fn_.landing_pads.size()) {
            const LandingPad& l = fn_.landing_pads[i.a];
            if (l.cleanup) s += " cleanup";
            uint64_t at = l.clauses;
            for (uint32_t c = 0; c < l.clause_count && at + 2 <= fn_.extra.size(); c++) {
              uint32_t n = word(at + 1);
              s += word(at) ? " filter (" : " catch (";
              for (uint32_t k = 0; k < n && at + 2 + k < fn_.extra.size(); k++)
                s += (k ? ", " : "") + typed(ValueId(word(at + 2 + k)));
              s += ')';
              at += 2 + uint64_t(n);
            }
          }
        } else if (i.op == Op::fence) {
          s += ' ' + std::string(words::text_of(words::ordering, i.a));
        } else {
          s += ' ' + std::to_string(i.a);
          to();
        }
        break;
      case Shape::Br: s += ' ' + edge(i.a); break;
      case Shape::CondBr: s += ' ' + value(i.va()) + ", " + edge(i.b) + ", " + edge(i.c); break;
      case Shape::Switch: {
        s += ' ' + typed(i.va()) + ", " + edge(i.b) + " [";
        uint32_t n = word(i.c);
        for (uint32_t k = 0; n != ~0u && k < n && uint64_t(i.c) + 3 + 3 * uint64_t(k) < fn_.extra.size(); k++) {
          uint64_t v = word(i.c + 1 + 3 * k) | uint64_t(word(i.c + 2 + 3 * k)) << 32;
          s += (k ? ", " : "") + std::to_string(v) + ": " + edge(word(i.c + 3 + 3 * k));
        }
        s += ']';
        break;
      }
      case Shape::IndirectBr: {
        s += ' ' + typed(i.va()) + " [";
        uint32_t n = word(i.b);
        for (uint32_t k = 0; n != ~0u && k < n && uint64_t(i.b) + 1 + k < fn_.extra.size(); k++)
          s += (k ? ", " : "") + edge(word(i.b + 1 + k));
        s += ']';
        break;
      }
      case Shape::Invoke:
        s += ' ' + call(i.a) + type(i.type) + ' ' + call_rest(i.a) + " to " + edge(i.b) + " unwind " + edge(i.c);
        break;
    }
    return s;
  }

  std::string body() const {
    std::string s;
    for (size_t k = 0; k < fn_.slots.size(); k++)
      s += "  slot s" + std::to_string(k) + " " + std::to_string(fn_.slots[k].size) + " align " +
           std::to_string(uint64_t{1} << (fn_.slots[k].align_log2 & 63)) +
           (fn_.slots[k].array == SlotArray::none
                ? ""
                : ' ' + std::string(words::text_of(words::slot_array, uint32_t(fn_.slots[k].array)))) +
           "\n";
    for (size_t b = 0; b < fn_.blocks.size(); b++) {
      const Block& block = fn_.blocks[b];
      s += "b" + std::to_string(b);
      if (b && block.param_count) {
        s += '(';
        for (uint32_t p = 0; p < block.param_count; p++) {
          ValueId v(block.first_param + p);
          s += (p ? ", " : "") + value(v) + ": " + type(type_of(v));
        }
        s += ')';
      }
      s += ":\n";
      for (uint32_t k = 0; k < block.inst_count && uint64_t(block.first_inst) + k < fn_.insts.size(); k++) {
        uint32_t index = block.first_inst + k;
        s += "  " + inst(fn_.insts[index]);
        if (index < fn_.inst_locations.size() && fn_.inst_locations[index] &&
            fn_.inst_locations[index] < fn_.locations.size()) {
          const SourceLocation& l = fn_.locations[fn_.inst_locations[index]];
          s += " !" + std::to_string(l.file) + ":" + std::to_string(l.line) + ":" + std::to_string(l.column);
        }
        s += '\n';
      }
    }
    return s;
  }

  std::string params() const {
    std::string s = "(";
    if (!fn_.blocks.empty())
      for (uint32_t p = 0; p < fn_.blocks[0].param_count; p++) {
        ValueId v(fn_.blocks[0].first_param + p);
        s += (p ? ", " : "") + value(v) + ": " + type(type_of(v));
        if (p < fn_.param_attrs.size()) s += attrs(fn_.param_attrs[p]);
      }
    if (fn_.type.valid() && m_.types[fn_.type].vararg) s += s.size() > 1 ? ", ..." : "...";
    return s + ")";
  }

 private:
  const Module& m_;
  const Function& fn_;
  std::vector<uint32_t> names_;
};

std::string symbol_prefix(const Module&, const Symbol& s, bool defined) {
  std::string out;
  if (defined) out += std::string(words::text_of(words::linkage, uint32_t(s.linkage))) + ' ';
  else
    out += s.linkage == Linkage::external
               ? "declare "
               : "declare " + std::string(words::text_of(words::linkage, uint32_t(s.linkage))) + ' ';
  if (s.visibility == Visibility::hidden) out += "hidden ";
  if (s.visibility == Visibility::protected_) out += "protected ";
  if (s.tls != TlsModel::none) out += "tls(" + std::string(words::text_of(words::tls, uint32_t(s.tls))) + ") ";
  if (s.dso_local) out += "dso_local ";
  if (s.unnamed_addr) out += "unnamed_addr ";
  if (s.used) out += "used ";
  if (s.retain) out += "retain ";
  return out;
}

std::string symbol_suffix(const Module& m, const Symbol& s) {
  std::string out;
  if (s.section.size) out += " section " + quoted(m.str(s.section));
  if (s.comdat.valid() && s.comdat.value < m.comdats.size())
    out += " comdat " + sigil_name('$', m.str(m.comdats[s.comdat.value].name));
  if (s.align_log2) out += " align " + std::to_string(uint64_t{1} << (s.align_log2 & 63));
  if (s.wasm_import)
    out += " import " + quoted(m.str(s.wasm_import_module)) + " " + quoted(m.str(s.wasm_import_name));
  if (s.wasm_export_name.size) out += " export_name " + quoted(m.str(s.wasm_export_name));
  return out;
}

std::string initializer(const Module& m, const Symbol& symbol) {
  std::string out = "{";
  // Zeros at the end are the same whether they are stored or not.
  Symbol s = symbol;
  s.bytes_size = s.bytes_offset <= m.data.size() ? std::min<uint64_t>(s.bytes_size, m.data.size() - s.bytes_offset) : 0;
  while (s.bytes_size && m.data[s.bytes_offset + s.bytes_size - 1] == 0) s.bytes_size--;
  bool first = true;
  auto piece = [&](const std::string& p) {
    out += (first ? " " : ", ") + p;
    first = false;
  };
  auto bytes = [&](uint64_t from, uint64_t to) {
    while (from < to) {
      // Runs of zeros of 16 bytes and more, and strings between them.
      uint64_t end = from, zeros = 0;
      while (end < to) {
        bool zero = end >= s.bytes_size || s.bytes_offset + end >= m.data.size() || m.data[s.bytes_offset + end] == 0;
        zeros = zero ? zeros + 1 : 0;
        end++;
        if (zeros == 16) break;
      }
      if (zeros == 16) {
        uint64_t start = end - 16;
        if (start > from)
          piece(quoted(
              std::string_view(reinterpret_cast<const char*>(m.data.data()) + s.bytes_offset + from, start - from)));
        if (end >= s.bytes_size) end = to;
        while (end < to && m.data[s.bytes_offset + end] == 0) end++;
        piece("zero " + std::to_string(end - start));
        from = end;
      } else {
        uint64_t stored = std::min(to, std::max(from, s.bytes_size));
        if (stored > from)
          piece(quoted(
              std::string_view(reinterpret_cast<const char*>(m.data.data()) + s.bytes_offset + from, stored - from)));
        if (to > stored) piece("zero " + std::to_string(to - stored));
        from = to;
      }
    }
  };
  uint64_t at = 0;
  for (uint32_t r = 0; r < s.reloc_count && uint64_t(s.relocs) + r < m.data_relocs.size(); r++) {
    const DataReloc& reloc = m.data_relocs[s.relocs + r];
    if (reloc.offset < at) break;
    bytes(at, reloc.offset);
    std::string size = reloc.size == 8 ? "i64" : "i32";
    switch (reloc.kind) {
      case DataRelocKind::absolute: piece(size + ' ' + symbol_name(m, reloc.symbol) + addend(reloc.addend)); break;
      case DataRelocKind::symbol_minus_place:
        piece("relative " + size + ' ' + symbol_name(m, reloc.symbol) + addend(reloc.addend));
        break;
      case DataRelocKind::block_address:
        piece("block " + size + ' ' + symbol_name(m, reloc.function) + ' ' + std::to_string(reloc.symbol.value) +
              addend(reloc.addend));
        break;
      case DataRelocKind::block_difference:
        piece("block_difference " + size + ' ' + symbol_name(m, reloc.function) + ' ' +
              std::to_string(reloc.symbol.value) + ' ' + std::to_string(reloc.addend));
        break;
    }
    at = reloc.offset + reloc.size;
  }
  bytes(at, s.size);
  return out + (first ? "}" : " }");
}

}  // namespace

std::string type_name(const TypeTable& types, TypeId t) {
  std::string s;
  type_to(s, types, t, 0);
  return s;
}

std::string print_instruction(const Module& m, const Function& fn, const Inst& i) {
  return FunctionPrinter(m, fn).inst(i);
}

std::string print_function(const Module& m, const Function& fn) {
  const Symbol& s = m.symbols[fn.symbol.value];
  FunctionPrinter p(m, fn);
  std::string out = symbol_prefix(m, s, true) + "func " + symbol_name(m, fn.symbol) + p.params() + " ->";
  ParamAttr result;
  result.bits = fn.result_attrs;
  out += p.attrs(result) + ' ' + type_name(m.types, m.types[fn.type].element);
  // Legal functions have leaves for parameters; the type says what they were.
  if (fn.flags & function_flags::legal) out += " type " + type_name(m.types, fn.type);
  if (fn.conv != CallConv::c) out += " cc(" + std::string(words::text_of(words::conv, uint32_t(fn.conv))) + ")";
  for (const words::Word& w : words::function_flag)
    if (fn.flags & w.value) out += ' ' + std::string(w.text);
  out += symbol_suffix(m, s);
  if (fn.personality.valid()) out += " personality " + symbol_name(m, fn.personality);
  return out + " {\n" + p.body() + "}\n";
}

Result<std::string> print_module(const Module& m) {
  std::string out = "air " + std::to_string(text_version) + "\n";
  if (!m.triple.empty()) out += "target " + quoted(m.triple) + "\n";
  for (const TargetAttributes& p : m.processors)
    out += "processor " + quoted(p.processor) + " " + quoted(p.features) + "\n";
  const DataLayout& l = m.types.layout();
  const DataLayout d;
  auto layout = [&](const char* word, unsigned v, unsigned normal) {
    if (v != normal) out += "layout " + std::string(word) + " " + std::to_string(v) + "\n";
  };
  layout("pointer_bytes", l.pointer_bytes, d.pointer_bytes);
  layout("f80_align", l.f80_align, d.f80_align);
  layout("i64_align", l.i64_align, d.i64_align);
  layout("i128_align", l.i128_align, d.i128_align);
  layout("f128_align", l.f128_align, d.f128_align);
  layout("max_vector_align", l.max_vector_align, d.max_vector_align);
  for (size_t f = 1; f < m.files.size(); f++) out += "file " + quoted(m.files[f]) + "\n";
  for (StringRef lib : m.dependent_libraries) out += "library " + quoted(m.str(lib)) + "\n";
  if (!m.module_asm.empty()) out += "asm " + quoted(m.module_asm) + "\n";
  for (const Comdat& c : m.comdats)
    out += "comdat " + sigil_name('$', m.str(c.name)) + " " +
           std::string(words::text_of(words::comdat, uint32_t(c.kind))) + "\n";
  for (uint32_t index = 0; index < m.symbols.size(); index++) {
    const Symbol& s = m.symbols[index];
    std::string name = symbol_name(m, SymbolIndex(index));
    switch (s.kind) {
      case SymbolKind::function: {
        if (s.defined && s.function.valid()) {
          if (m.bodies) {
            Function fn;
            LODE_TRY(m.bodies->read(s.function, fn));
            out += print_function(m, fn);
          } else if (s.function.value < m.in_memory.size()) {
            out += print_function(m, m.in_memory[s.function.value]);
          }
          break;
        }
        const Type& t = m.types[s.type];
        out += symbol_prefix(m, s, false) + "func " + name + "(";
        for (uint32_t k = 0; k < t.field_count; k++) out += (k ? ", " : "") + type_name(m.types, m.types.member(t, k));
        if (t.vararg) out += t.field_count ? ", ..." : "...";
        out += ") -> " + type_name(m.types, t.element) + symbol_suffix(m, s) + "\n";
        break;
      }
      case SymbolKind::data:
        out += symbol_prefix(m, s, s.defined) + (s.constant ? "const " : "") + "data " + name + " : " +
               type_name(m.types, s.type) + symbol_suffix(m, s);
        if (s.defined) out += " = " + initializer(m, s);
        out += "\n";
        break;
      case SymbolKind::alias: case SymbolKind::ifunc:
        out += symbol_prefix(m, s, true) + (s.kind == SymbolKind::alias ? "alias " : "ifunc ") + name + " : " +
               type_name(m.types, s.type) + symbol_suffix(m, s) + " = " + symbol_name(m, s.aliasee) +
               addend(s.alias_offset) + "\n";
        break;
    }
  }
  for (const InitEntry& i : m.inits) {
    out += std::string(i.destructor ? "destructor " : "constructor ") + symbol_name(m, i.function);
    if (i.priority != 65535) out += " priority " + std::to_string(i.priority);
    if (i.associated.valid()) out += " associated " + symbol_name(m, i.associated);
    out += "\n";
  }
  return out;
}

}  // namespace lode::air
