// Symbols given by expressions: --defsym, and the assignments of linker scripts.
//
// An expression that is a symbol, or a symbol and a number, makes an alias: the new symbol has its type, its section
// and its definition in a shared library. Any other one is computed from addresses after layout. What has to be known
// before, because relocations are scanned before, is only whether the result moves with the image or is a plain number;
// that follows from how the expression is built: an address plus a number moves, a difference of addresses does not,
// nor does what GNU ld calls absolute. (GNU ld takes "address + number" for absolute, which in position-independent
// outputs is a wrong address; lld does not.)
//
// Expressions may name symbols that other expressions define, in any order: all are computed until nothing changes. One
// that leads back to itself is an error.
#include <algorithm>
#include <bit>
#include <unordered_map>
#include <unordered_set>

#include "base/bytes.h"
#include "link/elf/machines/machine.h"
#include "link/elf/relocations/referent.h"

namespace lode::link::elf {

namespace {

using Op = formats::ExpressionOp;

struct Value {
  uint64_t v = 0;
  int base = 0;            // how often the image's address is in it
  bool late = false;       // not known before layout
  std::string error = {};  // why there is no value
};

class Evaluator {
 public:
  Evaluator(Link& link, bool final) : link_(link), final_(final) {}

  Value operator()(const formats::LinkerExpression& e) {
    std::vector<Value> values(e.nodes.size());
    for (size_t i = 0; i < e.nodes.size(); i++) values[i] = node(e.nodes[i], values);
    return values.back();
  }

 private:
  static Value failed(std::string why) { return {0, 0, false, std::move(why)}; }

  Value node(const formats::ExpressionNode& n, const std::vector<Value>& values) {
    switch (n.op) {
      case Op::number: return {n.number};
      case Op::symbol: return symbol(n.name);
      case Op::location: return failed("the location counter has no value outside of SECTIONS");
      case Op::defined: {
        uint32_t id = link_.names.find(n.name);
        return {id != none && link_.symbols[id].defined() ? uint64_t{1} : uint64_t{0}};
      }
      case Op::section_address: case Op::section_size: case Op::section_align: return section(n);
      case Op::headers_size: return {final_ && link_.ehdr ? link_.ehdr->size : 0, 0, true};
      case Op::constant:
        if (n.name == "MAXPAGESIZE") return {link_.opt.max_page_size};
        if (n.name == "COMMONPAGESIZE") return {link_.machine->page_size};
        return failed("unknown CONSTANT(" + std::string(n.name) + ")");
      case Op::choose: return choose(values[n.a], values[n.b], values[n.c]);
      case Op::logical_and: case Op::logical_or: {
        const Value &a = values[n.a], &b = values[n.b];
        bool stop = (a.v != 0) == (n.op == Op::logical_or);
        if (!a.error.empty()) return a;
        if (!a.late && stop) return {uint64_t(a.v != 0)};
        if (!b.error.empty() && !(final_ && stop)) return b;
        return {uint64_t(stop ? a.v != 0 : b.v != 0), 0, a.late || b.late};
      }
      case Op::negate: case Op::invert: case Op::logical_not: case Op::absolute:
      case Op::log2ceil: return unary(n.op, values[n.a]);
      default: return binary(n.op, values[n.a], values[n.b]);
    }
  }

  Value symbol(std::string_view name) {
    uint32_t id = link_.names.find(name);
    if (id == none || !link_.symbols[id].defined()) return failed("undefined symbol: " + std::string(name));
    const Symbol& s = link_.symbols[id];
    if (link_.files[s.file]->kind == FileKind::shared && !(s.flags & (in_copied | needs_canonical_plt))) {
      if (!final_) return {0, 1, true};
      return failed(std::string(name) + " is defined in " + link_.files[s.file]->name +
                    ": its address is not known before run time");
    }
    if (s.atom == none && !s.linker_defined && s.file != none && link_.files[s.file]->is_object()) return {s.value};
    if (!final_) return {0, 1, true};
    const bool through_plt =
        !(s.flags & in_copied) && (s.flags & needs_canonical_plt || (s.type == STT_GNU_IFUNC && s.flags & needs_plt));
    return {through_plt ? plt_address(link_, s) : symbol_address(link_, s), 1, true};
  }

  Value section(const formats::ExpressionNode& n) {
    int base = n.op == Op::section_address;
    if (!final_) return {0, base, true};
    for (OutputSection* s : link_.order)
      if (s->name == n.name && s->index)
        return {n.op == Op::section_address ? s->addr : n.op == Op::section_size ? s->size : s->align, base, true};
    return failed("undefined section: " + std::string(n.name));
  }

  Value choose(const Value& condition, const Value& yes, const Value& no) {
    if (!condition.error.empty()) return condition;
    if (!condition.late || final_) return condition.v ? yes : no;
    if (!yes.error.empty() || !no.error.empty()) return yes.error.empty() ? yes : no;
    return {0, std::max(yes.base, no.base), true};
  }

  Value unary(Op op, Value a) {
    if (!a.error.empty()) return a;
    switch (op) {
      case Op::negate: return {0 - a.v, -a.base, a.late};
      case Op::invert: return {~a.v, 0, a.late};
      case Op::logical_not: return {uint64_t(a.v == 0), 0, a.late};
      case Op::absolute: return {a.v, 0, a.late};
      default: return {a.v <= 1 ? 0 : uint64_t(std::bit_width(a.v - 1)), 0, a.late};
    }
  }

  Value binary(Op op, const Value& a, const Value& b) {
    if (!a.error.empty()) return a;
    if (!b.error.empty()) return b;
    const uint64_t x = a.v, y = b.v;
    const bool late = a.late || b.late;
    // A mask of low bits, or for them, leaves an address an address: the image moves by whole pages.
    const uint64_t page = link_.machine->page_size;
    switch (op) {
      case Op::add: return {x + y, a.base + b.base, late};
      case Op::subtract: return {x - y, a.base - b.base, late};
      case Op::multiply: return {x * y, 0, late};
      case Op::divide: case Op::remainder:
        if (y == 0 && b.late && !final_) return {0, 0, true};
        if (y == 0) return failed("division by zero");
        if (op == Op::divide) return {y == ~uint64_t{0} ? 0 - x : uint64_t(int64_t(x) / int64_t(y)), 0, late};
        return {y == ~uint64_t{0} ? 0 : uint64_t(int64_t(x) % int64_t(y)), 0, late};
      case Op::shift_left: return {y < 64 ? x << y : 0, 0, late};
      case Op::shift_right: return {y < 64 ? x >> y : 0, 0, late};
      case Op::less: return {uint64_t(x < y), 0, late};
      case Op::less_equal: return {uint64_t(x <= y), 0, late};
      case Op::greater: return {uint64_t(x > y), 0, late};
      case Op::greater_equal: return {uint64_t(x >= y), 0, late};
      case Op::equal: return {uint64_t(x == y), 0, late};
      case Op::not_equal: return {uint64_t(x != y), 0, late};
      case Op::bit_and: return {x & y, b.base == 0 && !b.late && ~y < page ? a.base : 0, late};
      case Op::bit_or: return {x | y, b.base == 0 && !b.late && y < page ? a.base : 0, late};
      case Op::bit_xor: return {x ^ y, 0, late};
      case Op::maximum: return {std::max(x, y), a.base == b.base ? a.base : 0, late};
      case Op::minimum: return {std::min(x, y), a.base == b.base ? a.base : 0, late};
      case Op::align: {
        uint64_t rest = y > 1 ? x % y : 0;
        return {rest ? x + (y - rest) : x, a.base, late};
      }
      default: return failed("an operator without a meaning");
    }
  }

  Link& link_;
  bool final_;
};

// "symbol", "symbol + number", "number + symbol", "symbol - number".
void recognise_alias(Assignment& a) {
  const auto& nodes = a.expression.nodes;
  const formats::ExpressionNode& root = nodes.back();
  auto plain = [&](uint32_t n) { return nodes[n].op == Op::symbol || nodes[n].op == Op::number; };
  if (root.op == Op::symbol) {
    a.alias_of = root.name;
  } else if ((root.op == Op::add || root.op == Op::subtract) && plain(root.a) && plain(root.b) &&
             nodes[root.a].op != nodes[root.b].op) {
    const formats::ExpressionNode &x = nodes[root.a], &y = nodes[root.b];
    if (x.op == Op::symbol) {
      a.alias_of = x.name;
      a.addend = root.op == Op::add ? y.number : 0 - y.number;
    } else if (root.op == Op::add) {
      a.alias_of = y.name;
      a.addend = x.number;
    }
  }
}

// The symbol becomes what `t` is, `addend` bytes on. False when that changes nothing.
bool make_alias(Link& link, Symbol& s, const Symbol& t, uint64_t addend) {
  bool imported = link.files[t.file]->kind == FileKind::shared;
  uint64_t value = t.value + (imported ? 0 : addend);
  bool linker_defined = !imported && t.file == link.internal->id ? t.linker_defined : false;
  bool same = s.file == t.file && s.sym == t.sym && s.atom == t.atom && s.value == value && s.type == t.type &&
              s.linker_defined == linker_defined;
  s.file = t.file;
  s.sym = t.sym;
  s.atom = imported ? none : t.atom;
  s.value = value;
  s.type = t.type;
  if (imported) s.version = t.version;
  s.linker_defined = linker_defined;
  s.is_common = false;
  return !same;
}

bool make_value(Link& link, Symbol& s, const Value& value) {
  bool moves = value.base == 1;
  bool same =
      s.file == link.internal->id && s.atom == none && s.value == value.v && s.linker_defined == moves && s.sym == 0;
  s.file = link.internal->id;
  s.sym = 0;
  s.atom = none;
  s.value = value.v;
  s.type = STT_NOTYPE;
  s.linker_defined = moves;
  s.is_common = false;
  return !same;
}

// Why an assignment gives its symbol no value; empty when it does.
std::string problem(Link& link, const Assignment& a, Evaluator& evaluate) {
  if (a.alias_of.empty()) return evaluate(a.expression).error;
  uint32_t id = link.names.find(a.alias_of);
  if (id == none || !link.symbols[id].defined()) return "undefined symbol: " + std::string(a.alias_of);
  const InputFile& definer = *link.files[link.symbols[id].file];
  if (a.addend && definer.kind == FileKind::shared)
    return std::string(a.alias_of) + " is defined in " + definer.name + ": its address is not known before run time";
  return {};
}

// Reports assignments that lead back to themselves: those that are left when all whose operands are settled have been
// taken out.
bool report_circles(Link& link) {
  std::unordered_map<uint32_t, size_t> by_symbol;
  for (size_t i = 0; i < link.assignments.size(); i++)
    if (link.assignments[i].active) by_symbol[link.assignments[i].symbol] = i;
  std::vector<std::vector<size_t>> users(link.assignments.size());
  std::vector<size_t> waits(link.assignments.size()), ready;
  for (auto& [symbol, i] : by_symbol) {
    for (const formats::ExpressionNode& n : link.assignments[i].expression.nodes) {
      if (n.op != Op::symbol) continue;
      auto it = by_symbol.find(link.names.find(n.name));
      if (it == by_symbol.end()) continue;
      users[it->second].push_back(i);
      waits[i]++;
    }
    if (!waits[i]) ready.push_back(i);
  }
  size_t settled = 0;
  for (; settled < ready.size(); settled++)
    for (size_t user : users[ready[settled]])
      if (--waits[user] == 0) ready.push_back(user);
  if (settled == by_symbol.size()) return false;
  for (size_t i = 0; i < waits.size(); i++)
    if (waits[i]) link.diag.error(link.assignments[i].place + ": the symbol is defined in terms of itself");
  return true;
}

// Computes all assignments until nothing changes. Errors are reported when `report` is set.
void compute(Link& link, bool final, bool report) {
  Evaluator evaluate(link, final);
  bool changed = true;
  for (size_t round = 0; changed && round < link.assignments.size() + 2; round++) {
    changed = false;
    for (Assignment& a : link.assignments) {
      if (!a.active) continue;
      Symbol& s = link.symbols[a.symbol];
      if (!a.alias_of.empty()) {
        uint32_t id = link.names.find(a.alias_of);
        if (id == none || id == a.symbol || !link.symbols[id].defined()) continue;
        const Symbol& t = link.symbols[id];
        if (a.addend && link.files[t.file]->kind == FileKind::shared) continue;
        changed |= make_alias(link, s, t, a.addend);
      } else if (Value v = evaluate(a.expression); v.error.empty()) {
        changed |= make_value(link, s, v);
      }
    }
  }
  if (!report) return;
  for (const Assignment& a : link.assignments)
    if (a.active)
      if (std::string why = problem(link, a, evaluate); !why.empty()) link.diag.error(a.place + ": " + why);
}

}  // namespace

uint64_t symbol_address(Link& link, const Symbol& s) {
  if (s.flags & in_copied) return (s.copied_readonly ? link.copyrel_ro : link.copyrel)->addr + s.value;
  if (!s.defined()) return 0;
  if (s.atom == none) return s.value;
  return place_address(link, link.atoms[s.atom], s.value);
}

static void root_assignment(Link& link, const SymbolAssignment& given) {
  auto expression = formats::parse_linker_expression(given.expression);
  if (!expression) return link.diag.error(std::move(expression.error()).at(given.place));
  Assignment a;
  a.place = given.place;
  a.provide = given.provide;
  a.hidden = given.hidden;
  a.expression = std::move(*expression);
  a.symbol = link.intern(given.name);
  recognise_alias(a);
  // What a condition decides about need not be there.
  const auto& nodes = a.expression.nodes;
  std::vector<bool> conditional(nodes.size());
  for (size_t i = nodes.size(); i-- > 0;) {
    const formats::ExpressionNode& n = nodes[i];
    if (n.op == Op::number || n.op == Op::symbol || n.op == Op::location || n.op >= Op::defined) continue;
    bool decides = n.op == Op::choose || n.op == Op::logical_and || n.op == Op::logical_or;
    if (conditional[i]) conditional[n.a] = true;
    if (n.op > Op::log2ceil) conditional[n.b] = conditional[i] || decides;
    if (n.op == Op::choose) conditional[n.c] = true;
  }
  for (size_t i = 0; i < nodes.size(); i++)
    if (nodes[i].op == Op::symbol) {
      uint32_t id = link.intern(link.save(std::string(nodes[i].name)));
      if (!given.provide)
        link.symbols[id].flags |=
            conditional[i] ? uint32_t(referenced) : uint32_t(is_root | referenced | referenced_strong);
    }
  link.assignments.push_back(std::move(a));
}

// Parses all assignments, once, and asks for the symbols that they name.
void root_assignments(Link& link) {
  for (const SymbolAssignment& given : link.opt.assignments) root_assignment(link, given);
  for (const SymbolAssignment& given : link.script_assignments) root_assignment(link, given);
}

// After resolution. PROVIDE gives a symbol only where a reference would stay undefined.
void apply_assignments(Link& link) {
  // The last one for a symbol counts, and only where there is none, the first PROVIDE.
  std::unordered_set<uint32_t> taken;
  for (size_t i = link.assignments.size(); i-- > 0;)
    if (Assignment& a = link.assignments[i]; !a.provide) a.active = taken.insert(a.symbol).second;
  for (Assignment& a : link.assignments)
    if (const Symbol& s = link.symbols[a.symbol]; a.provide)
      a.active = !s.defined() && (s.flags & (referenced | is_root)) && taken.insert(a.symbol).second;
  for (Assignment& a : link.assignments) {
    if (!a.active) continue;
    Symbol& s = link.symbols[a.symbol];
    if (a.hidden) s.constraint = std::min(s.constraint, Symbol::constraint_of(STV_HIDDEN));
    for (const formats::ExpressionNode& n : a.expression.nodes)
      if (n.op == Op::symbol)
        if (uint32_t id = link.names.find(n.name); id != none) link.symbols[id].flags |= is_root | referenced;
    // Defined from here on, whatever the value: others refer to it.
    s.file = link.internal->id;
    s.sym = 0;
    s.atom = none;
    s.value = 0;
    s.type = STT_NOTYPE;
    s.is_common = false;
    s.linker_defined = true;
  }
  if (!link.assignments.empty()) compute(link, false, false);
}

void check_assignments(Link& link) {
  if (!link.assignments.empty() && !report_circles(link)) compute(link, false, true);
}

void refresh_assignments(Link& link, bool final) {
  if (!link.assignments.empty()) compute(link, final, final);
}

}  // namespace lode::link::elf
