// See debug_metadata.h.
#include "formats/bitcode/debug_metadata.h"

#include <array>

#include "formats/bitcode/reader_parts.h"

namespace lode::formats::bitcode {

namespace {

enum Code : uint32_t { name = 4, kind_name = 6, named_node = 10, strings = 35, global_decl_attachment = 36,
                       index_offset = 38, index = 39 };
constexpr uint32_t attachment_dbg = 0;  // FixedMetadataKinds.def

// Record codes and what their nodes are; all other codes are nodes that only count.
constexpr auto kinds = [] {
  using K = MetadataKind;
  std::array<K, 64> t{};
  constexpr std::pair<unsigned, K> rows[] = {
      {2, K::value}, {3, K::tuple}, {5, K::tuple}, {7, K::location}, {13, K::subrange}, {14, K::enumerator},
      {15, K::basic_type}, {16, K::file}, {17, K::derived_type}, {18, K::composite_type}, {19, K::subroutine_type},
      {20, K::compile_unit}, {21, K::subprogram}, {22, K::lexical_block}, {23, K::lexical_block_file},
      {24, K::namespace_}, {25, K::template_type}, {26, K::template_value}, {27, K::global_variable},
      {28, K::local_variable}, {29, K::expression}, {31, K::imported_entity}, {32, K::module},
      {37, K::global_expression}, {40, K::label}, {41, K::string_type}, {44, K::common_block},
      {45, K::generic_subrange}, {46, K::arg_list},
  };
  for (auto [code, kind] : rows) t[code] = kind;
  return t;
}();

bool read_block(Cursor& c, MetadataNodes& out) {
  if (!c.enter_block()) return false;
  bool units_follow = false;
  while (c.next_record()) {
    switch (c.code()) {
      case strings: {
        const size_t before = out.strings.size();
        if (!read_metadata_strings(c, out.strings)) return false;
        for (size_t k = before; k < out.strings.size(); k++)
          out.nodes.push_back({MetadataKind::text, uint32_t(k), 0});
        break;
      }
      case name: {
        static constexpr std::string_view units = "llvm.dbg.cu";
        units_follow = c.size() == units.size();
        for (uint32_t i = 0; units_follow && i < units.size(); i++) units_follow = c[i] == uint8_t(units[i]);
        break;
      }
      case named_node:
        if (units_follow)
          for (uint64_t v : c.ops()) out.units.push_back(v < none ? uint32_t(v) : none);
        units_follow = false;
        break;
      case global_decl_attachment:
        for (uint32_t i = 1; i + 1 < c.size(); i += 2)
          if (c[i] == attachment_dbg && c[0] < none && c[i + 1] < none)
            out.attachments.emplace_back(uint32_t(c[0]), uint32_t(c[i + 1]));
        break;
      case kind_name:
      case index_offset:
      case index: break;
      default:
        out.nodes.push_back({c.code() < kinds.size() ? kinds[c.code()] : MetadataKind::other,
                             uint32_t(out.fields.size()), c.size()});
        out.fields.insert(out.fields.end(), c.ops().begin(), c.ops().end());
        break;
    }
    if (out.end() > 0x7fffffff || out.fields.size() > 0xffffffff) return c.fail("too much metadata");
  }
  return !c.failed();
}

}  // namespace

const MetadataNodes::Node* MetadataNodes::find(uint32_t number, const MetadataNodes*& holder) const {
  holder = this;
  if (number < first) return outer ? outer->find(number, holder) : nullptr;
  return number - first < nodes.size() ? &nodes[number - first] : nullptr;
}

MetadataKind MetadataNodes::kind(uint32_t number) const {
  const MetadataNodes* holder;
  const Node* n = find(number, holder);
  return n ? n->kind : MetadataKind::other;
}

uint32_t MetadataNodes::count(uint32_t number) const {
  const MetadataNodes* holder;
  const Node* n = find(number, holder);
  return n ? n->count : 0;
}

uint64_t MetadataNodes::field(uint32_t number, uint32_t i) const {
  const MetadataNodes* holder;
  const Node* n = find(number, holder);
  return n && i < n->count ? holder->fields[n->first + i] : 0;
}

std::string_view MetadataNodes::text(uint64_t number_plus_one) const {
  if (number_plus_one == 0 || number_plus_one > end()) return {};
  const MetadataNodes* holder;
  const Node* n = find(uint32_t(number_plus_one - 1), holder);
  return n && n->kind == MetadataKind::text ? holder->strings[n->first] : std::string_view();
}

Result<MetadataNodes> read_metadata(const Module& m) {
  MetadataNodes out;
  if (m.metadata_bit == 0) return out;
  Cursor c(m.stream, &m.block_info);
  c.seek_block(m.metadata_bit, block_metadata);
  if (!read_block(c, out)) return c.failure();
  return out;
}

Result<void> read_body_metadata(const Module& m, const MetadataNodes& outer, uint32_t body, MetadataNodes& out) {
  out.nodes.clear();
  out.fields.clear();
  out.strings.clear();
  out.first = outer.end();
  out.outer = &outer;
  if (body >= m.bodies.size()) return error("no function body of that number");
  Cursor c(m.stream, &m.block_info);
  c.seek_block(m.bodies[body].bit, block_function);
  if (!find_body_metadata(c)) {
    if (c.failed()) return c.failure();
    return {};
  }
  if (!read_block(c, out)) return c.failure();
  return {};
}

}  // namespace lode::formats::bitcode
