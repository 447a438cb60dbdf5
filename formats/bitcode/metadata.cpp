// See metadata.h. Record layouts: the METADATA_BLOCK part of the "LLVM Bitcode File Format" page and the published
// codes.
#include "formats/bitcode/metadata.h"

#include "formats/bitcode/reader_parts.h"

namespace lode::formats::bitcode {

namespace {

enum Code : uint32_t {
  value = 2, node = 3, name = 4, kind = 6, location = 7, named_node = 10, file = 16, compile_unit = 20, subprogram = 21,
  lexical_block = 22, lexical_block_file = 23, expression = 29, strings = 35,
  global_decl_attachment = 36, index_offset = 38, index = 39,
};

// The lengths of METADATA_STRINGS: a bit stream of vbr6 numbers at the start of the blob.
class Lengths {
 public:
  explicit Lengths(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool next(uint64_t& out) {
    out = 0;
    for (unsigned shift = 0; shift < 36; shift += 5) {
      uint32_t chunk = 0;
      for (unsigned i = 0; i < 6; i++, bit_++) {
        if (bit_ / 8 >= bytes_.size()) return false;
        chunk |= uint32_t(bytes_[bit_ / 8] >> (bit_ % 8) & 1) << i;
      }
      out |= uint64_t(chunk & 31) << shift;
      if (!(chunk & 32)) return true;
    }
    return false;
  }

 private:
  std::span<const uint8_t> bytes_;
  uint64_t bit_ = 0;
};

}  // namespace

// [count, offset of the characters] blob: lengths, then characters.
bool read_metadata_strings(Cursor& c, std::vector<std::string_view>& out) {
  if (c.size() < 2 || c[1] > c.blob().size() || c[0] > c.blob().size() * 8) return c.fail_malformed("METADATA");
  Lengths lengths(c.blob().first(c[1]));
  std::string_view chars(reinterpret_cast<const char*>(c.blob().data()) + c[1], c.blob().size() - c[1]);
  for (uint64_t i = 0, n = c[0]; i < n; i++) {
    uint64_t length;
    if (!lengths.next(length) || length > chars.size()) return c.fail_malformed("METADATA");
    out.push_back(chars.substr(0, length));
    chars.remove_prefix(length);
  }
  return true;
}

// The metadata block comes before the first instruction.
bool find_body_metadata(Cursor& c) {
  if (!c.enter_block()) return false;
  for (;;) {
    switch (c.next()) {
      case Cursor::Entry::Failed:
      case Cursor::Entry::EndBlock: return false;
      case Cursor::Entry::SubBlock:
        if (c.block_id() == block_metadata) return true;
        if (!c.skip_block()) return false;
        continue;
      case Cursor::Entry::Record: break;
    }
    if (!c.read_record() || c.code() != 1) return false;
  }
}

namespace {

bool read_block(Cursor& c, DebugScopes& out) {
  using Node = DebugScopes::Node;
  if (!c.enter_block()) return false;
  bool flags_follow = false;
  while (c.next_record()) {
    auto field = [&](uint32_t i) { return i < c.size() && c[i] <= 0xffffffff ? uint32_t(c[i]) : 0; };
    switch (c.code()) {
      case strings:
        if (const size_t before = out.strings.size(); !read_metadata_strings(c, out.strings)) {
          return false;
        } else {
          for (size_t k = before; k < out.strings.size(); k++) out.nodes.push_back({Node::Text, uint32_t(k), 0});
        }
        break;
      case name: {
        static constexpr std::string_view flags = "llvm.module.flags";
        flags_follow = c.size() == flags.size();
        for (uint32_t i = 0; flags_follow && i < flags.size(); i++) flags_follow = c[i] == uint8_t(flags[i]);
        break;
      }
      case named_node:
        if (flags_follow)
          for (uint32_t i = 0; i < c.size(); i++) out.flags.push_back(field(i));
        flags_follow = false;
        break;
      case value: out.nodes.push_back({Node::Value, field(1), 0}); break;
      case node:
        if (c.size() == 1) {
          out.nodes.push_back({Node::Single, field(0), 0});
        } else if (c.size() == 3) {
          out.nodes.push_back({Node::Triple, uint32_t(out.triples.size()), 0});
          out.triples.push_back({{field(0), field(1), field(2)}});
        } else {
          out.nodes.push_back({});
        }
        break;
      case kind:
      case global_decl_attachment:
      case index_offset:
      case index: break;
      case location: out.nodes.push_back({Node::Location, field(4), field(3) + 1}); break;
      case expression: {
        // DW_OP_LLVM_fragment and its two operands are the last operation.
        constexpr uint64_t fragment = 0x1000;
        const uint32_t n = c.size();
        const bool part = n >= 4 && c[n - 3] == fragment;
        out.nodes.push_back({Node::Expression, part ? field(n - 2) : 0, part ? field(n - 1) : 0});
        break;
      }
      case file: out.nodes.push_back({Node::File, field(1), field(2)}); break;
      case compile_unit:
        out.nodes.push_back({Node::Unit, 0, 0});
        out.has_units = true;
        break;
      case subprogram: out.nodes.push_back({Node::Scope, field(4), field(1)}); break;
      case lexical_block:
      case lexical_block_file: out.nodes.push_back({Node::Scope, field(2), field(1)}); break;
      default: out.nodes.push_back({}); break;
    }
    if (out.nodes.size() > 0x7fffffff) return c.fail("too much metadata");
  }
  return !c.failed();
}

}  // namespace

const DebugScopes::Node* DebugScopes::node(uint32_t number) const {
  if (number < first) return outer ? outer->node(number) : nullptr;
  return number - first < nodes.size() ? &nodes[number - first] : nullptr;
}

std::string_view DebugScopes::text(uint32_t number_plus_one) const {
  if (number_plus_one == 0) return {};
  const uint32_t number = number_plus_one - 1;
  if (number < first) return outer ? outer->text(number_plus_one) : std::string_view{};
  if (number - first >= nodes.size() || nodes[number - first].kind != Node::Text) return {};
  return strings[nodes[number - first].a];
}

uint32_t DebugScopes::file_of(uint32_t scope_plus_one) const {
  for (int depth = 0; depth < 256 && scope_plus_one != 0; depth++) {
    const Node* n = node(scope_plus_one - 1);
    if (!n || n->kind != Node::Scope) return none;
    if (n->a) {
      const Node* f = node(n->a - 1);
      return f && f->kind == Node::File ? n->a - 1 : none;
    }
    scope_plus_one = n->b;
  }
  return none;
}

DebugScopes::SourceFile DebugScopes::file(uint32_t number) const {
  const Node* n = node(number);
  if (!n || n->kind != Node::File) return {};
  return {text(n->a), text(n->b)};
}

std::vector<ModuleFlag> module_flags(const DebugScopes& module) {
  using Node = DebugScopes::Node;
  std::vector<ModuleFlag> out;
  for (uint32_t number : module.flags) {
    const Node* n = module.node(number);
    if (!n || n->kind != Node::Triple) continue;
    const uint32_t* operands = module.triples[n->a].operands;
    ModuleFlag flag;
    flag.name = module.text(operands[1]);
    flag.text = module.text(operands[2]);
    const Node* v = operands[2] ? module.node(operands[2] - 1) : nullptr;
    if (v && v->kind == Node::Value) flag.value = v->a;
    out.push_back(flag);
  }
  return out;
}

Result<DebugScopes> read_scopes(const Module& m) {
  DebugScopes out;
  if (m.metadata_bit == 0) return out;
  Cursor c(m.stream, &m.block_info);
  c.seek_block(m.metadata_bit, block_metadata);
  if (!read_block(c, out)) return c.failure();
  return out;
}

Result<void> read_body_scopes(const Module& m, const DebugScopes& outer, uint32_t body, DebugScopes& out) {
  out.nodes.clear();
  out.strings.clear();
  out.triples.clear();
  out.flags.clear();
  out.first = outer.end();
  out.outer = &outer;
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
