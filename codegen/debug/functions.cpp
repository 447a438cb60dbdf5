// Subprograms: code, line rows, scopes and variables.
//
// Scopes come from the rows: what lies between two rows belongs to the scope of the first and to all around it. A block
// without variables is not made; what is in it stands in the block around it. A subprogram that was inlined anywhere
// has an abstract entry with its names and types, to which the code's entry and those of inlined places refer (DWARF 5,
// 3.3.8).
#include <algorithm>

#include "codegen/debug/builder.h"

namespace lode::codegen::dwarf {

namespace {
constexpr unsigned max_inlining = 1024;
}

uint32_t Builder::block_scope(uint32_t scope) const {
  for (unsigned depth = 0; depth < max_depth && kind(scope) == K::lexical_block_file; depth++) scope = ref(scope, 1);
  return scope;
}

uint32_t Builder::subprogram_of(uint32_t scope) const {
  for (unsigned depth = 0; depth < 2 * max_depth; depth++) {
    if (kind(scope) == K::subprogram) return scope;
    if (kind(scope) != K::lexical_block && kind(scope) != K::lexical_block_file) return no_node;
    scope = ref(scope, 1);
  }
  return no_node;
}

uint32_t Builder::file_of_scope(uint32_t scope) const {
  for (unsigned depth = 0; depth < 2 * max_depth; depth++) {
    const K k = kind(scope);
    if (k != K::subprogram && k != K::lexical_block && k != K::lexical_block_file) return no_node;
    if (const uint32_t file = ref(scope, k == K::subprogram ? 4 : 2); file != no_node) return file;
    scope = ref(scope, 1);
  }
  return no_node;
}

// Which subprograms of the module have code, and which are inlined anywhere.
void Builder::find_inlined() {
  inlined_.assign(module_.nodes.size(), 0);
  for (size_t k = 0; k < in_.functions.size(); k++) {
    nodes_ = &bodies_[k];
    const uint32_t sp = in_.functions[k].column.subprogram;
    if (sp && sp <= dies_.size() && kind(sp - 1) == K::subprogram) concrete_[sp - 1] = no_die;
    for (const DebugLocation& l : in_.functions[k].column.locations) {
      if (!l.inlined_at || !l.scope) continue;
      const uint32_t from = subprogram_of(l.scope - 1);
      if (from < inlined_.size()) inlined_[from] = 1;
    }
  }
  nodes_ = &module_;
}

void Builder::line_rows(const DebugFunction& f, uint32_t sp) {
  Unit& u = units_[unit_];
  std::vector<LineRow> rows;
  LineRow row;
  row.offset = f.entry;
  row.file = file_number(ref(sp, 4));
  row.line = uint32_t(field(sp, 7));
  row.is_stmt = true;
  rows.push_back(row);
  uint32_t last_line = row.line, last_location = ~0u;
  uint32_t last_scope = 0, last_file = row.file;
  bool body = false;
  for (const DebugRow& r : f.column.rows) {
    const DebugLocation& l = f.column.locations[r.location];
    if (r.location == last_location) continue;
    if (r.location == 0 && (!body || rows.back().line == 0)) continue;
    last_location = r.location;
    if (l.scope && l.scope != last_scope) {
      last_scope = l.scope;
      if (const uint32_t file = file_of_scope(l.scope - 1); file != no_node) last_file = file_number(file);
    }
    row.offset = std::max(r.inst, f.entry);
    row.file = last_file;
    row.line = l.line;
    row.column = l.column;
    row.is_stmt = l.line != 0 && (l.line != last_line || !body);
    row.prologue_end = l.line != 0 && !body;
    if (l.line) {
      body = true;
      last_line = l.line;
    }
    // Of rows at one place the last counts, but for the entry's.
    if (rows.size() > 1 && rows.back().offset == row.offset) {
      row.is_stmt |= rows.back().is_stmt && row.line;
      row.prologue_end |= rows.back().prologue_end;
      rows.back() = row;
    } else {
      rows.push_back(row);
    }
  }
  u.lines.add_sequence(f.symbol, -int64_t(f.entry), std::move(rows), f.text_size);
}

// The scope that code at (node, inlined_at) is in; ~0: it is none of the function's.
uint32_t Builder::find_scope(uint32_t node, uint32_t inlined_at, unsigned depth) {
  node = block_scope(node);
  if (auto it = scope_of_.find({node, inlined_at}); it != scope_of_.end()) return it->second;
  if (depth > max_inlining) return complain(), ~0u;
  Scope s;
  s.node = node;
  s.inlined_at = inlined_at;
  if (kind(node) == K::lexical_block) {
    s.parent = find_scope(ref(node, 1), inlined_at, depth + 1);
  } else if (kind(node) == K::subprogram && inlined_at) {
    const uint32_t call = inlined_at - 1;
    if (kind(call) != K::location) return ~0u;
    s.call = call;
    s.parent = find_scope(uint32_t(std::min<uint64_t>(field(call, 3), no_node)),
                          uint32_t(std::min<uint64_t>(field(call, 4), no_node)), depth + 1);
  } else {
    return ~0u;
  }
  if (s.parent == ~0u) return ~0u;
  scopes_.push_back(s);
  return scope_of_[{node, inlined_at}] = uint32_t(scopes_.size() - 1);
}

void Builder::find_scopes(const DebugFunction& f) {
  const auto& rows = f.column.rows;
  for (size_t k = 0; k < rows.size(); k++) {
    const uint32_t begin = rows[k].inst, end = k + 1 < rows.size() ? rows[k + 1].inst : f.text_size;
    const DebugLocation& l = f.column.locations[rows[k].location];
    if (begin >= end || !l.scope) continue;
    for (uint32_t s = find_scope(l.scope - 1, l.inlined_at, 0); s != ~0u && s != 0; s = scopes_[s].parent) {
      auto& list = scopes_[s].ranges;
      if (!list.empty() && list.back().second == begin) list.back().second = end;
      else list.emplace_back(begin, end);
    }
  }
}

void Builder::ranges(uint32_t die, const std::vector<std::pair<uint32_t, uint32_t>>& list, const DebugFunction& f) {
  if (list.size() == 1) {
    tree_.attribute(die, at_low_pc, form_addrx,
                    tables_.address(f.symbol, int64_t(list[0].first) - int64_t(f.entry)));
    tree_.attribute(die, at_high_pc, form_data4, list[0].second - list[0].first);
    return;
  }
  Section out;
  out.u8(rle_base_addressx);
  out.uleb(tables_.address(f.symbol, 0));
  for (auto [begin, end] : list) {
    out.u8(rle_offset_pair);
    out.uleb(begin - std::min(begin, f.entry));
    out.uleb(end - std::min(end, f.entry));
  }
  out.u8(rle_end);
  tree_.attribute(die, at_ranges, form_rnglistx, tables_.add_ranges(std::move(out.bytes)));
}

// [distinct, scope, name, file, line, type, argument, flags, align, ...]
void Builder::variable_attributes(uint32_t die, uint32_t node) {
  name(die, at_name, text(node, 2));
  source_place(die, ref(node, 3), field(node, 4));
  type_of(die, ref(node, 5), 0);
  if (field(node, 7) & di_flags::artificial) tree_.flag(die, at_artificial);
}

uint32_t Builder::local_die(uint32_t node) { return die_of(node); }

uint32_t Builder::abstract_subprogram(uint32_t node) {
  auto& map = node < dies_.size() ? abstract_ : local_abstract_;
  if (auto it = map.find(node); it != map.end()) return it->second;
  const uint32_t declared = ref(node, 14);
  const bool full = units_[unit_].kind == full_debug;
  const uint32_t spec = full && declared != no_node ? declaration(declared, 0) : no_die;
  const uint32_t die =
      tree_.add(tag_subprogram, spec != no_die || !full ? units_[unit_].die : context(ref(node, 1), 0));
  map[node] = die;
  if (spec != no_die) {
    specify(die, node, spec);
  } else if (full) {
    subprogram_attributes(die, node, 0, true);
  } else {
    name(die, at_name, text(node, 2));
    source_place(die, ref(node, 4), field(node, 5));
  }
  tree_.number(die, at_inline, 1);
  if (!full) return die;
  if (const uint32_t nodes = m().node(field(node, 15), K::tuple); nodes != no_node)
    for (uint32_t k = 0; k < m().count(nodes); k++)
      if (kind(ref(nodes, k)) == K::local_variable) abstract_variable(ref(nodes, k));
  return die;
}

// Of a variable or a block in a subprogram that has an abstract entry.
uint32_t Builder::abstract_variable(uint32_t node) {
  auto& map = node < dies_.size() ? abstract_ : local_abstract_;
  if (auto it = map.find(node); it != map.end()) return it->second;
  const bool block = kind(node) == K::lexical_block;
  if (!block && kind(node) != K::local_variable) return no_die;
  const uint32_t scope = block_scope(ref(node, 1));
  uint32_t parent = no_die;
  if (kind(scope) == K::subprogram) parent = abstract_subprogram(scope);
  else if (kind(scope) == K::lexical_block && subprogram_of(scope) != no_node) parent = abstract_variable(scope);
  if (parent == no_die) return no_die;
  if (auto it = map.find(node); it != map.end()) return it->second;
  const uint32_t die =
      tree_.add(block ? tag_lexical_block : field(node, 6) ? tag_formal_parameter : tag_variable, parent);
  map[node] = die;
  if (!block) variable_attributes(die, node);
  return die;
}

// The entry of a scope, made with those around it.
uint32_t Builder::scope_die(uint32_t n, uint32_t function_die, unsigned depth) {
  if (n == 0 || depth > max_inlining) return function_die;
  if (scopes_[n].die != no_die) return scopes_[n].die;
  const uint32_t parent = scope_die(scopes_[n].parent, function_die, depth + 1);
  const Scope& s = scopes_[n];
  uint32_t die = parent;
  if (s.call != no_node) {
    const uint32_t origin = abstract_subprogram(s.node);
    die = tree_.add(tag_inlined_subroutine, parent);
    tree_.reference(die, at_abstract_origin, origin);
    tree_.number(die, at_call_file,
                 file_number(file_of_scope(uint32_t(std::min<uint64_t>(field(s.call, 3), no_node)))));
    tree_.number(die, at_call_line, field(s.call, 1));
    if (const uint64_t column = field(s.call, 2)) tree_.number(die, at_call_column, column);
  } else if (s.has_variables) {
    const uint32_t sp = subprogram_of(s.node);
    die = tree_.add(tag_lexical_block, parent);
    if (s.inlined_at || (sp < inlined_.size() && inlined_[sp]))
      if (const uint32_t origin = abstract_variable(s.node); origin != no_die)
        tree_.reference(die, at_abstract_origin, origin);
  }
  scopes_[n].die = die;
  return die;
}

void Builder::add_variables(const DebugFunction& f, uint32_t function_die) {
  struct Variable {
    uint32_t node, scope, argument;
    uint32_t first, count;
    uint32_t die = no_die;
  };
  std::vector<DebugRange> list = f.column.ranges;
  std::stable_sort(list.begin(), list.end(), [](const DebugRange& a, const DebugRange& b) {
    return std::pair(a.variable, a.inlined_at) < std::pair(b.variable, b.inlined_at);
  });
  std::vector<Variable> variables;
  const uint32_t sp = scopes_[0].node;
  const bool own_abstract = sp < inlined_.size() && inlined_[sp];
  for (uint32_t k = 0; k < list.size();) {
    uint32_t end = k;
    while (end < list.size() && list[end].variable == list[k].variable && list[end].inlined_at == list[k].inlined_at)
      end++;
    const uint32_t node = list[k].variable ? list[k].variable - 1 : no_node;
    if (kind(node) == K::local_variable) {
      const uint32_t scope = find_scope(ref(node, 1), list[k].inlined_at, 0);
      if (scope != ~0u && (scope == 0 || !scopes_[scope].ranges.empty()))
        variables.push_back({node, scope, uint32_t(field(node, 6)), k, end - k});
    }
    k = end;
  }
  // What nothing is known of is still named; code with an abstract entry has it from there.
  if (const uint32_t nodes = m().node(field(sp, 15), K::tuple); nodes != no_node && !own_abstract)
    for (uint32_t k = 0; k < m().count(nodes); k++) {
      const uint32_t node = ref(nodes, k);
      if (kind(node) != K::local_variable) continue;
      bool known = false;
      for (const Variable& v : variables) known |= v.node == node && !scopes_[v.scope].inlined_at;
      const uint32_t scope = known ? ~0u : find_scope(ref(node, 1), 0, 0);
      if (scope == 0 || (scope != ~0u && !scopes_[scope].ranges.empty()))
        variables.push_back({node, scope, uint32_t(field(node, 6)), 0, 0});
    }
  std::stable_sort(variables.begin(), variables.end(), [](const Variable& a, const Variable& b) {
    return (a.argument ? a.argument : ~0u) < (b.argument ? b.argument : ~0u);
  });
  for (const Variable& v : variables) scopes_[v.scope].has_variables = true;
  for (Variable& v : variables) {
    v.die = tree_.add(v.argument ? tag_formal_parameter : tag_variable, scope_die(v.scope, function_die, 0));
    if (!scopes_[v.scope].inlined_at) die_of(v.node) = v.die;
  }
  for (const Variable& v : variables) {
    const bool is_inlined = scopes_[v.scope].inlined_at != 0;
    const uint32_t origin = is_inlined || own_abstract ? abstract_variable(v.node) : no_die;
    if (origin != no_die) tree_.reference(v.die, at_abstract_origin, origin);
    else variable_attributes(v.die, v.node);
    locations(v.die, std::span(list).subspan(v.first, v.count), f);
  }
}

// What a definition says besides its declaration, which is `spec`.
void Builder::specify(uint32_t die, uint32_t sp, uint32_t spec) {
  const uint32_t declared = ref(sp, 14);
  tree_.reference(die, at_specification, spec);
  if (text(declared, 3).empty()) name(die, at_linkage_name, text(sp, 3));
  if (field(declared, 4) != field(sp, 4) || field(declared, 5) != field(sp, 5))
    source_place(die, ref(sp, 4), field(sp, 5));
}

// The entry of a subprogram that has code; made when the code is met, or something that is declared in it.
uint32_t Builder::concrete_subprogram(uint32_t sp) {
  uint32_t& known = concrete(sp)[sp];
  if (known != no_die) return known;
  const bool full = units_[unit_].kind == full_debug;
  const uint32_t unit_die = units_[unit_].die;
  if (sp < inlined_.size() && inlined_[sp]) {
    known = tree_.add(tag_subprogram, unit_die);
    const uint32_t die = known;
    tree_.reference(die, at_abstract_origin, abstract_subprogram(sp));
    return die;
  }
  const uint32_t declared = ref(sp, 14);
  const uint32_t spec = full && declared != no_node ? declaration(declared, 0) : no_die;
  if (known != no_die) return known;  // the class that it is declared in asked for it
  const uint32_t parent = spec != no_die || !full ? unit_die : context(ref(sp, 1), 0);
  if (known != no_die) return known;
  const uint32_t die = known = tree_.add(tag_subprogram, parent);
  if (spec != no_die) {
    specify(die, sp, spec);
  } else if (full) {
    subprogram_attributes(die, sp, 0, true);
  } else {
    name(die, at_name, text(sp, 2));
    source_place(die, ref(sp, 4), field(sp, 5));
  }
  return die;
}

void Builder::function(const DebugFunction& f) {
  const uint32_t sp = f.column.subprogram ? f.column.subprogram - 1 : no_node;
  if (kind(sp) != K::subprogram) return;
  unit_ = unit_of(ref(sp, 12));
  if (unit_ >= units_.size()) return;
  Unit& u = units_[unit_];
  if (u.kind == no_debug || u.kind == directives_only) return;
  const bool full = u.kind == full_debug;
  line_rows(f, sp);
  const uint32_t start = tables_.address(f.symbol, 0), size = f.text_size - f.entry;
  u.functions.emplace_back(start, size);
  if (sp >= dies_.size()) local_concrete_[sp] = no_die;
  const uint32_t die = concrete_subprogram(sp);
  tree_.attribute(die, at_low_pc, form_addrx, start);
  tree_.attribute(die, at_high_pc, form_data4, size);
  Section base;
  base.u8(op_reg0 + std::min<unsigned>(f.frame.slot_register, 31));
  tree_.expression(die, at_frame_base, std::move(base.bytes));
  scopes_.clear();
  scope_of_.clear();
  scopes_.push_back({});
  scopes_[0].node = sp;
  scope_of_[{sp, 0}] = 0;
  find_scopes(f);
  if (full) add_variables(f, die);
  for (uint32_t k = 1; k < scopes_.size(); k++) {
    if (scopes_[k].ranges.empty()) continue;
    if (scopes_[k].call != no_node) scope_die(k, die, 0);
    if (scopes_[k].die != no_die && (scopes_[k].call != no_node || scopes_[k].has_variables))
      ranges(scopes_[k].die, scopes_[k].ranges, f);
  }
}

}  // namespace lode::codegen::dwarf
