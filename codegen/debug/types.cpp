// Types, namespaces and declarations: one row of a table for what a kind of node becomes, and a function for what it
// has besides. Fields of the records: LLVM's MetadataLoader; meanings: LLVM Language Reference, "Specialized Metadata
// Nodes".
#include "codegen/debug/builder.h"

namespace lode::codegen::dwarf {

namespace {

// Where the fields are that several kinds of node have: numbers of fields, 0 for what a kind has not.
struct Layout {
  K kind;
  uint16_t tag;  // 0: the node's own, in field 1
  uint8_t name, file, line, scope;
};
constexpr Layout layouts[] = {
    {K::basic_type, 0, 2, 0, 0, 0},
    {K::derived_type, 0, 2, 3, 4, 5},
    {K::composite_type, 0, 2, 3, 4, 5},
    {K::subroutine_type, tag_subroutine_type, 0, 0, 0, 0},
    {K::string_type, 0, 2, 0, 0, 0},
    {K::namespace_, tag_namespace, 2, 0, 0, 1},
    {K::module, tag_module, 2, 0, 0, 1},
    {K::common_block, tag_common_block, 3, 4, 5, 1},
};
constexpr const Layout* layout_of(K kind) {
  for (const Layout& l : layouts)
    if (l.kind == kind) return &l;
  return nullptr;
}

}  // namespace

uint32_t& Builder::die_of(uint32_t node) {
  if (node < dies_.size()) return dies_[node];
  return local_dies_.try_emplace(node, no_die).first->second;
}

void Builder::access(uint32_t die, uint64_t flags) {
  // DIFlags: 1 private, 2 protected, 3 public; DW_ACCESS: 1 public, 2 protected, 3 private.
  if (const uint64_t a = flags & di_flags::access) tree_.number(die, at_accessibility, 4 - a);
}

// What a declaration stands in. Blocks inside functions are the function itself.
uint32_t Builder::context(uint32_t scope, unsigned depth) {
  const uint32_t unit = units_[unit_].die;
  if (scope == no_node || depth > max_depth) return unit;
  switch (kind(scope)) {
    case K::namespace_:
    case K::module:
    case K::common_block:
    case K::composite_type: {
      const uint32_t d = type(scope, depth + 1);
      return d == no_die ? unit : d;
    }
    case K::subprogram:
    case K::lexical_block:
    case K::lexical_block_file: {
      const uint32_t sp = subprogram_of(scope);
      if (!has_code(sp)) return unit;
      const uint32_t here = unit_, own = unit_of(ref(sp, 12));
      if (own >= units_.size() || units_[own].die == no_die) return unit;
      unit_ = own;
      const uint32_t die = concrete_subprogram(sp);
      unit_ = here;
      return die;
    }
    default: return unit;
  }
}

uint32_t Builder::type(uint32_t node, unsigned depth) {
  if (node == no_node) return no_die;
  if (depth > max_depth) return complain(), no_die;
  const K k = kind(node);
  const Layout* l = layout_of(k);
  if (!l) {
    if (k != K::other) complain();
    return no_die;
  }
  // A unit has its own entries of namespaces: what is in them has its code in the unit.
  const bool shared = k != K::namespace_ && k != K::module && k != K::common_block;
  auto known = [&]() -> uint32_t& {
    return shared ? die_of(node) : spaces_.try_emplace({unit_, node}, no_die).first->second;
  };
  if (const uint32_t d = known(); d != no_die) return d;
  const uint16_t tag = l->tag ? l->tag : uint16_t(field(node, 1));
  const uint32_t parent = l->scope ? context(ref(node, l->scope), depth) : units_[unit_].die;
  if (const uint32_t d = known(); d != no_die) return d;  // the scope had it made
  const uint32_t die = tree_.add(tag == 0 ? uint16_t(tag_unspecified_type) : tag, parent);
  known() = die;
  if (l->name) name(die, at_name, text(node, l->name));
  if (l->file && (tag != tag_pointer_type)) source_place(die, ref(node, l->file), field(node, l->line));
  switch (k) {
    case K::basic_type: basic_type(die, node); break;
    case K::derived_type: derived_type(die, node, depth); break;
    case K::composite_type: composite_type(die, node, depth); break;
    case K::subroutine_type: subroutine_type(die, node, depth, false); break;
    case K::string_type:
      if (const uint64_t bits = field(node, 6)) tree_.number(die, at_byte_size, bits / 8);
      break;
    case K::namespace_:
      if (field(node, 0) >> 1 & 1) tree_.flag(die, at_export_symbols);
      break;
    default: break;
  }
  return die;
}

// [distinct, tag, name, size, align, encoding, flags]
void Builder::basic_type(uint32_t die, uint32_t node) {
  if (field(node, 1) != tag_base_type) return;
  tree_.number(die, at_encoding, field(node, 5) & 0xff);
  const bool by_node = field(node, 0) & 2;
  tree_.number(die, at_byte_size, by_node ? uint64_t(constant_of(ref(node, 3)).value_or(0)) / 8 : field(node, 3) / 8);
}

// [distinct, tag, name, file, line, scope, base type, size, align, offset, flags, extra data, address space, ...]
void Builder::derived_type(uint32_t die, uint32_t node, unsigned depth) {
  const uint16_t tag = uint16_t(field(node, 1));
  type_of(die, ref(node, 6), depth);
  const bool pointer = tag == tag_pointer_type || tag == tag_reference_type || tag == tag_rvalue_reference_type ||
                       tag == tag_ptr_to_member_type || tag == tag_ptrauth_type;
  if (const uint64_t bits = field(node, 7); bits && !pointer && !(field(node, 0) & 2))
    tree_.number(die, at_byte_size, bits / 8);
  if (tag == tag_ptr_to_member_type)
    if (uint32_t c = type(ref(node, 11), depth + 1); c != no_die) tree_.reference(die, at_containing_type, c);
  if (const uint64_t align = field(node, 8); align && tag == tag_typedef) tree_.number(die, at_alignment, align / 8);
  access(die, field(node, 10));
  if (tag == tag_template_alias) template_parameters(die, ref(node, 11), depth);
}

// [distinct, tag, name, file, line, scope, base type, size, align, offset, flags, elements, language, vtable holder,
//  template parameters, identifier, discriminator, data location, associated, allocated, rank, annotations,
//  extra inhabitants, specification, ...]
void Builder::composite_type(uint32_t die, uint32_t node, unsigned depth) {
  const uint16_t tag = uint16_t(field(node, 1));
  const uint64_t flags = field(node, 10);
  if (tag == tag_array_type) return array_type(die, node, depth);
  if (tag == tag_enumeration_type) return enumeration(die, node, depth);
  const bool by_node = field(node, 0) & 4;
  const uint64_t bytes = (by_node ? uint64_t(constant_of(ref(node, 7)).value_or(0)) : field(node, 7)) / 8;
  const bool is_struct = tag == tag_structure_type || tag == tag_class_type || tag == tag_union_type;
  if (flags & di_flags::forward) tree_.flag(die, at_declaration);
  else if (is_struct) tree_.number(die, at_byte_size, bytes);
  if (is_struct) {
    if (flags & di_flags::by_reference) tree_.number(die, at_calling_convention, 4);
    if (flags & di_flags::by_value) tree_.number(die, at_calling_convention, 5);
    if (flags & di_flags::export_symbols) tree_.flag(die, at_export_symbols);
    access(die, flags);
    if (const uint64_t align = field(node, 8)) tree_.number(die, at_alignment, align / 8);
    if (uint32_t holder = type(ref(node, 13), depth + 1); holder != no_die)
      tree_.reference(die, at_containing_type, holder);
    template_parameters(die, ref(node, 14), depth);
  }
  if (const uint32_t discriminator = ref(node, 16); tag == tag_variant_part && discriminator != no_node) {
    member(die, discriminator, depth);
    if (const uint32_t d = die_of(discriminator); d != no_die) tree_.reference(die, at_discr, d);
  }
  const uint32_t elements = m().node(field(node, 11), K::tuple);
  if (elements == no_node) return;
  for (uint32_t k = 0; k < m().count(elements); k++) {
    const uint32_t e = ref(elements, k);
    switch (kind(e)) {
      case K::subprogram: declaration(e, depth + 1); break;
      case K::derived_type:
        if (tag == tag_variant_part) {
          variant(die, e, depth);
          break;
        }
        [[fallthrough]];
      case K::global_variable: member(die, e, depth); break;
      case K::composite_type:
        if (field(e, 1) == tag_variant_part) type(e, depth + 1);
        break;
      default: break;
    }
  }
}

// A variant of a variant part: its member, and the discriminator's value that chooses it.
void Builder::variant(uint32_t parent, uint32_t node, unsigned depth) {
  const uint32_t die = tree_.add(tag_variant, parent);
  if (const auto v = constant_of(ref(node, 11))) tree_.attribute(die, at_discr_value, form_sdata, uint64_t(*v));
  member(die, node, depth);
}

void Builder::member(uint32_t parent, uint32_t node, unsigned depth) {
  if (kind(node) != K::derived_type || depth > max_depth) return;
  if (die_of(node) != no_die) return;
  const uint64_t flags = field(node, 10), bits = field(node, 7), offset = field(node, 9);
  uint16_t tag = uint16_t(field(node, 1));
  const bool is_static = flags & di_flags::static_member;
  if (tag != tag_member && tag != tag_inheritance && tag != tag_friend && tag != tag_variable) {
    type(node, depth + 1);  // a nested typedef
    return;
  }
  if (is_static) tag = tag_variable;
  const uint32_t die = tree_.add(tag, parent);
  die_of(node) = die;
  name(die, at_name, text(node, 2));
  if (tag == tag_friend) {
    if (uint32_t t = type(ref(node, 6), depth + 1); t != no_die) tree_.reference(die, 0x41 /* DW_AT_friend */, t);
    return;
  }
  type_of(die, ref(node, 6), depth);
  source_place(die, ref(node, 3), field(node, 4));
  if (is_static) {
    tree_.flag(die, at_external);
    tree_.flag(die, at_declaration);
    if (const auto v = constant_of(ref(node, 11))) tree_.attribute(die, at_const_value, form_sdata, uint64_t(*v));
  } else if (tag == tag_inheritance && flags & di_flags::virtual_) {
    // The offset of the base's place in the virtual table, which the object's first word points to.
    Section e;
    for (unsigned op : {unsigned(op_dup), unsigned(op_deref), unsigned(op_constu)}) e.u8(op);
    e.uleb(offset);
    for (unsigned op : {unsigned(op_minus), unsigned(op_deref), unsigned(op_plus)}) e.u8(op);
    tree_.expression(die, at_data_member_location, std::move(e.bytes));
    tree_.number(die, at_virtuality, 1);
  } else if (flags & di_flags::bit_field) {
    tree_.number(die, at_bit_size, bits);
    tree_.number(die, at_data_bit_offset, offset);
  } else {
    tree_.number(die, at_data_member_location, offset / 8);
    if (const uint64_t align = field(node, 8); align && tag == tag_member) tree_.number(die, at_alignment, align / 8);
  }
  if (flags & di_flags::artificial) tree_.flag(die, at_artificial);
  access(die, flags);
}

void Builder::enumeration(uint32_t die, uint32_t node, unsigned depth) {
  type_of(die, ref(node, 6), depth);
  if (field(node, 10) & di_flags::enum_class) tree_.flag(die, at_enum_class);
  if (field(node, 10) & di_flags::forward) tree_.flag(die, at_declaration);
  else tree_.number(die, at_byte_size, field(node, 7) / 8);
  const uint32_t elements = m().node(field(node, 11), K::tuple);
  for (uint32_t k = 0; elements != no_node && k < m().count(elements); k++) {
    const uint32_t e = ref(elements, k);
    if (kind(e) != K::enumerator) continue;
    // [wide << 2 | unsigned << 1 | distinct, ...]: wide: bits, name, words; else value, name
    const uint64_t head = field(e, 0);
    const bool wide = head & 4, is_unsigned = head & 2;
    const uint32_t at = tree_.add(tag_enumerator, die);
    name(at, at_name, m().text(field(e, 2)));
    const uint64_t raw = field(e, wide ? 3 : 1);
    const int64_t value = raw & 1 ? raw == 1 ? INT64_MIN : -int64_t(raw >> 1) : int64_t(raw >> 1);
    tree_.attribute(at, at_const_value, is_unsigned ? form_udata : form_sdata, uint64_t(value));
  }
}

// A bound: a number, a variable, or an expression.
void Builder::bound(uint32_t die, uint16_t at, uint32_t node, unsigned) {
  if (node == no_node) return;
  if (const auto v = constant_of(node)) {
    if (at != at_count || *v >= 0) tree_.attribute(die, at, form_sdata, uint64_t(*v));
  } else if (kind(node) == K::local_variable) {
    if (const uint32_t d = local_die(node); d != no_die) tree_.reference(die, at, d);
  } else if (kind(node) == K::expression) {
    Section e;
    bool memory = false;
    if (append_expression(e, node, true, memory)) tree_.expression(die, at, std::move(e.bytes));
  }
}

void Builder::array_type(uint32_t die, uint32_t node, unsigned depth) {
  if (field(node, 10) & di_flags::vector) tree_.flag(die, at_gnu_vector);
  type_of(die, ref(node, 6), depth);
  uint32_t& index_type = index_types_.try_emplace(unit_, no_die).first->second;
  if (index_type == no_die) {
    index_type = tree_.add(tag_base_type, units_[unit_].die);
    name(index_type, at_name, "__ARRAY_SIZE_TYPE__");
    tree_.number(index_type, at_byte_size, 8);
    tree_.number(index_type, at_encoding, 7);  // DW_ATE_unsigned
  }
  const uint32_t elements = m().node(field(node, 11), K::tuple);
  for (uint32_t k = 0; elements != no_node && k < m().count(elements); k++) {
    const uint32_t e = ref(elements, k);
    if (kind(e) != K::subrange && kind(e) != K::generic_subrange) continue;
    const uint32_t at = tree_.add(kind(e) == K::subrange ? tag_subrange_type : tag_generic_subrange, die);
    tree_.reference(at, at_type, index_type);
    const uint64_t version = kind(e) == K::subrange ? field(e, 0) >> 1 : 2;
    if (version == 0) {
      if (const int64_t count = int64_t(field(e, 1)); count >= 0) tree_.number(at, at_count, uint64_t(count));
      continue;
    }
    bound(at, at_count, ref(e, 1), depth);
    if (version < 2) continue;
    // C and C++ count from 0, which is not said.
    if (const auto low = constant_of(ref(e, 2)); !low || *low != 0) bound(at, at_lower_bound, ref(e, 2), depth);
    bound(at, at_upper_bound, ref(e, 3), depth);
    bound(at, at_byte_stride, ref(e, 4), depth);
  }
}

// [distinct, flags, types, convention]: the result first; none at the end: variadic.
void Builder::subroutine_type(uint32_t die, uint32_t node, unsigned depth, bool method) {
  const uint64_t flags = field(node, 1);
  if (flags & di_flags::lvalue_reference) tree_.flag(die, at_reference);
  if (flags & di_flags::rvalue_reference) tree_.flag(die, at_rvalue_reference);
  if (!method) tree_.flag(die, at_prototyped);
  const uint32_t types = m().node(field(node, 2), K::tuple);
  if (types == no_node) return;
  type_of(die, ref(types, 0), depth);
  for (uint32_t k = 1; k < m().count(types); k++) {
    const uint32_t t = ref(types, k);
    const bool last = k + 1 == m().count(types);
    if (t == no_node && last) {
      tree_.add(tag_unspecified_parameters, die);
      break;
    }
    const uint32_t p = tree_.add(tag_formal_parameter, die);
    type_of(p, t, depth);
    if (kind(t) == K::derived_type && field(t, 10) & di_flags::artificial) {
      tree_.flag(p, at_artificial);
      if (field(t, 10) & di_flags::object_pointer && !tree_.has(die, at_object_pointer))
        tree_.reference(die, at_object_pointer, p);
    }
  }
}

void Builder::template_parameters(uint32_t die, uint32_t list, unsigned depth) {
  if (kind(list) != K::tuple || depth > max_depth) return;
  for (uint32_t k = 0; k < m().count(list); k++) {
    const uint32_t p = ref(list, k);
    if (kind(p) == K::template_type) {  // [distinct, name, type, default]
      const uint32_t at = tree_.add(tag_template_type_parameter, die);
      name(at, at_name, text(p, 1));
      type_of(at, ref(p, 2), depth);
      if (field(p, 3)) tree_.flag(at, at_default_value);
    } else if (kind(p) == K::template_value) {  // [distinct, tag, name, type, default, value]
      const bool old = m().count(p) < 6;
      const uint16_t tag = uint16_t(field(p, 1));
      const uint32_t value = ref(p, old ? 4 : 5);
      const uint32_t at = tree_.add(tag, die);
      name(at, at_name, text(p, 2));
      if (tag == tag_template_value_parameter) {
        type_of(at, ref(p, 3), depth);
        if (const auto v = constant_of(value)) tree_.attribute(at, at_const_value, form_sdata, uint64_t(*v));
      } else if (tag == tag_gnu_template_template_parameter) {
        name(at, at_gnu_template_name, m().text(uint64_t(value) + 1));
      } else if (tag == tag_gnu_template_parameter_pack) {
        template_parameters(at, value, depth + 1);
      }
      if (!old && field(p, 4)) tree_.flag(at, at_default_value);
    }
  }
}

// The integer that a value node (or a constant) is.
std::optional<int64_t> Builder::constant_of(uint32_t node) const {
  if (kind(node) != K::value) return {};
  const bc::Module& module = *in_.module;
  const uint64_t v = field(node, 1);
  const uint64_t globals = module.globals.size();
  if (v < globals || v >= globals + module.constants.list.size()) return {};
  const bc::Constant& c = module.constants.list[v - globals];
  if (c.kind == bc::ConstKind::Int) return int64_t(c.bits);
  if (c.kind == bc::ConstKind::Null && module.types[c.type].kind == bc::TypeKind::Integer) return 0;
  return {};
}

// [flags, scope, name, linkage name, file, line, type, scope line, containing type, SP flags, virtual index, flags,
//  unit, template parameters, declaration, retained nodes, this adjustment, thrown types, ...]
void Builder::subprogram_attributes(uint32_t die, uint32_t node, unsigned depth, bool definition) {
  const uint64_t flags = field(node, 11), sp = field(node, 9);
  const std::string_view linkage = text(node, 3), own = text(node, 2);
  if (linkage != own) name(die, at_linkage_name, linkage);
  name(die, at_name, own);
  source_place(die, ref(node, 4), field(node, 5));
  if (flags & di_flags::prototyped) tree_.flag(die, at_prototyped);
  const uint32_t signature = m().node(field(node, 6), K::subroutine_type);
  if (!definition && signature != no_node) {
    subroutine_type(die, signature, depth, true);
  } else if (signature != no_node) {
    if (const uint32_t types = m().node(field(signature, 2), K::tuple); types != no_node)
      type_of(die, ref(types, 0), depth);
  }
  if (const uint64_t v = sp & sp_flags::virtuality) {
    tree_.number(die, at_virtuality, v);
    if (const uint64_t index = field(node, 10); index < 0xffffffff) {
      Section e;
      e.u8(op_constu);
      e.uleb(index);
      tree_.expression(die, at_vtable_elem_location, std::move(e.bytes));
    }
    if (uint32_t c = type(ref(node, 8), depth + 1); c != no_die) tree_.reference(die, at_containing_type, c);
  }
  if (!definition) {
    tree_.flag(die, at_declaration);
  }
  if (flags & di_flags::artificial) tree_.flag(die, at_artificial);
  if (!(sp & sp_flags::local)) tree_.flag(die, at_external);
  if (flags & di_flags::no_return) tree_.flag(die, at_noreturn);
  if (flags & di_flags::explicit_) tree_.flag(die, at_explicit);
  if (sp & sp_flags::deleted) tree_.flag(die, at_deleted);
  if (sp & sp_flags::main) tree_.flag(die, at_main_subprogram);
  access(die, flags);
  template_parameters(die, ref(node, 13), depth);
}

uint32_t Builder::declaration(uint32_t node, unsigned depth) {
  if (kind(node) != K::subprogram || depth > max_depth) return no_die;
  if (const uint32_t known = die_of(node); known != no_die) return known;
  const uint32_t parent = context(ref(node, 1), depth + 1);
  if (const uint32_t known = die_of(node); known != no_die) return known;
  const uint32_t die = tree_.add(tag_subprogram, parent);
  die_of(node) = die;
  subprogram_attributes(die, node, depth, false);
  return die;
}

}  // namespace lode::codegen::dwarf
