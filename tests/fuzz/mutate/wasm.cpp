// See wasm.h.
#include "tests/fuzz/mutate/wasm.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "formats/wasm/wasm.h"

namespace lode::fuzz {

namespace {

using namespace formats::wasm;

struct Node {
  enum Kind : uint8_t {
    bytes,   // as they are
    byte,    // one byte with a meaning: a type, a kind, flags
    number,  // unsigned LEB128
    signed_number,
    sequence,
    vector,  // a count, then that many children
    block,   // a length, then children of that length together
  };
  Kind kind = bytes;
  std::vector<uint8_t> raw;                      // bytes
  uint64_t value = 0;                            // byte, number, signed_number
  unsigned width = 0;                            // of a number, when it is padded
  int64_t lie = 0;                               // vector, block: added to the count or length
  std::vector<std::unique_ptr<Node>> children;

  std::unique_ptr<Node> clone() const {
    auto n = std::make_unique<Node>();
    n->kind = kind;
    n->raw = raw;
    n->value = value;
    n->width = width;
    n->lie = lie;
    for (const auto& c : children) n->children.push_back(c->clone());
    return n;
  }
};
using NodePtr = std::unique_ptr<Node>;

void write_number(std::vector<uint8_t>& out, uint64_t v, unsigned width) {
  if (!width) return append_uleb(out, v);
  for (unsigned i = 0; i < width; i++) {
    out.push_back(uint8_t((v & 0x7f) | (i + 1 < width ? 0x80 : 0)));
    v >>= 7;
  }
}
void write(const Node& n, std::vector<uint8_t>& out) {
  switch (n.kind) {
    case Node::bytes: out.insert(out.end(), n.raw.begin(), n.raw.end()); break;
    case Node::byte: out.push_back(uint8_t(n.value)); break;
    case Node::number: write_number(out, n.value, n.width); break;
    case Node::signed_number: append_sleb(out, int64_t(n.value)); break;
    case Node::sequence:
      for (const auto& c : n.children) write(*c, out);
      break;
    case Node::vector:
      append_uleb(out, (n.children.size() + uint64_t(n.lie)) & 0xffffffff);
      for (const auto& c : n.children) write(*c, out);
      break;
    case Node::block: {
      std::vector<uint8_t> inner;
      for (const auto& c : n.children) write(*c, inner);
      append_uleb(out, (inner.size() + uint64_t(n.lie)) & 0xffffffff);
      out.insert(out.end(), inner.begin(), inner.end());
      break;
    }
  }
}

// Takes bytes apart. What does not fit what is expected stays bytes: `bad` is set and the caller takes the rest whole.
class Parser {
 public:
  Parser(const uint8_t* data, size_t size) : p_(data), end_(data + size) {}
  bool bad = false;

  size_t left() const { return size_t(end_ - p_); }
  uint8_t peek() const { return p_ < end_ ? *p_ : 0; }

  NodePtr raw(size_t n) {
    auto node = std::make_unique<Node>();
    if (n > left()) {
      bad = true;
      n = left();
    }
    node->raw.assign(p_, p_ + n);
    p_ += n;
    return node;
  }
  NodePtr byte() {
    auto node = std::make_unique<Node>();
    node->kind = Node::byte;
    if (p_ == end_) bad = true;
    else node->value = *p_++;
    return node;
  }
  NodePtr number(bool is_signed = false) {
    auto node = std::make_unique<Node>();
    node->kind = is_signed ? Node::signed_number : Node::number;
    const uint8_t* begin = p_;
    unsigned shift = 0;
    uint64_t v = 0;
    for (;;) {
      if (p_ == end_ || shift > 63) {
        bad = true;
        return node;
      }
      uint8_t b = *p_++;
      v |= uint64_t(b & 0x7f) << shift;
      shift += 7;
      if (b & 0x80) continue;
      if (is_signed && shift < 64 && (b & 0x40)) v |= ~uint64_t{0} << shift;
      break;
    }
    node->value = v;
    if (!is_signed && size_t(p_ - begin) != uleb_size(v)) node->width = unsigned(p_ - begin);
    return node;
  }
  NodePtr name() {
    auto node = std::make_unique<Node>();
    node->kind = Node::block;
    node->children.push_back(raw(size_t(number()->value)));
    return node;
  }
  template <class F>
  NodePtr vector(F element) {
    auto node = std::make_unique<Node>();
    node->kind = Node::vector;
    uint64_t n = number()->value;
    for (uint64_t i = 0; i < n && !bad; i++) {
      auto item = std::make_unique<Node>();
      item->kind = Node::sequence;
      element(*item);
      node->children.push_back(std::move(item));
    }
    return node;
  }
  // A length and a parser for what has that length.
  template <class F>
  NodePtr block(F inside) {
    auto node = std::make_unique<Node>();
    node->kind = Node::block;
    uint64_t n = number()->value;
    if (n > left()) {
      bad = true;
      return node;
    }
    fill(*node, p_, size_t(n), inside);
    p_ += n;
    return node;
  }
  template <class F>
  static void fill(Node& node, const uint8_t* data, size_t n, F inside) {
    Parser inner(data, n);
    inside(inner, node);
    if (inner.bad) node.children.clear(), inner = Parser(data, n);
    if (inner.left()) node.children.push_back(inner.raw(inner.left()));
  }

 private:
  const uint8_t* p_;
  const uint8_t* end_;
};

void limits(Parser& p, Node& n) {
  auto flags = p.byte();
  bool has_max = flags->value & limits_flags::has_max;
  n.children.push_back(std::move(flags));
  n.children.push_back(p.number());
  if (has_max) n.children.push_back(p.number());
}
void const_expr(Parser& p, Node& n) {
  for (;;) {
    auto op = p.byte();
    uint64_t v = op->value;
    n.children.push_back(std::move(op));
    if (p.bad || v == 0x0b) return;
    if (v == 0x41 || v == 0x42) n.children.push_back(p.number(true));
    else if (v == 0x43) n.children.push_back(p.raw(4));
    else if (v == 0x44) n.children.push_back(p.raw(8));
    else if (v == 0x23 || v == 0xd0 || v == 0xd2) n.children.push_back(p.number());
  }
}

void standard_section(SectionId id, Parser& p, Node& n) {
  switch (id) {
    case SectionId::type:
      n.children.push_back(p.vector([&](Node& t) {
        t.children.push_back(p.byte());
        for (int list = 0; list < 2; list++)
          t.children.push_back(p.vector([&](Node& v) { v.children.push_back(p.byte()); }));
      }));
      break;
    case SectionId::import:
      n.children.push_back(p.vector([&](Node& i) {
        i.children.push_back(p.name());
        i.children.push_back(p.name());
        auto kind = p.byte();
        uint64_t k = kind->value;
        i.children.push_back(std::move(kind));
        if (k == 1 || k == 3 || k == 4) i.children.push_back(p.byte());
        if (k == 3) i.children.push_back(p.byte());
        if (k == 0 || k == 4) i.children.push_back(p.number());
        if (k == 1 || k == 2) limits(p, i);
      }));
      break;
    case SectionId::function: n.children.push_back(p.vector([&](Node& f) { f.children.push_back(p.number()); })); break;
    case SectionId::table:
      n.children.push_back(p.vector([&](Node& t) {
        t.children.push_back(p.byte());
        limits(p, t);
      }));
      break;
    case SectionId::memory: n.children.push_back(p.vector([&](Node& m) { limits(p, m); })); break;
    case SectionId::tag:
      n.children.push_back(p.vector([&](Node& t) {
        t.children.push_back(p.byte());
        t.children.push_back(p.number());
      }));
      break;
    case SectionId::global:
      n.children.push_back(p.vector([&](Node& g) {
        g.children.push_back(p.byte());
        g.children.push_back(p.byte());
        const_expr(p, g);
      }));
      break;
    case SectionId::export_:
      n.children.push_back(p.vector([&](Node& e) {
        e.children.push_back(p.name());
        e.children.push_back(p.byte());
        e.children.push_back(p.number());
      }));
      break;
    case SectionId::start: case SectionId::data_count: n.children.push_back(p.number()); break;
    case SectionId::element:
      n.children.push_back(p.vector([&](Node& e) {
        auto flags = p.number();
        uint64_t f = flags->value;
        e.children.push_back(std::move(flags));
        if (!(f & 1)) {
          if (f & 2) e.children.push_back(p.number());
          const_expr(p, e);
        }
        if (f & 3) e.children.push_back(p.byte());
        e.children.push_back(p.vector([&](Node& item) {
          if (f & 4) const_expr(p, item);
          else item.children.push_back(p.number());
        }));
      }));
      break;
    case SectionId::code:
      n.children.push_back(p.vector([&](Node& b) {
        b.children.push_back(p.block([](Parser& q, Node& body) {
          body.children.push_back(q.vector([&](Node& l) {
            l.children.push_back(q.number());
            l.children.push_back(q.byte());
          }));
          if (!q.bad) body.children.push_back(q.raw(q.left()));
        }));
      }));
      break;
    case SectionId::data:
      n.children.push_back(p.vector([&](Node& d) {
        auto flags = p.number();
        uint64_t f = flags->value;
        d.children.push_back(std::move(flags));
        if (f == 2) d.children.push_back(p.number());
        if (f != 1) const_expr(p, d);
        d.children.push_back(p.name());
      }));
      break;
    default: break;
  }
}

void symbol(Parser& p, Node& s) {
  auto kind = p.byte();
  auto flags = p.number();
  uint64_t k = kind->value, f = flags->value;
  s.children.push_back(std::move(kind));
  s.children.push_back(std::move(flags));
  if (SymbolKind(k) == SymbolKind::data) {
    s.children.push_back(p.name());
    if (!(f & symbol_flags::undefined))
      for (int i = 0; i < 3; i++) s.children.push_back(p.number());
  } else {
    s.children.push_back(p.number());
    if (SymbolKind(k) != SymbolKind::section && (!(f & symbol_flags::undefined) || (f & symbol_flags::explicit_name)))
      s.children.push_back(p.name());
  }
}
void linking_subsection(uint64_t id, Parser& p, Node& n) {
  switch (LinkingSubsection(id)) {
    case LinkingSubsection::segment_info:
      n.children.push_back(p.vector([&](Node& s) {
        s.children.push_back(p.name());
        s.children.push_back(p.number());
        s.children.push_back(p.number());
      }));
      break;
    case LinkingSubsection::init_funcs:
      n.children.push_back(p.vector([&](Node& f) {
        f.children.push_back(p.number());
        f.children.push_back(p.number());
      }));
      break;
    case LinkingSubsection::comdat_info:
      n.children.push_back(p.vector([&](Node& c) {
        c.children.push_back(p.name());
        c.children.push_back(p.number());
        c.children.push_back(p.vector([&](Node& m) {
          m.children.push_back(p.byte());
          m.children.push_back(p.number());
        }));
      }));
      break;
    case LinkingSubsection::symbol_table: n.children.push_back(p.vector([&](Node& s) { symbol(p, s); })); break;
    default: break;
  }
}

void custom_section(std::string_view name, Parser& p, Node& n) {
  auto subsections = [&](auto inside) {
    while (p.left() && !p.bad) {
      auto id = p.byte();
      uint64_t k = id->value;
      n.children.push_back(std::move(id));
      n.children.push_back(p.block([&](Parser& q, Node& sub) { inside(k, q, sub); }));
    }
  };
  if (name == "linking") {
    n.children.push_back(p.number());
    subsections(linking_subsection);
  } else if (name.starts_with("reloc.")) {
    n.children.push_back(p.number());
    n.children.push_back(p.vector([&](Node& r) {
      auto type = p.byte();
      uint64_t t = type->value;
      r.children.push_back(std::move(type));
      r.children.push_back(p.number());
      r.children.push_back(p.number());
      if (t < reloc_type_count && info(RelocType(t)).has_addend) r.children.push_back(p.number(true));
    }));
  } else if (name == "target_features") {
    n.children.push_back(p.vector([&](Node& f) {
      f.children.push_back(p.byte());
      f.children.push_back(p.name());
    }));
  } else if (name == "producers") {
    n.children.push_back(p.vector([&](Node& f) {
      f.children.push_back(p.name());
      f.children.push_back(p.vector([&](Node& v) {
        v.children.push_back(p.name());
        v.children.push_back(p.name());
      }));
    }));
  } else if (name == "name") {
    subsections([](uint64_t k, Parser& q, Node& sub) {
      if (k == 0) sub.children.push_back(q.name());
      else if (k != 2)
        sub.children.push_back(q.vector([&](Node& m) {
          m.children.push_back(q.number());
          m.children.push_back(q.name());
        }));
    });
  }
}

// The module without its header: section ids and blocks by turns.
NodePtr parse_module(const std::vector<uint8_t>& file) {
  auto root = std::make_unique<Node>();
  root->kind = Node::sequence;
  Parser p(file.data() + 8, file.size() - 8);
  while (p.left() && !p.bad) {
    auto section = std::make_unique<Node>();
    section->kind = Node::sequence;
    auto id = p.byte();
    uint64_t k = id->value;
    section->children.push_back(std::move(id));
    section->children.push_back(p.block([&](Parser& q, Node& body) {
      if (k != 0) return standard_section(SectionId(k), q, body);
      auto name = q.name();
      std::string text;
      if (!q.bad) text.assign(name->children[0]->raw.begin(), name->children[0]->raw.end());
      body.children.push_back(std::move(name));
      custom_section(text, q, body);
    }));
    root->children.push_back(std::move(section));
  }
  if (p.left()) root->children.push_back(p.raw(p.left()));
  return root;
}

// What can be changed, grouped by section, so that a large code section does not get all the changes.
struct Places {
  std::vector<Node*> scalars, vectors, blocks, raws;
};
void gather(Node& n, Places& out) {
  switch (n.kind) {
    case Node::byte: case Node::number: case Node::signed_number: out.scalars.push_back(&n); break;
    case Node::vector: out.vectors.push_back(&n); break;
    case Node::block: out.blocks.push_back(&n); break;
    case Node::bytes:
      if (!n.raw.empty()) out.raws.push_back(&n);
      break;
    case Node::sequence: break;
  }
  for (auto& c : n.children) gather(*c, out);
}

void change_scalar(Node& n, const Places& places, Random& random) {
  switch (random.below(6)) {
    case 0: n.value = random.boundary(); break;
    case 1: n.value += random.below(5) - 2; break;
    case 2: n.value ^= uint64_t{1} << random.below(n.kind == Node::byte ? 8 : 32); break;
    case 3: n.value = random.below(n.kind == Node::byte ? 128 : 24); break;
    case 4: n.value = places.scalars[random.below(places.scalars.size())]->value; break;
    default: n.value = random.one_in(2) ? 0xffffffff : 0x7fffffff + random.below(3); break;
  }
  if (n.kind == Node::number && !random.one_in(8)) n.value &= 0xffffffff;
  if (n.kind == Node::number && n.width && n.width < 10 && n.value >> (7 * n.width)) n.width = 0;
  if (n.kind == Node::number && random.one_in(20)) n.width = unsigned(random.below(11));
}
void change_vector(Node& n, Random& random) {
  auto& list = n.children;
  if (list.empty() || random.one_in(12)) {
    n.lie = int64_t(random.one_in(2) ? random.boundary() : random.below(5) - 2);
    return;
  }
  size_t at = random.below(list.size());
  switch (random.below(4)) {
    case 0: list.insert(list.begin() + ptrdiff_t(random.below(list.size() + 1)), list[at]->clone()); break;
    case 1: list.erase(list.begin() + ptrdiff_t(at)); break;
    case 2: std::swap(list[at], list[random.below(list.size())]); break;
    default: list[at] = list[random.below(list.size())]->clone(); break;
  }
}

}  // namespace

void mutate_wasm(std::vector<uint8_t>& file, Random& random) {
  if (file.size() < 8 || std::memcmp(file.data(), "\0asm", 4) != 0) {
    if (!file.empty()) file[random.below(file.size())] = uint8_t(random.next());
    return;
  }
  NodePtr root = parse_module(file);
  if (root->children.empty()) return;
  if (random.one_in(16)) {
    change_vector(*root, random);
    root->lie = 0;
  } else {
    Places all;
    gather(*root->children[random.below(root->children.size())], all);
    uint64_t kind = random.below(16);
    if (kind < 10 && !all.scalars.empty()) change_scalar(*all.scalars[random.below(all.scalars.size())], all, random);
    else if (kind < 13 && !all.vectors.empty()) change_vector(*all.vectors[random.below(all.vectors.size())], random);
    else if (kind == 13 && !all.blocks.empty())
      all.blocks[random.below(all.blocks.size())]->lie =
          int64_t(random.one_in(2) ? random.boundary() : random.below(9) - 4);
    else if (!all.raws.empty()) {
      Node& n = *all.raws[random.below(all.raws.size())];
      n.raw[random.below(n.raw.size())] =
          uint8_t(random.one_in(3) ? random.next() : random.pick(std::string_view("\0\x0b\x80\xff@._", 7)));
    }
  }
  std::vector<uint8_t> out(file.begin(), file.begin() + 8);
  write(*root, out);
  file = std::move(out);
}

}  // namespace lode::fuzz
