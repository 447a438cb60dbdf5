// The reader: sections in file order (core specification 5.5), then the custom sections that describe them.
//
// Custom sections are read after the others, so that their order in the file does not matter: "linking" first, since
// "reloc.*" refers to its symbols. A name section that is damaged is an error like any other; unknown custom sections
// are kept as they are.
#include "formats/wasm/reader.h"

#include <cstring>
#include <string>

#include "base/bytes.h"

namespace lode::formats::wasm {

namespace {

// A place in a span that remembers failure: reads after the end give zeros and set `bad`, and every loop checks it.
class Cursor {
 public:
  Cursor(Bytes bytes, size_t at = 0) : bytes_(bytes), at_(at) {}
  bool bad = false;

  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }
  bool done() const { return at_ >= bytes_.size(); }
  uint8_t byte() {
    if (done()) return fail();
    return bytes_[at_++];
  }
  // Unsigned LEB128 of at most `bits` bits.
  uint64_t uleb(unsigned bits) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
      if (done()) return fail();
      uint8_t b = bytes_[at_++];
      if (shift + 7 > bits && ((b & 0x7f) >> (bits - shift))) return fail();
      v |= uint64_t(b & 0x7f) << shift;
      if (!(b & 0x80)) return v;
    }
    return fail();
  }
  uint32_t u32() { return uint32_t(uleb(32)); }
  uint64_t u64() { return uleb(64); }
  int64_t sleb(unsigned bits) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
      if (done()) return int64_t(fail());
      uint8_t b = bytes_[at_++];
      v |= uint64_t(b & 0x7f) << shift;
      if (!(b & 0x80)) {
        unsigned have = shift + 7 < 64 ? shift + 7 : 64;
        return sign_extend(v, have);
      }
    }
    return int64_t(fail());
  }
  Bytes take(uint64_t n) {
    if (n > left()) {
      fail();
      return {};
    }
    Bytes b = bytes_.subspan(at_, n);
    at_ += n;
    return b;
  }
  std::string_view name() {
    Bytes b = take(u32());
    return {reinterpret_cast<const char*>(b.data()), b.size()};
  }
  // A vector's length; each element takes at least one byte, which bounds what is worth reserving.
  uint32_t count() {
    uint32_t n = u32();
    if (n > left()) fail();
    return bad ? 0 : n;
  }
  Bytes from(size_t begin) const { return bytes_.subspan(begin, at_ - begin); }

 private:
  uint8_t fail() {
    bad = true;
    at_ = bytes_.size();
    return 0;
  }
  Bytes bytes_;
  size_t at_;
};

bool is_value_type(uint8_t t) { return (t >= 0x7b && t <= 0x7f) || t == 0x70 || t == 0x6f || t == 0x69; }
bool is_reference_type(uint8_t t) { return t == 0x70 || t == 0x6f || t == 0x69; }

class Reader {
 public:
  explicit Reader(Bytes file) { m.file = file; }
  Module m;

  Result<void> run() {
    if (!is_wasm(m.file)) return error("not a WebAssembly module");
    if (m.file.size() > UINT32_MAX) return error("larger than 4 GiB");
    LODE_TRY(split());
    for (Section& s : m.sections)
      if (s.id != SectionId::custom) LODE_TRY(known(s));
    if (m.functions.size() != m.bodies.size()) return error("function and code section have different lengths");
    if (m.has_data_count && m.data_count != m.segments.size()) return error("data count and data section disagree");
    m.function_comdat.assign(m.bodies.size(), ~0u);
    m.section_comdat.assign(m.sections.size(), ~0u);
    for (const Export& e : m.exports)
      if (e.index >= space(e.kind)) return error("export of \"" + std::string(e.name) + "\": index out of range");
    if (m.start != ~0u && m.start >= m.function_count()) return error("start section: function index out of range");
    for (Section& s : m.sections)
      if (s.id == SectionId::custom && s.name == "linking") LODE_TRY(linking(s));
    for (Section& s : m.sections)
      if (s.id == SectionId::custom) LODE_TRY(custom(s));
    return {};
  }

 private:
  uint32_t space(ExternalKind k) const {
    switch (k) {
      case ExternalKind::function: return m.function_count();
      case ExternalKind::table: return m.table_count();
      case ExternalKind::memory: return m.memory_count();
      case ExternalKind::global: return m.global_count();
      default: return m.tag_count();
    }
  }

  Error damaged(const Section& s, const std::string& what) const {
    static const char* names[] = {"custom", "type", "import", "function", "table", "memory", "global",
                                  "export", "start", "element", "code", "data", "data count", "tag"};
    std::string name = s.id == SectionId::custom ? "custom section " + std::string(s.name)
                                                 : std::string(names[unsigned(s.id)]) + " section";
    return error(name + " at offset " + std::to_string(s.offset) + ": " + what);
  }

  Result<void> split() {
    Cursor c(m.file, 8);
    unsigned last_order = 0;
    while (!c.done()) {
      Section s;
      size_t begin = c.at();
      uint8_t id = c.byte();
      uint32_t size = c.u32();
      if (c.bad || size > c.left())
        return error("section at offset " + std::to_string(begin) + " reaches beyond the end of the file");
      if (id > unsigned(SectionId::tag))
        return error("unknown section id " + std::to_string(id) + " at offset " + std::to_string(begin));
      s.id = SectionId(id);
      s.offset = uint32_t(c.at());
      s.size = size;
      Cursor inner(c.take(size));
      if (s.id == SectionId::custom) {
        s.name = inner.name();
        if (inner.bad) return error("custom section at offset " + std::to_string(begin) + ": damaged name");
        s.offset += uint32_t(inner.at());
        s.size -= uint32_t(inner.at());
      } else {
        // 5.5.16: in this order, each at most once; tag stands between memory and global, data count before code
        static constexpr uint8_t order[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 11, 6};
        if (order[id] <= last_order)
          return error("section " + std::to_string(id) + " at offset " + std::to_string(begin) + " out of order");
        last_order = order[id];
      }
      m.sections.push_back(std::move(s));
    }
    return {};
  }

  Limits limits(Cursor& c) {
    Limits l;
    l.flags = c.byte();
    if (l.flags > 7) c.bad = true;
    unsigned bits = l.flags & limits_flags::is_64 ? 64 : 32;
    l.min = c.uleb(bits);
    if (l.flags & limits_flags::has_max) l.max = c.uleb(bits);
    return l;
  }
  TableType table_type(Cursor& c) {
    TableType t;
    t.element = c.byte();
    if (!is_reference_type(t.element)) c.bad = true;
    t.limits = limits(c);
    return t;
  }
  GlobalType global_type(Cursor& c) {
    GlobalType g;
    g.type = c.byte();
    uint8_t mut = c.byte();
    if (!is_value_type(g.type) || mut > 1) c.bad = true;
    g.is_mutable = mut;
    return g;
  }

  ConstExpr const_expr(Cursor& c) {
    ConstExpr e;
    size_t begin = c.at();
    unsigned instructions = 0;
    for (;;) {
      uint8_t op = c.byte();
      if (c.bad) return e;
      if (op == 0x0b) break;
      instructions++;
      using K = ConstExpr::Kind;
      switch (op) {
        case 0x41: e.kind = K::i32; e.value = uint64_t(c.sleb(32)); break;
        case 0x42: e.kind = K::i64; e.value = uint64_t(c.sleb(64)); break;
        case 0x43: {
          Bytes b = c.take(4);
          e.kind = K::f32;
          if (!c.bad) e.value = load_le<uint32_t>(b.data());
          break;
        }
        case 0x44: {
          Bytes b = c.take(8);
          e.kind = K::f64;
          if (!c.bad) e.value = load_le<uint64_t>(b.data());
          break;
        }
        case 0x23: e.kind = K::global_get; e.value = c.u32(); break;
        case 0xd0: e.kind = K::ref_null; e.value = c.byte(); break;
        case 0xd2: e.kind = K::ref_func; e.value = c.u32(); break;
        case 0x6a: case 0x6b: case 0x6c: case 0x7c: case 0x7d: case 0x7e: break;  // extended-const
        case 0xfd:
          if (c.u32() != 12) c.bad = true;
          c.take(16);
          instructions++;
          break;
        default: c.bad = true;
      }
      if (c.bad) return e;
    }
    if (instructions != 1) e.kind = ConstExpr::Kind::other;
    e.bytes = c.from(begin);
    return e;
  }

  Result<void> known(Section& s) {
    Cursor c(m.payload(s));
    uint32_t number = uint32_t(&s - m.sections.data());
    switch (s.id) {
      case SectionId::type: {
        uint32_t n = c.count();
        for (uint32_t i = 0; i < n && !c.bad; i++) {
          if (uint8_t form = c.byte(); form != 0x60)
            return damaged(s, "type " + std::to_string(i) + " is no function type");
          size_t begin = c.at();
          for (int list = 0; list < 2; list++) {
            uint32_t types = c.count();
            for (uint32_t k = 0; k < types && !c.bad; k++)
              if (!is_value_type(c.byte()))
                return damaged(s, "type " + std::to_string(i) + " has an unknown value type");
          }
          if (!c.bad) m.types.push_back(c.from(begin));
        }
        break;
      }
      case SectionId::import: {
        uint32_t n = c.count();
        for (uint32_t i = 0; i < n && !c.bad; i++) {
          Import im;
          im.module = c.name();
          im.name = c.name();
          uint8_t kind = c.byte();
          if (kind > 4) return damaged(s, "import " + std::to_string(i) + " is of unknown kind");
          im.kind = ExternalKind(kind);
          switch (im.kind) {
            case ExternalKind::function:
              im.type = c.u32();
              m.imported_functions++;
              break;
            case ExternalKind::table:
              im.table = table_type(c);
              m.imported_tables++;
              break;
            case ExternalKind::memory:
              im.memory = limits(c);
              m.imported_memories++;
              break;
            case ExternalKind::global:
              im.global = global_type(c);
              m.imported_globals++;
              break;
            case ExternalKind::tag:
              if (c.byte() != 0) c.bad = true;
              im.type = c.u32();
              m.imported_tags++;
              break;
          }
          if ((kind == 0 || kind == 4) && im.type >= m.types.size())
            return damaged(s, "import " + std::to_string(i) + ": type index out of range");
          m.import_index[kind].push_back(uint32_t(m.imports.size()));
          m.imports.push_back(im);
        }
        break;
      }
      case SectionId::function: {
        uint32_t n = c.count();
        for (uint32_t i = 0; i < n && !c.bad; i++) {
          m.functions.push_back(c.u32());
          if (m.functions.back() >= m.types.size()) return damaged(s, "type index out of range");
        }
        break;
      }
      case SectionId::table: {
        uint32_t n = c.count();
        for (uint32_t i = 0; i < n && !c.bad; i++) m.tables.push_back(table_type(c));
        break;
      }
      case SectionId::memory: {
        uint32_t n = c.count();
        for (uint32_t i = 0; i < n && !c.bad; i++) m.memories.push_back(limits(c));
        break;
      }
      case SectionId::tag: {
        uint32_t n = c.count();
        for (uint32_t i = 0; i < n && !c.bad; i++) {
          if (c.byte() != 0) c.bad = true;
          m.tags.push_back(c.u32());
          if (!c.bad && m.tags.back() >= m.types.size()) return damaged(s, "type index out of range");
        }
        break;
      }
      case SectionId::global: {
        uint32_t n = c.count();
        for (uint32_t i = 0; i < n && !c.bad; i++) {
          GlobalType t = global_type(c);
          m.globals.push_back({t, const_expr(c)});
        }
        break;
      }
      case SectionId::export_: {
        uint32_t n = c.count();
        for (uint32_t i = 0; i < n && !c.bad; i++) {
          Export e;
          e.name = c.name();
          uint8_t kind = c.byte();
          if (kind > 4) c.bad = true;
          e.kind = ExternalKind(kind);
          e.index = c.u32();
          m.exports.push_back(e);
        }
        break;
      }
      case SectionId::start: m.start = c.u32(); break;
      case SectionId::element: LODE_TRY(elements(s, c)); break;
      case SectionId::code: {
        m.code_section = number;
        uint32_t n = c.count();
        for (uint32_t i = 0; i < n && !c.bad; i++) {
          Body b;
          b.offset = uint32_t(c.at());
          uint32_t size = c.u32();
          b.begin = uint32_t(c.at());
          c.take(size);
          b.end = uint32_t(c.at());
          if (size == 0) c.bad = true;
          m.bodies.push_back(b);
        }
        break;
      }
      case SectionId::data: {
        m.data_section = number;
        uint32_t n = c.count();
        for (uint32_t i = 0; i < n && !c.bad; i++) {
          DataSegment d;
          d.flags = c.u32();
          if (d.flags > 2) c.bad = true;
          if (d.flags == 2) d.memory = c.u32();
          if (d.flags != 1) d.offset = const_expr(c);
          uint32_t size = c.u32();
          d.begin = uint32_t(c.at());
          c.take(size);
          d.end = uint32_t(c.at());
          m.segments.push_back(d);
        }
        break;
      }
      case SectionId::data_count:
        m.has_data_count = true;
        m.data_count = c.u32();
        break;
      case SectionId::custom: break;
    }
    if (c.bad) return damaged(s, "damaged or cut short");
    if (!c.done()) return damaged(s, "has bytes after its end");
    return {};
  }

  // 5.5.12: the low three bits of the flags say passive or declarative, explicit index, expressions.
  Result<void> elements(Section& s, Cursor& c) {
    uint32_t n = c.count();
    for (uint32_t i = 0; i < n && !c.bad; i++) {
      Element e;
      e.flags = c.u32();
      if (e.flags > 7) return damaged(s, "unknown flags");
      bool passive = e.flags & 1, explicit_index = e.flags & 2, expressions = e.flags & 4;
      if (!passive) {
        if (explicit_index) e.table = c.u32();
        e.offset = const_expr(c);
      }
      if (passive || explicit_index) {
        uint8_t kind = c.byte();
        if (expressions ? !is_reference_type(kind) : kind != 0) return damaged(s, "unknown element kind");
      }
      uint32_t items = c.count();
      for (uint32_t k = 0; k < items && !c.bad; k++) {
        uint32_t f = ~0u;
        if (!expressions) {
          f = c.u32();
        } else {
          ConstExpr x = const_expr(c);
          if (x.kind == ConstExpr::Kind::ref_func) f = uint32_t(x.value);
        }
        if (f != ~0u && f >= m.function_count()) return damaged(s, "function index out of range");
        e.functions.push_back(f);
      }
      m.elements.push_back(std::move(e));
    }
    return {};
  }

  // Calls f(kind, cursor) for each subsection of `s` from `at` on.
  template <class F>
  Result<void> subsections(const Section& s, size_t at, F&& f) {
    Cursor c(m.payload(s), at);
    while (!c.done()) {
      uint8_t kind = c.byte();
      uint32_t size = c.u32();
      if (c.bad || size > c.left()) return damaged(s, "subsection " + std::to_string(kind) + " reaches beyond the end");
      Cursor inner(c.take(size));
      LODE_TRY(f(kind, inner));
      if (inner.bad) return damaged(s, "subsection " + std::to_string(kind) + " is damaged");
    }
    return {};
  }

  Result<void> linking(Section& s) {
    m.relocatable = true;
    Cursor c(m.payload(s));
    uint32_t version = c.u32();
    if (version != linking_version)
      return damaged(s, "version " + std::to_string(version) + " is not supported (version 2 is)");
    return subsections(s, c.at(), [&](uint8_t kind, Cursor& c) -> Result<void> {
      switch (LinkingSubsection(kind)) {
        case LinkingSubsection::segment_info: {
          uint32_t n = c.count();
          if (n > m.segments.size()) return damaged(s, "more segments than the data section has");
          for (uint32_t i = 0; i < n && !c.bad; i++) {
            DataSegment& d = m.segments[i];
            d.name = c.name();
            d.align_log2 = c.u32();
            d.info_flags = c.u32();
            if (d.align_log2 > 31) return damaged(s, "segment " + std::to_string(i) + ": alignment out of range");
          }
          break;
        }
        case LinkingSubsection::init_funcs: {
          uint32_t n = c.count();
          for (uint32_t i = 0; i < n && !c.bad; i++) {
            uint32_t priority = c.u32();
            m.init_functions.push_back({priority, c.u32()});
          }
          break;
        }
        case LinkingSubsection::comdat_info: {
          uint32_t n = c.count();
          for (uint32_t i = 0; i < n && !c.bad; i++) {
            Comdat group;
            group.name = c.name();
            if (c.u32() != 0) return damaged(s, "comdat flags are not supported");
            uint32_t entries = c.count();
            for (uint32_t k = 0; k < entries && !c.bad; k++) {
              uint8_t entry = c.byte();
              uint32_t index = c.u32();
              bool known = true;
              switch (ComdatKind(entry)) {
                case ComdatKind::data:
                  if (index >= m.segments.size()) known = false;
                  else m.segments[index].comdat = i;
                  break;
                case ComdatKind::function:
                  if (index < m.imported_functions || index >= m.function_count()) known = false;
                  else m.function_comdat[index - m.imported_functions] = i;
                  break;
                case ComdatKind::section:
                  if (index >= m.sections.size()) known = false;
                  else m.section_comdat[index] = i;
                  break;
                default: known = false;
              }
              if (!known) return damaged(s, "comdat \"" + std::string(group.name) + "\" has a member out of range");
              group.entries.push_back({ComdatKind(entry), index});
            }
            m.comdats.push_back(std::move(group));
          }
          break;
        }
        case LinkingSubsection::symbol_table: LODE_TRY(symbols(s, c)); break;
        default: break;
      }
      return {};
    });
  }

  Result<void> symbols(Section& s, Cursor& c) {
    uint32_t n = c.count();
    m.symbols.reserve(n);
    for (uint32_t i = 0; i < n && !c.bad; i++) {
      Symbol y;
      uint8_t kind = c.byte();
      if (kind > unsigned(SymbolKind::table)) return damaged(s, "symbol " + std::to_string(i) + " is of unknown kind");
      y.kind = SymbolKind(kind);
      y.flags = c.u32();
      auto bad = [&](const char* what) {
        return damaged(s, "symbol " + std::to_string(i) + " \"" + std::string(y.name) + "\": " + what);
      };
      if ((y.flags & symbol_flags::binding_mask) == 3) return bad("unknown binding");
      switch (y.kind) {
        case SymbolKind::data:
          y.name = c.name();
          if (!y.undefined()) {
            y.element = c.u32();
            y.offset = c.u64();
            y.size = c.u64();
            if (!(y.flags & symbol_flags::absolute)) {
              if (y.element >= m.segments.size()) return bad("segment out of range");
              uint64_t size = m.segments[y.element].end - m.segments[y.element].begin;
              if (y.offset > size) return bad("offset beyond its segment");
            }
          }
          break;
        case SymbolKind::section:
          y.element = c.u32();
          if (y.element >= m.sections.size()) return bad("section out of range");
          y.name = m.sections[y.element].name;
          break;
        default: {
          static constexpr ExternalKind kinds[] = {
              ExternalKind::function, {}, ExternalKind::global, {}, ExternalKind::tag, ExternalKind::table};
          ExternalKind external = kinds[kind];
          y.element = c.u32();
          uint32_t imported = uint32_t(m.import_index[unsigned(external)].size());
          if (y.element >= space(external)) return bad("index out of range");
          if (y.undefined() != (y.element < imported)) return bad("defined and imported at once");
          if (!y.undefined() || (y.flags & symbol_flags::explicit_name))
            y.name = c.name();
          else
            y.name = m.import_of(external, y.element).name;
        }
      }
      m.symbols.push_back(y);
    }
    return {};
  }

  Result<void> relocs(Section& s) {
    Cursor c(m.payload(s));
    uint32_t target = c.u32();
    uint32_t n = c.count();
    if (c.bad || target >= m.sections.size()) return damaged(s, "names a section that is not there");
    Section& section = m.sections[target];
    // The linker walks them beside the functions or segments that they are in: they are in one order.
    if (!section.relocs.empty()) return damaged(s, "is the second with relocations of one section");
    section.relocs.reserve(n);
    uint32_t last = 0;
    for (uint32_t i = 0; i < n && !c.bad; i++) {
      Reloc r;
      uint8_t type = c.byte();
      auto bad = [&](const char* what) { return damaged(s, "relocation " + std::to_string(i) + ": " + what); };
      if (type >= reloc_type_count) return bad("unknown type");
      r.type = RelocType(type);
      const RelocInfo& info = wasm::info(r.type);
      r.offset = c.u32();
      r.index = c.u32();
      if (info.has_addend) r.addend = c.sleb(64);
      if (c.bad) break;
      if (r.offset < last) return bad("not in the order of offsets");
      last = r.offset;
      if (uint64_t(r.offset) + field_size(info.field) > section.size)
        return bad("offset beyond the end of its section");
      if (r.type == RelocType::type_index_leb) {
        if (r.index >= m.types.size()) return bad("type index out of range");
      } else {
        if (r.index >= m.symbols.size()) return bad("symbol index out of range");
        SymbolKind kind = m.symbols[r.index].kind;
        bool fits = true;
        switch (info.target) {
          case RelocTarget::function: case RelocTarget::table_slot:
          case RelocTarget::function_offset: fits = kind == SymbolKind::function; break;
          case RelocTarget::memory: fits = kind == SymbolKind::data; break;
          case RelocTarget::global:
            fits = kind == SymbolKind::global || kind == SymbolKind::data || kind == SymbolKind::function;
            break;
          case RelocTarget::section_offset: fits = kind == SymbolKind::section; break;
          case RelocTarget::tag: fits = kind == SymbolKind::tag; break;
          case RelocTarget::table_number: fits = kind == SymbolKind::table; break;
          case RelocTarget::type: break;
        }
        if (!fits) return bad("its symbol is of another kind");
      }
      section.relocs.push_back(r);
    }
    if (c.bad) return damaged(s, "damaged or cut short");
    return {};
  }

  Result<void> custom(Section& s) {
    if (s.name.starts_with("reloc.")) return relocs(s);
    if (s.name == "name") return names(s);
    if (s.name == "producers") {
      Cursor c(m.payload(s));
      uint32_t n = c.count();
      for (uint32_t i = 0; i < n && !c.bad; i++) {
        std::string_view field = c.name();
        uint32_t values = c.count();
        for (uint32_t k = 0; k < values && !c.bad; k++) {
          std::string_view name = c.name();
          m.producers.push_back({field, name, c.name()});
        }
      }
      if (c.bad) return damaged(s, "damaged or cut short");
    } else if (s.name == "target_features") {
      m.has_features = true;
      Cursor c(m.payload(s));
      uint32_t n = c.count();
      for (uint32_t i = 0; i < n && !c.bad; i++) {
        char prefix = char(c.byte());
        if (prefix != '+' && prefix != '-' && prefix != '=') return damaged(s, "unknown prefix");
        m.features.push_back({prefix, c.name()});
      }
      if (c.bad) return damaged(s, "damaged or cut short");
    } else if (s.name == "dylink.0" || s.name == "dylink") {
      m.has_dylink = true;
    }
    // What linking refers to is checked here, when all symbols are known.
    if (s.name == "linking")
      for (const InitFunction& f : m.init_functions)
        if (f.symbol >= m.symbols.size() || m.symbols[f.symbol].kind != SymbolKind::function)
          return damaged(s, "an init function is no function symbol");
    return {};
  }

  Result<void> names(Section& s) {
    return subsections(s, 0, [&](uint8_t kind, Cursor& c) -> Result<void> {
      auto map = [&](std::vector<NamedIndex>& out) {
        uint32_t n = c.count();
        for (uint32_t i = 0; i < n && !c.bad; i++) {
          uint32_t index = c.u32();
          out.push_back({index, c.name()});
        }
      };
      switch (NameSubsection(kind)) {
        case NameSubsection::module: m.module_name = c.name(); break;
        case NameSubsection::function: map(m.function_names); break;
        case NameSubsection::global: map(m.global_names); break;
        case NameSubsection::data: map(m.data_names); break;
        default: break;
      }
      return {};
    });
  }
};

}  // namespace

uint32_t Module::function_type(uint32_t index) const {
  return index < imported_functions ? import_of(ExternalKind::function, index).type
                                    : functions[index - imported_functions];
}

bool is_wasm(Bytes file) { return file.size() >= 8 && std::memcmp(file.data(), magic, 8) == 0; }

Result<Module> read(Bytes file) {
  Reader r(file);
  LODE_TRY(r.run());
  return std::move(r.m);
}

}  // namespace lode::formats::wasm
