// What is worked out when the text has been read: values of expressions, sizes of fragments, relocations, symbols.
#include <algorithm>
#include <cstring>

#include "codegen/native/asm_module.h"
#include "formats/elf/elf.h"

namespace lode::codegen {

using namespace formats::elf;

namespace {

constexpr unsigned most_depth = 200;       // of expressions through names that are set
constexpr uint32_t most_steps = 20000;     // of one evaluation
constexpr uint64_t most_size = uint64_t{1} << 28, most_nobits = uint64_t{1} << 46;

uint64_t leb_size(int64_t v, bool is_signed) {
  uint64_t n = 0;
  if (is_signed) {
    for (;;) {
      n++;
      const bool sign = v & 0x40;
      v >>= 7;
      if ((v == 0 && !sign) || (v == -1 && sign)) return n;
    }
  }
  uint64_t u = uint64_t(v);
  do {
    n++;
    u >>= 7;
  } while (u);
  return n;
}

}  // namespace

// ---- expressions ----------------------------------------------------------------------------------------------------

uint64_t AsmModule::offset_of(const Symbol& s) const {
  return sections_[s.section].fragments[s.fragment].offset + s.offset;
}

// The defined symbol that a name stands for, through names that are set to others; `more` is the distance from it.
uint32_t AsmModule::base_of(uint32_t symbol, int64_t& more, unsigned depth) const {
  more = 0;
  if (depth == 0) steps_ = 0;
  const Symbol& s = symbols_[symbol];
  if (s.defined) return symbol;
  if (s.value == no_expression || depth > most_depth) return none;
  Sum sum;
  if (!evaluate(s.value, sum, depth + 1) || sum.plus == none || sum.minus != none || sum.variant != AsmVariant::none)
    return none;
  int64_t rest = 0;
  const uint32_t base = sum.plus == symbol ? none : base_of(sum.plus, rest, depth + 1);
  more = int64_t(uint64_t(sum.constant) + uint64_t(rest));
  return base;
}

// Between two places of one section. Before layout: if nothing between them may still change its size.
bool AsmModule::distance(uint32_t a, uint32_t b, int64_t& out, unsigned depth) const {
  int64_t more_a, more_b;
  a = base_of(a, more_a, depth);
  b = base_of(b, more_b, depth);
  if (a == none || b == none || symbols_[a].section != symbols_[b].section) return false;
  const Symbol &x = symbols_[a], &y = symbols_[b];
  uint64_t d = 0;
  if (laid_out_) {
    d = offset_of(x) - offset_of(y);
  } else {
    const auto& all = sections_[x.section].fragments;
    const Symbol &low = x.fragment < y.fragment ? x : y, &high = x.fragment < y.fragment ? y : x;
    for (uint32_t i = low.fragment; i < high.fragment; i++) {
      const Fragment& f = all[i];
      if (f.kind == Fragment::Kind::data) {
        d += f.bytes.size();
        continue;
      }
      int64_t count;
      if (f.kind != Fragment::Kind::fill || !known_number(f.expression, count) || count < 0) return false;
      d += uint64_t(count) * f.width;
    }
    d += high.offset - low.offset;
    if (&low == &x) d = 0 - d;
  }
  out = int64_t(d + uint64_t(more_a) - uint64_t(more_b));
  return true;
}

bool AsmModule::known_number(uint32_t e, int64_t& out) const { return expressions_.constant(e, out); }

bool AsmModule::add(Sum& to, const Sum& x, bool minus, unsigned depth) const {
  to.constant = int64_t(uint64_t(to.constant) + (minus ? 0 - uint64_t(x.constant) : uint64_t(x.constant)));
  if (x.variant != AsmVariant::none) {
    if (minus || to.variant != AsmVariant::none) return false;
    to.variant = x.variant;
  }
  uint32_t plus[2] = {to.plus, minus ? x.minus : x.plus}, less[2] = {to.minus, minus ? x.plus : x.minus};
  for (uint32_t& p : plus)
    for (uint32_t& m : less) {
      int64_t d;
      if (p == none || m == none) continue;
      if (p == m) d = 0;
      else if (to.variant != AsmVariant::none || !distance(p, m, d, depth)) continue;
      to.constant = int64_t(uint64_t(to.constant) + uint64_t(d));
      p = m = none;
    }
  if ((plus[0] != none && plus[1] != none) || (less[0] != none && less[1] != none)) return false;
  to.plus = plus[0] != none ? plus[0] : plus[1];
  to.minus = less[0] != none ? less[0] : less[1];
  return true;
}

// A name that is set to something is what it is set to, unless others may put themselves in its place.
bool AsmModule::evaluate_symbol(uint32_t symbol, AsmVariant variant, Sum& out, unsigned depth) const {
  const Symbol& s = symbols_[symbol];
  out = Sum{};
  if (s.value != no_expression) {
    if (!evaluate(s.value, out, depth + 1)) return false;
    if (out.plus == none && out.minus == none) return variant == AsmVariant::none;
    if (!s.has_bind || s.bind == STB_LOCAL) {
      if (variant == AsmVariant::none) return true;
      if (out.variant != AsmVariant::none) return false;
      out.variant = variant;
      return true;
    }
  }
  out = Sum{};
  out.plus = symbol;
  out.variant = variant;
  return true;
}

bool AsmModule::evaluate(uint32_t e, Sum& out, unsigned depth) const {
  out = Sum{};
  if (depth == 0) steps_ = 0;
  if (e == no_expression || depth > most_depth || ++steps_ > most_steps) return false;
  const AsmNode n = expressions_[e];
  switch (n.op) {
    case AsmOperator::number: out.constant = n.value; return true;
    case AsmOperator::name: return evaluate_symbol(n.a, n.variant, out, depth);
    case AsmOperator::add:
    case AsmOperator::subtract: {
      Sum right;
      return evaluate(n.a, out, depth + 1) && evaluate(n.b, right, depth + 1) &&
             add(out, right, n.op == AsmOperator::subtract, depth + 1);
    }
    case AsmOperator::negate: {
      Sum inner;
      return evaluate(n.a, inner, depth + 1) && add(out, inner, true, depth + 1);
    }
    default: break;
  }
  Sum right;
  const bool unary = n.op == AsmOperator::complement || n.op == AsmOperator::logical_not;
  if (!evaluate(n.a, out, depth + 1) || out.plus != none || out.minus != none) return false;
  if (!unary && (!evaluate(n.b, right, depth + 1) || right.plus != none || right.minus != none)) return false;
  uint64_t v = uint64_t(out.constant);
  if (!apply_operator(n.op, v, uint64_t(right.constant))) return false;
  out.constant = int64_t(v);
  return true;
}

bool AsmModule::known(uint32_t e, int64_t& out) const {
  Sum sum;
  if (!evaluate(e, sum) || sum.plus != none || sum.minus != none || sum.variant != AsmVariant::none) return false;
  out = sum.constant;
  return true;
}

// ---- layout ---------------------------------------------------------------------------------------------------------

// Subsections follow what they are part of, in the order of their numbers.
Result<void> AsmModule::join_subsections() {
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < sections_.size(); i++)
    if (sections_[i].main != none) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return sections_[a].subsection < sections_[b].subsection; });
  std::vector<uint32_t> first(sections_.size());
  for (uint32_t i : order) {
    Section& from = sections_[i];
    Section& to = sections_[from.main];
    first[i] = uint32_t(to.fragments.size());
    to.out.align = std::max(to.out.align, from.out.align);
    std::move(from.fragments.begin(), from.fragments.end(), std::back_inserter(to.fragments));
    from.fragments.clear();
  }
  if (order.empty()) return {};
  for (Symbol& s : symbols_)
    if (s.defined && sections_[s.section].main != none) {
      s.fragment += first[s.section];
      s.section = sections_[s.section].main;
    }
  for (Explicit& r : explicit_)
    if (sections_[r.section].main != none) r.section = sections_[r.section].main;
  return {};
}

// Offsets from the sizes that are known; then sizes from the offsets, until nothing changes. Branches only ever grow.
Result<void> AsmModule::lay_out() {
  for (Section& s : sections_) {
    uint64_t at = 0;
    for (Fragment& f : s.fragments) {
      f.offset = at;
      f.size = f.kind == Fragment::Kind::branch ? f.shorter : f.kind == Fragment::Kind::data ? f.bytes.size() : 0;
      at += f.size;
    }
  }
  laid_out_ = true;
  for (unsigned pass = 0; pass < 2000; pass++) {
    bool changed = false;
    for (uint32_t i = 0; i < sections_.size(); i++) {
      LODE_ASSIGN(bool one, lay_out_section(i));
      changed |= one;
    }
    uint64_t all = 0;
    for (const Section& s : sections_) all += s.out.type == SHT_NOBITS ? 0 : s.size;
    if (all > most_size) return error_on(none, "the sections are too large");
    if (!changed) return {};
  }
  return error_on(none, "sizes that depend on each other do not settle");
}

Result<bool> AsmModule::lay_out_section(uint32_t section) {
  Section& s = sections_[section];
  bool changed = false;
  uint64_t at = 0;
  // Sizes go by the offsets of the pass before, all of which belong together.
  std::vector<uint64_t> starts;
  starts.reserve(s.fragments.size());
  for (Fragment& f : s.fragments) {
    starts.push_back(at);
    uint64_t size = f.size;
    switch (f.kind) {
      case Fragment::Kind::data: size = f.bytes.size(); break;
      case Fragment::Kind::branch: {
        Sum to;
        int64_t more = 0;
        bool near = !f.wide && evaluate(f.expression, to) && to.plus != none && to.minus == none &&
                    (to.variant == AsmVariant::none || to.variant == AsmVariant::plt);
        const uint32_t base = near ? base_of(to.plus, more, 0) : none;
        near = base != none && symbols_[base].section == section && symbols_[to.plus].bind == STB_LOCAL &&
               symbols_[to.plus].type != STT_GNU_IFUNC;
        if (near) {
          const int64_t d = int64_t(offset_of(symbols_[base]) + uint64_t(more) + uint64_t(to.constant) -
                                    (f.offset + f.shorter));
          near = d == int8_t(d);
        }
        f.wide |= !near;
        size = f.wide ? f.bytes.size() - f.shorter : f.shorter;
        break;
      }
      case Fragment::Kind::align: {
        const uint64_t pad = (0 - at) & (f.align - 1);
        size = pad > f.most ? 0 : pad;
        break;
      }
      case Fragment::Kind::fill: {
        int64_t count;
        if (!known(f.expression, count)) return error_on(f.line, "the count is not a constant");
        if (count < 0) count = 0;
        if (uint64_t(count) > most_nobits) return error_on(f.line, "too many bytes");
        size = uint64_t(count) * f.width;
        break;
      }
      case Fragment::Kind::org: {
        Sum to;
        if (!evaluate(f.expression, to) || to.minus != none) return error_on(f.line, "this is no place in the section");
        int64_t more = 0;
        const uint32_t base = to.plus == none ? none : base_of(to.plus, more, 0);
        if (to.plus != none && (base == none || symbols_[base].section != section))
          return error_on(f.line, "this is no place in the section");
        const uint64_t want =
            uint64_t(to.constant) + uint64_t(more) + (base == none ? 0 : offset_of(symbols_[base]));
        // While other sizes are still found the place may seem to lie behind.
        size = want < at || want > most_nobits ? 0 : want - at;
        f.most = want;
        break;
      }
      case Fragment::Kind::leb: {
        int64_t v;
        if (!known(f.expression, v)) return error_on(f.line, "the value is not a constant");
        size = std::max(f.size, leb_size(v, f.is_signed));
        break;
      }
    }
    changed |= size != f.size;
    f.size = size;
    at += size;
  }
  for (size_t k = 0; k < starts.size(); k++) {
    changed |= s.fragments[k].offset != starts[k];
    s.fragments[k].offset = starts[k];
  }
  const uint64_t limit = s.out.type == SHT_NOBITS ? most_nobits : most_size;
  if (at > limit) return error_on(s.fragments.empty() ? none : s.fragments.back().line, "a section is too large");
  s.size = at;
  return changed;
}

// ---- bytes and relocations ------------------------------------------------------------------------------------------

Result<void> AsmModule::write_section(uint32_t section, AsmObject& object) {
  Section& s = sections_[section];
  AsmObjectSection& out = object.sections[section];
  const bool nobits = s.out.type == SHT_NOBITS;
  if (!nobits) out.bytes.resize(s.size);
  out.size = s.size;
  for (const Fragment& f : s.fragments) {
    uint8_t* p = nobits ? nullptr : out.bytes.data() + f.offset;
    if (nobits) {
      const bool zeros = std::all_of(f.bytes.begin(), f.bytes.end(), [](uint8_t b) { return b == 0; }) && !f.value;
      if (!zeros || !f.fixups.empty() || f.kind == Fragment::Kind::branch || f.kind == Fragment::Kind::leb)
        return error_on(f.fixups.empty() ? f.line : f.fixups[0].line, "only zeros may stand in " + s.out.name);
      continue;
    }
    switch (f.kind) {
      case Fragment::Kind::data:
        if (!f.bytes.empty()) std::memcpy(p, f.bytes.data(), f.bytes.size());
        for (const Fixup& x : f.fixups) LODE_TRY(write_fixup(x, section, f.offset + x.offset, out.bytes, out));
        break;
      case Fragment::Kind::branch: {
        std::memcpy(p, f.bytes.data() + (f.wide ? f.shorter : 0), f.size);
        const uint8_t bytes = f.wide ? 4 : 1;
        const Fixup x{uint32_t(f.size - bytes), bytes, AsmFieldKind::branch, 0, f.expression, f.line};
        LODE_TRY(write_fixup(x, section, f.offset + x.offset, out.bytes, out));
        break;
      }
      case Fragment::Kind::org:
        if (f.most != f.offset + f.size) return error_on(f.line, "the place lies behind");
        [[fallthrough]];
      case Fragment::Kind::align:
      case Fragment::Kind::fill:
        if (!f.filled && machine_.nops) {
          machine_.nops(p, f.size);
          break;
        }
        for (uint64_t k = 0; k < f.size; k++) {
          const unsigned byte = f.width ? unsigned(k % f.width) : 0;
          p[k] = uint8_t(f.value >> 8 * byte);
        }
        break;
      case Fragment::Kind::leb: {
        int64_t v = 0;
        known(f.expression, v);
        for (uint64_t k = 0; k < f.size; k++) {
          p[k] = uint8_t((v & 0x7f) | (k + 1 < f.size ? 0x80 : 0));
          v = f.is_signed ? v >> 7 : int64_t(uint64_t(v) >> 7);
        }
        break;
      }
    }
  }
  for (const Explicit& r : explicit_) {
    if (r.section != section) continue;
    Sum place, target;
    int64_t more = 0;
    if (!evaluate(r.place, place) || place.minus != none) return error_on(r.line, "this is no place in the section");
    const uint32_t base = place.plus == none ? none : base_of(place.plus, more, 0);
    if (place.plus != none && (base == none || symbols_[base].section != section))
      return error_on(r.line, "this is no place in the section");
    const uint64_t at = uint64_t(place.constant) + uint64_t(more) + (base == none ? 0 : offset_of(symbols_[base]));
    if (at >= std::max<uint64_t>(s.size, 1)) return error_on(r.line, "this is no place in the section");
    AsmRelocation out_reloc;
    out_reloc.section = section;
    out_reloc.symbol = none;
    if (r.target != no_expression) {
      if (!evaluate(r.target, target) || target.plus == none || target.minus != none)
        return error_on(r.line, "this is no symbol");
      out_reloc = refer_to(target.plus, target.constant, target.variant);
    }
    out_reloc.offset = at;
    out_reloc.type = r.type;
    out.relocations.push_back(out_reloc);
  }
  return {};
}

Result<void> AsmModule::write_fixup(const Fixup& f, uint32_t section, uint64_t at, std::vector<uint8_t>& bytes,
                                    AsmObjectSection& out) {
  Sum sum;
  if (!evaluate(f.expression, sum)) return error_on(f.line, "an expression of this kind is not supported");
  const bool pc_relative = f.kind == AsmFieldKind::pc_relative || f.kind == AsmFieldKind::branch ||
                           f.kind == AsmFieldKind::relaxable || f.kind == AsmFieldKind::relaxable_rex;
  int64_t value = sum.constant;
  bool resolved = sum.plus == none && sum.minus == none && !pc_relative;
  if (pc_relative && sum.plus != none && sum.minus == none &&
      (sum.variant == AsmVariant::none || sum.variant == AsmVariant::plt)) {
    int64_t more = 0;
    const uint32_t base = base_of(sum.plus, more, 0);
    if (base != none && symbols_[base].section == section && symbols_[sum.plus].bind == STB_LOCAL &&
        symbols_[sum.plus].type != STT_GNU_IFUNC) {
      value = int64_t(uint64_t(value) + offset_of(symbols_[base]) + uint64_t(more) - (at + f.bytes + f.from_end));
      resolved = true;
    }
  }
  if (!resolved) return relocate(sum, f, section, at, out);
  const int64_t low = f.bytes >= 8 ? INT64_MIN : -(int64_t{1} << (8 * f.bytes - 1));
  const int64_t high = f.bytes >= 8 ? INT64_MAX : pc_relative || f.kind == AsmFieldKind::sign_extended
                                                      ? (int64_t{1} << (8 * f.bytes - 1)) - 1
                                                      : (int64_t{1} << 8 * f.bytes) - 1;
  if (value < low || value > high)
    return error_on(f.line, "the value " + std::to_string(value) + " does not fit in " + std::to_string(f.bytes) +
                                (f.bytes == 1 ? " byte" : " bytes"));
  for (unsigned k = 0; k < f.bytes; k++) bytes[at + k] = uint8_t(uint64_t(value) >> 8 * k);
  return {};
}

Result<void> AsmModule::relocate(const Sum& sum, const Fixup& f, uint32_t section, uint64_t at, AsmObjectSection& out) {
  int64_t addend = sum.constant;
  bool pc_relative = f.kind != AsmFieldKind::word && f.kind != AsmFieldKind::absolute &&
                     f.kind != AsmFieldKind::sign_extended;
  if (pc_relative) addend = int64_t(uint64_t(addend) - (uint64_t{f.bytes} + f.from_end));
  if (sum.plus == none) return error_on(f.line, "a place that is a number cannot be reached from here");
  if (sum.minus != none) {
    int64_t more = 0;
    const uint32_t base = base_of(sum.minus, more, 0);
    if (pc_relative || base == none || symbols_[base].section != section)
      return error_on(f.line, "the distance between these places is not known when the program is linked");
    pc_relative = true;
    addend = int64_t(uint64_t(addend) + at - offset_of(symbols_[base]) - uint64_t(more));
  }
  const bool table = symbols_[sum.plus].name == "_GLOBAL_OFFSET_TABLE_" && sum.variant == AsmVariant::none;
  const AsmVariant variant = table && (pc_relative || f.kind != AsmFieldKind::word) ? AsmVariant::gotpc : sum.variant;
  const uint32_t type = machine_.relocation ? machine_.relocation(f.kind, variant, f.bytes, pc_relative) : none;
  if (type == none)
    return error_on(f.line, "there is no relocation for such a value in " + std::to_string(f.bytes) + " bytes");
  AsmRelocation r = refer_to(sum.plus, addend, sum.variant);
  r.offset = at;
  r.type = type;
  out.relocations.push_back(r);
  return {};
}

// Local places are told from the start of their section, where that says the same.
AsmRelocation AsmModule::refer_to(uint32_t symbol, int64_t addend, AsmVariant variant) {
  AsmRelocation r;
  r.addend = addend;
  int64_t more = 0;
  const uint32_t base = base_of(symbol, more, 0);
  Symbol& s = symbols_[symbol];
  if (base != none && s.bind == STB_LOCAL && variant == AsmVariant::none && s.type != STT_GNU_IFUNC &&
      !(sections_[symbols_[base].section].out.flags & SHF_MERGE)) {
    r.symbol = none;
    r.section = symbols_[base].section;
    r.addend = int64_t(uint64_t(addend) + offset_of(symbols_[base]) + uint64_t(more));
    return r;
  }
  static constexpr AsmVariant thread_local_variants[] = {AsmVariant::tpoff,  AsmVariant::gottpoff, AsmVariant::tlsgd,
                                                         AsmVariant::tlsld,  AsmVariant::dtpoff,   AsmVariant::tlsdesc,
                                                         AsmVariant::tlscall};
  for (AsmVariant v : thread_local_variants) s.thread_local_use |= v == variant;
  s.referenced = true;
  if (s.out == none) s.out = next_symbol_++;
  r.symbol = s.out;
  return r;
}

// ---- symbols --------------------------------------------------------------------------------------------------------

// Defined names first; what relocations alone name gets its number when they are made.
void AsmModule::number_symbols() {
  for (uint32_t i = 0; i < symbols_.size(); i++) {
    const Symbol& s = symbols_[i];
    if (s.temporary || (!s.defined && !s.common && s.value == no_expression && !s.has_bind && !s.visibility)) continue;
    symbols_[i].out = next_symbol_++;
  }
}

// When all relocations are made: a record for each symbol that has a number.
Result<void> AsmModule::write_symbols(AsmObject& object) {
  object.symbols.resize(next_symbol_);
  for (uint32_t i = 0; i < symbols_.size(); i++) {
    const Symbol& s = symbols_[i];
    if (s.out == none) continue;
    AsmObjectSymbol& out = object.symbols[s.out];
    out.name = s.name;
    out.bind = s.bind;
    out.bind_said = s.has_bind;
    out.visibility = s.visibility;
    out.type = s.type;
    int64_t more = 0;
    const uint32_t base = base_of(i, more, 0);
    if (s.common && !(s.has_bind && s.bind == STB_LOCAL)) {
      out.place = AsmObjectSymbol::Place::common;
      out.value = s.common_align;
      out.size = s.common_size;
      if (!s.has_bind) out.bind = STB_GLOBAL;
    } else if (s.common) {
      LODE_TRY(put_local_common(s, out, object));
    } else if (base != none) {
      const Symbol& b = symbols_[base];
      out.place = AsmObjectSymbol::Place::section;
      out.section = b.section;
      out.value = offset_of(b) + uint64_t(more);
      if (!out.type) out.type = b.type;
      if (sections_[b.section].out.flags & SHF_TLS) out.type = STT_TLS;
    } else if (s.value != no_expression) {
      Sum sum;
      if (!evaluate(s.value, sum) || sum.minus != none || sum.variant != AsmVariant::none)
        return error_on(none, "what \"" + s.name + "\" is set to is not supported");
      if (sum.plus == none) {
        out.place = AsmObjectSymbol::Place::absolute;
        out.value = uint64_t(sum.constant);
      } else {
        object.aliases.push_back({s.name, symbols_[sum.plus].name, sum.constant});
      }
    } else {
      out.place = AsmObjectSymbol::Place::undefined;
      if (s.temporary) {
        const std::string shown = s.name.find('#') != std::string::npos ? s.name.substr(0, s.name.find('#')) : s.name;
        return error_on(none, "the label \"" + shown + "\" is not defined");
      }
      if (!s.has_bind) out.bind = STB_GLOBAL;
      if (s.thread_local_use && !s.type) out.type = STT_TLS;
    }
    const uint32_t sized = s.size != no_expression ? s.size : base != none ? symbols_[base].size : no_expression;
    if (sized != no_expression) {
      int64_t size;
      if (!known(sized, size)) return error_on(none, "the size of \"" + s.name + "\" is not a constant");
      out.size = uint64_t(size);
    }
  }
  return {};
}

// Room for a common symbol that is local, at the end of .bss.
Result<void> AsmModule::put_local_common(const Symbol& s, AsmObjectSymbol& out, AsmObject& object) {
  uint32_t at = 0;
  while (at < object.sections.size() && (object.sections[at].name != ".bss" || object.sections[at].type != SHT_NOBITS ||
                                         (at < sections_.size() && sections_[at].main != none)))
    at++;
  if (at == object.sections.size()) {
    object.sections.emplace_back();
    object.sections.back().name = ".bss";
    object.sections.back().type = SHT_NOBITS;
    object.sections.back().flags = SHF_ALLOC | SHF_WRITE;
  }
  AsmObjectSection& bss = object.sections[at];
  bss.align = std::max(bss.align, s.common_align);
  bss.size = (bss.size + s.common_align - 1) & ~(s.common_align - 1);
  out.place = AsmObjectSymbol::Place::section;
  out.section = at;
  out.value = bss.size;
  out.size = s.common_size;
  if (s.common_size > most_nobits || bss.size > most_nobits) return error_on(none, "a section is too large");
  bss.size += s.common_size;
  return {};
}

}  // namespace lode::codegen
