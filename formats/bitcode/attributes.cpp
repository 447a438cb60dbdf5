// Attribute groups and lists (PARAMATTR_GROUP_BLOCK, PARAMATTR_BLOCK). A group is a set of attributes for one position
// (the function, its result, a parameter); a list names groups. Attribute kinds that are not known are kept by number.
#include "formats/bitcode/reader_parts.h"

namespace lode::formats::bitcode {

namespace {

constexpr const char* groups_name = "PARAMATTR_GROUP";
constexpr const char* lists_name = "PARAMATTR";

// A zero-terminated string inside a record.
bool take_text(Cursor& c, Module& m, uint32_t& i, std::string_view& out) {
  uint32_t begin = i;
  while (i < c.size() && c[i] != 0) i++;
  if (i == c.size()) return false;
  char* p = m.text.allocate(i - begin);
  for (uint32_t k = begin; k < i; k++) p[k - begin] = char(c[k]);
  out = {p, i - begin};
  i++;
  return true;
}

// Steps over the bounds of a constant range of `width` bits.
bool skip_range(const Cursor& c, uint32_t& i, uint64_t width) {
  if (i >= c.size()) return false;
  uint64_t words = 2;
  if (width > 64) {
    uint64_t both = c[i];
    words = 1 + (both & 0xffffffff) + (both >> 32);
  }
  if (words > c.size() - i) return false;
  i += uint32_t(words);
  return true;
}

}  // namespace

bool read_attribute_groups(Cursor& c, Module& m) {
  if (!c.enter_block()) return false;
  while (c.next_record()) {
    if (c.code() != 3) return c.fail_unknown(groups_name);
    if (c.size() < 2 || c[0] > 0xffffff || c[1] > 0xffffffff) return c.fail_malformed(groups_name);
    AttributeGroup g;
    g.index = uint32_t(c[1]);
    g.first = uint32_t(m.attributes.size());
    for (uint32_t i = 2; i < c.size();) {
      uint64_t form = c[i++];
      Attribute a;
      if (form == 3 || form == 4) {
        a.form = Attribute::String;
        if (!take_text(c, m, i, a.key) || (form == 4 && !take_text(c, m, i, a.text)))
          return c.fail_malformed(groups_name);
      } else {
        if (i >= c.size() || c[i] > 0xffffffff) return c.fail_malformed(groups_name);
        a.kind = uint32_t(c[i++]);
        switch (form) {
          case 0: break;
          case 1:
            if (i >= c.size()) return c.fail_malformed(groups_name);
            a.form = Attribute::Integer;
            a.value = c[i++];
            break;
          case 5:
          case 6:
            a.form = Attribute::Type;
            a.value = none;
            if (form == 6) {
              if (i >= c.size()) return c.fail_malformed(groups_name);
              a.value = c[i++];
            }
            break;
          case 7: {  // one constant range
            if (i >= c.size()) return c.fail_malformed(groups_name);
            uint64_t width = c[i++];
            a.form = Attribute::Range;
            if (!skip_range(c, i, width)) return c.fail_malformed(groups_name);
            break;
          }
          case 8: {  // several of one width
            if (c.size() - i < 2) return c.fail_malformed(groups_name);
            uint64_t n = c[i++], width = c[i++];
            a.form = Attribute::Range;
            if (n > c.size()) return c.fail_malformed(groups_name);
            for (uint64_t k = 0; k < n; k++)
              if (!skip_range(c, i, width)) return c.fail_malformed(groups_name);
            break;
          }
          default: return c.fail_malformed(groups_name);
        }
      }
      m.attributes.push_back(a);
    }
    g.count = uint32_t(m.attributes.size()) - g.first;
    // Group ids are dense in practice; the array is indexed by id until finish_attributes checks the lists.
    uint64_t id = c[0];
    if (id > m.stream.size()) return c.fail_malformed(groups_name);
    if (m.attribute_groups.size() <= id) m.attribute_groups.resize(id + 1);
    m.attribute_groups[id] = g;
  }
  return !c.failed();
}

bool read_attribute_lists(Cursor& c, Module& m) {
  if (!c.enter_block()) return false;
  while (c.next_record()) {
    if (c.code() != 2) return c.fail_unknown(lists_name);
    m.attribute_lists.push_back({uint32_t(m.attribute_list_groups.size()), c.size()});
    for (uint64_t id : c.ops()) {
      if (id > 0xffffffff) return c.fail_malformed(lists_name);
      m.attribute_list_groups.push_back(uint32_t(id));
    }
  }
  return !c.failed();
}

bool finish_attributes(Cursor& c, Module& m) {
  for (uint32_t id : m.attribute_list_groups)
    if (id >= m.attribute_groups.size()) return c.fail("attribute group that does not exist");
  for (Attribute& a : m.attributes)
    if (a.form == Attribute::Type && a.value != none && a.value >= m.types.size())
      return c.fail("attribute with a type that does not exist");
  return true;
}

std::span<const Attribute> Module::attributes_of(uint32_t list, uint32_t index) const {
  if (list >= attribute_lists.size()) return {};
  auto [first, count] = attribute_lists[list];
  for (uint32_t i = 0; i < count; i++) {
    const AttributeGroup& g = attribute_groups[attribute_list_groups[first + i]];
    if (g.index == index) return {attributes.data() + g.first, g.count};
  }
  return {};
}

const Attribute* Module::find_attribute(uint32_t list, uint32_t index, uint32_t kind) const {
  for (const Attribute& a : attributes_of(list, index))
    if (a.form != Attribute::String && a.kind == kind) return &a;
  return nullptr;
}

const Attribute* Module::find_attribute(uint32_t list, uint32_t index, std::string_view key) const {
  for (const Attribute& a : attributes_of(list, index))
    if (a.form == Attribute::String && a.key == key) return &a;
  return nullptr;
}

}  // namespace lode::formats::bitcode
