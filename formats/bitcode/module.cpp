// open(): the top level of the file and the MODULE block.
//
// A file is an IDENTIFICATION block, a MODULE block, then STRTAB and SYMTAB blocks in either order. Names are ranges of
// the string table, which comes last, so they are resolved at the end. Function bodies are skipped by their length
// words; they stand in the order of the function records that have one. The module-level symbol table (which would
// repeat the bodies' offsets), the summaries of thin and full LTO, use-list orders and the irsymtab blob are skipped:
// nothing here needs them.
#include <algorithm>

#include "formats/bitcode/reader_parts.h"

namespace lode::formats::bitcode {

namespace {

constexpr const char* block_name = "MODULE";

enum Code : uint32_t {
  version = 1, triple = 2, data_layout = 3, module_asm = 4, section_name = 5, dep_lib = 6, global_var = 7, function = 8,
  gc_name = 11, comdat = 12, vst_offset = 13, alias = 14, source_filename = 16, hash = 17, ifunc = 18,
};

// Linkage codes of the format; the numbers that only old files use stand for their modern forms.
constexpr Linkage linkage_of[20] = {
    Linkage::External, Linkage::WeakAny, Linkage::Appending, Linkage::Internal, Linkage::LinkOnceAny,
    Linkage::External, Linkage::External, Linkage::ExternWeak, Linkage::Common, Linkage::Private,
    Linkage::WeakOdr, Linkage::LinkOnceOdr, Linkage::AvailableExternally, Linkage::Private, Linkage::Private,
    Linkage::External, Linkage::WeakAny, Linkage::WeakOdr, Linkage::LinkOnceAny, Linkage::LinkOnceOdr,
};

// A name before the string table is known.
struct NameRange {
  uint64_t offset = 0, size = 0;
};

class ModuleReader {
 public:
  ModuleReader(Module& m) : m_(m), c_(m.stream) {}
  Result<void> run() {
    if (read_file() && finish()) return {};
    return c_.failure();
  }

 private:
  bool read_file();
  bool read_identification();
  bool read_module();
  bool read_module_record();
  bool read_global_var();
  bool read_function();
  bool read_alias();
  bool read_strings(std::vector<std::string_view>& out, const char* block);
  bool read_strtab();
  bool finish();
  bool resolve(const NameRange& r, std::string_view& out);
  bool common(Global& g, uint64_t linkage, uint64_t visibility);

  uint64_t field(uint32_t i) const { return i < c_.size() ? c_[i] : 0; }
  // Fields that hold an index plus one, or zero.
  uint32_t minus_one(uint64_t v) const { return v == 0 || v > none ? none : uint32_t(v - 1); }

  Module& m_;
  Cursor c_;
  std::vector<NameRange> names_, partitions_, comdat_names_;
  std::string_view strtab_;
  bool have_strtab_ = false, have_module_ = false, have_version_ = false;
  uint32_t bodies_seen_ = 0;
};

bool ModuleReader::read_file() {
  c_.seek(32);
  while (!c_.at_end()) {
    // Some archivers leave a few bytes behind a member.
    bool may_stop = have_module_ && c_.position() + 64 > uint64_t{m_.stream.size()} * 8;
    switch (c_.next()) {
      case Cursor::Entry::SubBlock: break;
      default: return may_stop || c_.fail("top level holds something that is not a block");
    }
    switch (c_.block_id()) {
      case block_identification:
        if (!read_identification()) return false;
        break;
      case block_module:
        if (have_module_) return c_.fail("the file holds more than one module (split LTO unit)");
        have_module_ = true;
        if (!read_module()) return false;
        break;
      case block_strtab:
        if (!read_strtab()) return false;
        break;
      default:
        if (!c_.skip_block()) return may_stop;
        break;
    }
  }
  return have_module_ || c_.fail("no module in the file");
}

bool ModuleReader::read_identification() {
  if (!c_.enter_block()) return false;
  while (c_.next_record()) {
    if (c_.code() == 1) {
      m_.producer = text_of(m_, c_);
    } else if (c_.code() == 2) {
      if (field(0) != 0) return c_.fail("bitcode of an epoch that is not known");
    } else {
      return c_.fail_unknown("IDENTIFICATION");
    }
  }
  return !c_.failed();
}

bool ModuleReader::read_strtab() {
  if (!c_.enter_block()) return false;
  while (c_.next_record()) {
    if (c_.code() != 1) return c_.fail_unknown("STRTAB");
    // The first string table behind the module is the module's.
    if (have_strtab_) continue;
    have_strtab_ = true;
    strtab_ = {reinterpret_cast<const char*>(c_.blob().data()), c_.blob().size()};
  }
  return !c_.failed();
}

bool ModuleReader::read_module() {
  if (!c_.enter_block()) return false;
  for (;;) {
    switch (c_.next()) {
      case Cursor::Entry::Failed: return false;
      case Cursor::Entry::EndBlock:
        if (!have_version_) return c_.fail("module without a version");
        if (bodies_seen_ != m_.bodies.size()) return c_.fail("fewer function bodies than functions declare");
        return true;
      case Cursor::Entry::Record:
        if (!c_.read_record() || !read_module_record()) return false;
        continue;
      case Cursor::Entry::SubBlock: break;
    }
    bool ok = true;
    switch (c_.block_id()) {
      case block_info: ok = c_.read_block_info(m_.block_info); break;
      case block_types: ok = read_types(c_, m_) && finish_types(c_, m_); break;
      case block_attribute_groups: ok = read_attribute_groups(c_, m_); break;
      case block_attribute_lists: ok = read_attribute_lists(c_, m_); break;
      case block_constants: ok = read_constants(c_, m_, m_.constants); break;
      case block_bundle_tags: ok = read_strings(m_.bundle_tags, "OPERAND_BUNDLE_TAGS"); break;
      case block_sync_scopes: ok = read_strings(m_.sync_scopes, "SYNC_SCOPE_NAMES"); break;
      case block_metadata:
        m_.metadata_bit = c_.position();
        ok = c_.skip_block();
        break;
      case block_metadata_kinds:
        m_.metadata_kinds_bit = c_.position();
        ok = c_.skip_block();
        break;
      case block_function: {
        if (bodies_seen_ >= m_.bodies.size()) return c_.fail("more function bodies than functions declare");
        BodyPlace& b = m_.bodies[bodies_seen_++];
        b.bit = c_.position();
        ok = c_.skip_block();
        b.words = uint32_t((c_.position() - b.bit) / 32);
        break;
      }
      case block_symbol_table:
      case block_use_list:
      case block_module_strtab:
      case block_summary:
      case block_full_lto_summary: ok = c_.skip_block(); break;
      default: return c_.fail("unknown block in a module");
    }
    if (!ok) return false;
  }
}

bool ModuleReader::read_strings(std::vector<std::string_view>& out, const char* block) {
  if (!c_.enter_block()) return false;
  while (c_.next_record()) {
    if (c_.code() != 1) return c_.fail_unknown(block);
    out.push_back(text_of(m_, c_));
  }
  return !c_.failed();
}

bool ModuleReader::read_module_record() {
  switch (c_.code()) {
    case version:
      if (field(0) != 2) return c_.fail("module version other than 2 (older than clang 5)");
      have_version_ = true;
      return true;
    case triple: m_.triple = text_of(m_, c_); return true;
    case data_layout: m_.data_layout = text_of(m_, c_); return true;
    case module_asm: m_.module_asm = text_of(m_, c_); return true;
    case source_filename: m_.source_file = text_of(m_, c_); return true;
    case section_name: m_.sections.push_back(text_of(m_, c_)); return true;
    case gc_name: m_.gc_names.push_back(text_of(m_, c_)); return true;
    case comdat: {
      if (c_.size() < 3) return c_.fail_malformed(block_name);
      uint64_t kind = c_[2];
      if (kind < 1 || kind > 5) kind = 1;
      comdat_names_.push_back({c_[0], c_[1]});
      m_.comdats.push_back({{}, ComdatKind(kind)});
      return true;
    }
    case global_var: return read_global_var();
    case function: return read_function();
    case alias:
    case ifunc: return read_alias();
    case dep_lib:
    case vst_offset:
    case hash: return true;
    default: return c_.fail_unknown(block_name);
  }
}

bool ModuleReader::common(Global& g, uint64_t linkage, uint64_t visibility) {
  if (!m_.constants.list.empty()) return c_.fail("global after constants");
  if (!have_version_) return c_.fail("global before the module's version");
  if (g.type >= m_.types.size()) return c_.fail_malformed(block_name);
  if (linkage >= std::size(linkage_of) || visibility > 2) return c_.fail_malformed(block_name);
  g.linkage = linkage_of[linkage];
  g.visibility = Visibility(visibility);
  bool local = g.linkage == Linkage::Internal || g.linkage == Linkage::Private;
  if (local) g.visibility = Visibility::Default;
  if (local || (g.visibility != Visibility::Default && g.linkage != Linkage::ExternWeak)) g.dso_local = true;
  names_.push_back({c_[0], c_[1]});
  m_.globals.push_back(g);
  return true;
}

// [strtab offset, size, type, constant | explicit type << 1 | address space << 2, initialiser + 1, linkage, alignment,
//  section + 1, visibility, tls, unnamed_addr, externally initialised, dll storage, comdat + 1, attributes + 1,
//  dso_local, partition offset, size, sanitiser flags, code model]
bool ModuleReader::read_global_var() {
  if (c_.size() < 8 || c_[2] >= m_.types.size()) return c_.fail_malformed(block_name);
  Global g;
  g.kind = Global::Variable;
  g.type = uint32_t(c_[2]);
  g.constant = c_[3] & 1;
  if (c_[3] & 2) {
    g.address_space = uint32_t(c_[3] >> 2);
  } else {
    const Type& t = m_.types[g.type];
    if (t.kind != TypeKind::Pointer || t.element == none) return c_.fail_malformed(block_name);
    g.address_space = uint32_t(t.count);
    g.type = t.element;
  }
  g.init = minus_one(c_[4]);
  g.declaration = g.init == none;
  if (c_[6] > 0) g.log2_align = uint8_t(std::min<uint64_t>(c_[6] - 1, 63));
  g.section = minus_one(c_[7]);
  uint64_t tls = field(9);
  g.tls = tls > 4 ? Tls::GeneralDynamic : Tls(tls);
  g.unnamed_addr = UnnamedAddr(field(10) > 2 ? 0 : field(10));
  g.externally_initialized = field(11) != 0;
  g.comdat = minus_one(field(13));
  g.attributes = minus_one(field(14));
  g.dso_local = field(15) == 1;
  g.code_model = uint32_t(field(19));
  partitions_.push_back({field(16), field(17)});
  return common(g, c_[5], field(8));
}

// [strtab offset, size, type, calling convention, declaration, linkage, attributes + 1, alignment, section + 1,
// visibility,
//  gc + 1, unnamed_addr, prologue + 1, dll storage, comdat + 1, prefix + 1, personality + 1, dso_local, address space,
//  partition offset, size]
bool ModuleReader::read_function() {
  if (c_.size() < 10 || c_[2] >= m_.types.size()) return c_.fail_malformed(block_name);
  Global g;
  g.kind = Global::Function;
  g.type = uint32_t(c_[2]);
  if (m_.types[g.type].kind == TypeKind::Pointer && m_.types[g.type].element != none) {
    g.address_space = uint32_t(m_.types[g.type].count);
    g.type = m_.types[g.type].element;
  }
  if (m_.types[g.type].kind != TypeKind::Function) return c_.fail_malformed(block_name);
  g.calling_convention = uint16_t(std::min<uint64_t>(c_[3], 0xffff));
  g.declaration = c_[4] != 0;
  g.attributes = minus_one(c_[6]);
  if (c_[7] > 0) g.log2_align = uint8_t(std::min<uint64_t>(c_[7] - 1, 63));
  g.section = minus_one(c_[8]);
  g.gc = minus_one(field(10));
  g.unnamed_addr = UnnamedAddr(field(11) > 2 ? 0 : field(11));
  g.prologue = minus_one(field(12));
  g.comdat = minus_one(field(14));
  g.prefix = minus_one(field(15));
  g.personality = minus_one(field(16));
  g.dso_local = field(17) == 1;
  g.address_space = uint32_t(field(18));
  partitions_.push_back({field(19), field(20)});
  if (!g.declaration) {
    g.body = uint32_t(m_.bodies.size());
    m_.bodies.push_back({0, uint32_t(m_.globals.size()), 0});
  }
  return common(g, c_[5], c_[9]);
}

// alias [strtab offset, size, type, address space, aliasee, linkage, visibility, dll storage, tls, unnamed_addr,
// dso_local, partition offset, size]; ifunc [strtab offset, size, type, address space, resolver, linkage, visibility,
// partition ...]
bool ModuleReader::read_alias() {
  if (c_.size() < 6 || c_[2] >= m_.types.size()) return c_.fail_malformed(block_name);
  Global g;
  g.kind = c_.code() == alias ? Global::Alias : Global::IFunc;
  g.type = uint32_t(c_[2]);
  g.address_space = uint32_t(c_[3]);
  if (c_[4] >= none) return c_.fail_malformed(block_name);
  g.init = uint32_t(c_[4]);
  if (g.kind == Global::Alias) {
    g.tls = field(8) > 4 ? Tls::GeneralDynamic : Tls(field(8));
    g.unnamed_addr = UnnamedAddr(field(9) > 2 ? 0 : field(9));
    g.dso_local = field(10) == 1;
    partitions_.push_back({field(11), field(12)});
  } else {
    partitions_.push_back({field(7), field(8)});
  }
  return common(g, c_[5], field(6));
}

bool ModuleReader::resolve(const NameRange& r, std::string_view& out) {
  if (r.size == 0) return true;
  if (r.offset > strtab_.size() || r.size > strtab_.size() - r.offset)
    return c_.fail("name outside of the string table");
  out = strtab_.substr(r.offset, r.size);
  return true;
}

bool ModuleReader::finish() {
  if (m_.types.empty() && !finish_types(c_, m_)) return false;
  if (!finish_attributes(c_, m_)) return false;
  if (uint64_t{m_.globals.size()} + m_.constants.list.size() > 0x7fffffff) return c_.fail("too many values");
  const uint32_t values = m_.value_count();
  if (!check_constants(c_, m_.constants, values, 0, 0)) return false;
  for (size_t i = 0; i < m_.comdats.size(); i++)
    if (!resolve(comdat_names_[i], m_.comdats[i].name)) return false;
  for (size_t i = 0; i < m_.globals.size(); i++) {
    Global& g = m_.globals[i];
    if (!resolve(names_[i], g.name) || !resolve(partitions_[i], g.partition)) return false;
    auto value_ok = [&](uint32_t v) { return v == none || v < values; };
    if (!value_ok(g.init) || !value_ok(g.prefix) || !value_ok(g.prologue) || !value_ok(g.personality))
      return c_.fail("global that refers to a value that does not exist");
    if (g.section != none && g.section >= m_.sections.size()) return c_.fail("section name that does not exist");
    if (g.comdat != none && g.comdat >= m_.comdats.size()) return c_.fail("comdat that does not exist");
    if (g.gc != none && g.gc >= m_.gc_names.size()) return c_.fail("garbage collector name that does not exist");
    if (g.attributes != none && g.attributes >= m_.attribute_lists.size())
      return c_.fail("attribute list that does not exist");
    if (m_.pointer_type(g.address_space) == none) {
      if (m_.pointer_types.size() > 256) return c_.fail("too many address spaces");
      m_.pointer_types.push_back(uint32_t(m_.types.size()));
      m_.types.push_back({.kind = TypeKind::Pointer, .element = none, .count = g.address_space});
      m_.type_names.push_back({});
    }
  }
  m_.value_types.reserve(values);
  for (const Global& g : m_.globals) m_.value_types.push_back(m_.pointer_type(g.address_space));
  for (const Constant& k : m_.constants.list) m_.value_types.push_back(k.type);
  return true;
}

}  // namespace

char* TextArena::allocate(size_t n) {
  if (n > left_) {
    size_t size = std::max<size_t>(n, 1 << 14);
    chunks_.push_back(std::make_unique<char[]>(size));
    next_ = chunks_.back().get();
    left_ = size;
  }
  char* p = next_;
  next_ += n;
  left_ -= n;
  return p;
}

std::string_view text_of(Module& m, const Cursor& c, uint32_t from) {
  if (from >= c.size()) return {};
  const uint32_t n = c.size() - from;
  char* p = m.text.allocate(n);
  const uint64_t* v = c.data() + from;
  for (uint32_t i = 0; i < n; i++) p[i] = char(v[i]);
  return {p, n};
}

Result<Module> open(std::span<const uint8_t> file) {
  LODE_ASSIGN(auto stream, bitstream_of(file));
  Module m;
  m.stream = stream;
  LODE_TRY(ModuleReader(m).run());
  return m;
}

}  // namespace lode::formats::bitcode
