// See module_debug.h. Units, files and global variables, and the order of the whole.
#include "codegen/debug/module_debug.h"

#include <algorithm>

#include "codegen/debug/builder.h"

namespace lode::codegen {
namespace dwarf {

void Builder::complain() {
  if (complained_) return;
  complained_ = true;
  warnings_.push_back("damaged debug information: parts of it are left out");
}

uint32_t Builder::unit_of(uint32_t node) const {
  for (uint32_t k = 0; k < units_.size(); k++)
    if (units_[k].node == node) return k;
  return ~0u;
}

// [distinct, file name, directory, checksum kind, checksum, source]
uint32_t Builder::file_number(uint32_t node, uint32_t unit) {
  LineTable::File f;
  if (kind(node) == K::file) {
    f.name = text(node, 1);
    f.directory = text(node, 2);
    if (field(node, 3) == 1) f.md5 = text(node, 4);
  } else {
    return 0;
  }
  return units_[unit].lines.file(f);
}

void Builder::source_place(uint32_t die, uint32_t file, uint64_t line) {
  // By the files of the unit that has the entry.
  const uint32_t unit = unit_numbers_[tree_.unit(die)];
  if (!line || units_[unit].kind != full_debug || kind(file) != K::file) return;
  tree_.number(die, at_decl_file, file_number(file, unit));
  tree_.number(die, at_decl_line, line);
}

// [distinct, language, file, producer, optimised, flags, runtime version, split name, emission, enums, retained types,
//  subprograms, globals, imports, ...]
void Builder::make_units() {
  for (uint32_t node : module_.units) {
    if (kind(node) != K::compile_unit || unit_of(node) != ~0u) continue;
    unit_ = uint32_t(units_.size());
    Unit& u = units_.emplace_back();
    u.node = node;
    u.kind = EmissionKind(std::min<uint64_t>(field(node, 8), directives_only));
    if (u.kind == no_debug || u.kind == directives_only) continue;
    u.die = tree_.add_unit();
    unit_numbers_.push_back(unit_);
    const uint32_t file = ref(node, 2);
    name(u.die, at_producer, text(node, 3));
    tree_.attribute(u.die, at_language, form_data2, field(node, 1) & 0xffff);
    if (kind(file) == K::file) {
      name(u.die, at_name, text(file, 1));
      name(u.die, at_comp_dir, text(file, 2));
    }
    tree_.offset_in(u.die, at_str_offsets_base, str_offsets, table_header_bytes);
    file_number(file);
  }
}

void Builder::finish_unit(Unit& u) {
  tree_.offset_in(u.die, at_stmt_list, line, u.lines.write(tables_, out_[line]));
  tree_.attribute(u.die, at_low_pc, form_addr, 0);
  Section list;
  for (auto [start, size] : u.functions) {
    list.u8(rle_startx_length);
    list.uleb(start);
    list.uleb(size);
  }
  list.u8(rle_end);
  tree_.attribute(u.die, at_ranges, form_rnglistx, tables_.add_ranges(std::move(list.bytes)));
  tree_.offset_in(u.die, at_addr_base, addr, table_header_bytes);
  if (tables_.has_ranges()) tree_.offset_in(u.die, at_rnglists_base, rnglists, list_header_bytes);
  if (tables_.has_locations()) tree_.offset_in(u.die, at_loclists_base, loclists, list_header_bytes);
}

// [distinct | version << 1, scope, name, linkage name, file, line, type, local, definition, declaration, template
//  parameters, align, ...]
uint32_t Builder::global_variable(Unit& u, uint32_t node) {
  if (const uint32_t known = die_of(node); known != no_die) return known;
  const uint32_t scope = ref(node, 1), declared = ref(node, 9);
  uint32_t parent = u.die;
  uint32_t spec = no_die;
  if (kind(declared) == K::derived_type) {  // a static member, declared in its class
    if (const uint32_t holder = type(ref(declared, 5)); holder != no_die) {
      member(holder, declared, 0);
      spec = die_of(declared);
    }
  } else if (kind(scope) == K::lexical_block || kind(scope) == K::lexical_block_file || kind(scope) == K::subprogram) {
    if (!has_code(subprogram_of(scope))) return no_die;  // of a function that is not in the output
    parent = context(scope, 0);
  } else {
    parent = context(scope, 0);
  }
  const uint32_t die = tree_.add(tag_variable, parent);
  die_of(node) = die;
  if (spec != no_die) {
    tree_.reference(die, at_specification, spec);
  } else {
    name(die, at_name, text(node, 2));
    type_of(die, ref(node, 6), 0);
    if (!field(node, 7)) tree_.flag(die, at_external);
  }
  source_place(die, ref(node, 4), field(node, 5));
  if (text(node, 3) != text(node, 2)) name(die, at_linkage_name, text(node, 3));
  template_parameters(die, ref(node, 10), 0);
  return die;
}

void Builder::global_variables(Unit& u) {
  const uint32_t list = m().node(field(u.node, 12), K::tuple);
  std::map<uint32_t, uint32_t> global_of;  // by node
  for (auto [global, node] : module_.attachments) global_of.try_emplace(node, global);
  for (uint32_t k = 0; list != no_node && k < m().count(list); k++) {
    const uint32_t pair = ref(list, k);
    if (kind(pair) != K::global_expression) continue;
    const uint32_t node = ref(pair, 1), expression = ref(pair, 2);
    if (kind(node) != K::global_variable) continue;
    Section place;
    bool memory = true, described = false;
    if (auto it = global_of.find(pair); it != global_of.end()) {
      const DebugGlobal g = in_.global(it->second);
      if (!g.exists) continue;
      if (g.thread_local_) {
        place.u8(op_const8u);
        place.relocations.push_back({place.size(), Relocation::tls, g.symbol, 0});
        place.u64(0);
        place.u8(op_form_tls_address);
      } else {
        place.u8(op_addrx);
        place.uleb(tables_.address(g.symbol, 0));
      }
      Piece piece;
      described = fragment_of(expression, piece) && !piece.size && append_expression(place, expression, false, memory);
    } else {
      // A constant has no global: its expression makes the value.
      described = m().count(expression) > 1 && append_expression(place, expression, false, memory) && !memory;
      if (!described) continue;
    }
    const uint32_t die = global_variable(u, node);
    if (die != no_die && described && !tree_.has(die, at_location))
      tree_.expression(die, at_location, std::move(place));
  }
}

// [distinct, tag, scope, entity, line, name, file, elements]
void Builder::imported_entity(uint32_t node, uint32_t parent) {
  if (kind(node) != K::imported_entity) return;
  const uint32_t entity = ref(node, 3);
  uint32_t to = no_die;
  switch (kind(entity)) {
    case K::namespace_: case K::module: case K::basic_type: case K::derived_type: case K::composite_type:
      to = type(entity);
      break;
    case K::subprogram: {
      to = has_code(entity) ? context(entity, 0) : die_of(entity);
      if (to == no_die && !(field(entity, 9) & sp_flags::definition)) to = declaration(entity, 0);
      break;
    }
    case K::global_variable: to = die_of(entity); break;
    default: break;
  }
  if (to == no_die) return;
  const uint32_t die = tree_.add(uint16_t(field(node, 1)), parent);
  source_place(die, ref(node, 6), field(node, 4));
  tree_.reference(die, at_import, to);
  name(die, at_name, text(node, 5));
}

Result<void> Builder::run() {
  LODE_ASSIGN(module_, bc::read_metadata(*in_.module));
  nodes_ = &module_;
  dies_.assign(module_.nodes.size(), no_die);
  bodies_.resize(in_.functions.size());
  for (size_t k = 0; k < in_.functions.size(); k++)
    LODE_TRY(bc::read_body_metadata(*in_.module, module_, in_.functions[k].body, bodies_[k]));
  make_units();
  find_inlined();
  for (size_t k = 0; k < in_.functions.size(); k++) {
    nodes_ = &bodies_[k];
    local_dies_.clear();
    local_abstract_.clear();
    local_concrete_.clear();
    function(in_.functions[k]);
  }
  nodes_ = &module_;
  for (unit_ = 0; unit_ < units_.size(); unit_++) {
    Unit& u = units_[unit_];
    if (u.die == no_die) continue;
    if (u.kind == full_debug) {
      global_variables(u);
      for (uint32_t list_field : {9u, 10u, 13u}) {  // enumerations, retained types, imports
        const uint32_t list = m().node(field(u.node, list_field), K::tuple);
        for (uint32_t k = 0; list != no_node && k < m().count(list); k++) {
          const uint32_t e = ref(list, k);
          if (list_field == 13) {
            const uint32_t scope = ref(e, 2);
            const bool block = kind(scope) == K::subprogram || kind(scope) == K::lexical_block;
            if (!block || has_code(subprogram_of(scope))) imported_entity(e, context(scope, 0));
          } else if (kind(e) != K::subprogram) {
            type(e);
          }
        }
      }
    }
  }
  for (unit_ = 0; unit_ < units_.size(); unit_++)
    if (units_[unit_].die != no_die) finish_unit(units_[unit_]);
  tree_.write(out_);
  tables_.finish();
  return {};
}

}  // namespace dwarf

Result<dwarf::Sections> make_debug_sections(const DebugInput& input, std::vector<std::string>& warnings) {
  dwarf::Sections out;
  LODE_TRY(dwarf::Builder(input, warnings, out).run());
  return out;
}

}  // namespace lode::codegen
