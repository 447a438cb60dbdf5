// Reader of WebAssembly modules and relocatable objects.
//
// read() takes the whole file apart into flat tables; names, bodies and contents are views into the file, which must
// outlive the result. Function bodies are not decoded. Every index that another table is entered with is checked here:
// type indices, symbol elements, relocation offsets and targets, comdat members; so users index without fear. Errors
// name the section and the offset.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/wasm/wasm.h"

namespace lode::formats::wasm {

using Bytes = std::span<const uint8_t>;

struct Limits {
  uint8_t flags = 0;  // limits_flags
  uint64_t min = 0, max = 0;
};
struct GlobalType {
  uint8_t type = 0;  // value type byte
  bool is_mutable = false;
};
struct TableType {
  uint8_t element = 0;  // reference type byte
  Limits limits;
};

struct Import {
  std::string_view module, name;
  ExternalKind kind{};
  uint32_t type = 0;  // function, tag: type index
  GlobalType global;
  TableType table;
  Limits memory;
};

// A constant expression: its bytes with the final end, and its value where it is one simple constant.
struct ConstExpr {
  enum class Kind : uint8_t { i32, i64, f32, f64, global_get, ref_null, ref_func, other };
  Kind kind = Kind::other;
  uint64_t value = 0;  // the constant's bits (i32 sign-extended), the index, or the reference type
  Bytes bytes;
};

struct Global {
  GlobalType type;
  ConstExpr init;
};
struct Export {
  std::string_view name;
  ExternalKind kind{};
  uint32_t index = 0;
};
struct Element {
  uint32_t flags = 0, table = 0;
  ConstExpr offset;               // when active
  std::vector<uint32_t> functions;  // ~0 for a null reference; only lists of functions are read
};
struct Body {
  uint32_t offset = 0;  // of the size field, from the start of the code section's payload
  uint32_t begin = 0, end = 0;  // of the body after the size field, likewise
};
struct DataSegment {
  uint32_t flags = 0, memory = 0;  // flags: 0 active, 1 passive, 2 active with memory index
  ConstExpr offset;
  uint32_t begin = 0, end = 0;  // of the content, from the start of the data section's payload
  std::string_view name;        // segment_info
  uint32_t align_log2 = 0, info_flags = 0;
  uint32_t comdat = ~0u;
};

struct Reloc {
  RelocType type{};
  uint32_t offset = 0;  // from the start of the section's payload
  uint32_t index = 0;   // symbol; type index for type_index_leb
  int64_t addend = 0;
};

struct Symbol {
  std::string_view name;
  SymbolKind kind{};
  uint32_t flags = 0;    // symbol_flags
  uint32_t element =
      0;  // function, global, tag, table: index in its index space; data: segment; section: section number
  uint64_t offset = 0, size = 0;  // data: in the segment (the address when absolute)
  bool undefined() const { return flags & symbol_flags::undefined; }
};

struct InitFunction {
  uint32_t priority = 0, symbol = 0;
};
struct ComdatEntry {
  ComdatKind kind{};
  uint32_t index = 0;
};
struct Comdat {
  std::string_view name;
  std::vector<ComdatEntry> entries;
};

struct Section {
  SectionId id{};
  std::string_view name;     // custom sections
  uint32_t offset = 0;       // of the payload in the file; for custom sections after the name
  uint32_t size = 0;         // of the payload
  std::vector<Reloc> relocs;  // sorted by offset
};

struct NamedIndex {
  uint32_t index = 0;
  std::string_view name;
};
struct ProducerField {
  std::string_view field, name, version;
};
struct FeatureEntry {
  char prefix = '+';  // + used, - disallowed, = required (old objects)
  std::string_view name;
};

struct Module {
  Bytes file;
  bool relocatable = false;  // has a linking section
  std::vector<Section> sections;
  std::vector<Bytes> types;  // without the leading 0x60
  std::vector<Import> imports;
  uint32_t imported_functions = 0, imported_tables = 0, imported_memories = 0, imported_globals = 0, imported_tags = 0;
  std::vector<uint32_t> functions;  // type indices of the defined ones
  std::vector<TableType> tables;
  std::vector<Limits> memories;
  std::vector<Global> globals;
  std::vector<uint32_t> tags;  // type indices
  std::vector<Export> exports;
  uint32_t start = ~0u;
  std::vector<Element> elements;
  std::vector<Body> bodies;
  std::vector<uint32_t> function_comdat;  // parallel to bodies; ~0 for none
  std::vector<DataSegment> segments;
  bool has_data_count = false;
  uint32_t data_count = 0;
  uint32_t code_section = ~0u, data_section = ~0u;  // numbers in sections

  std::vector<Symbol> symbols;
  std::vector<InitFunction> init_functions;
  std::vector<Comdat> comdats;
  std::vector<uint32_t> section_comdat;  // parallel to sections

  std::string_view module_name;
  std::vector<NamedIndex> function_names, global_names, data_names;
  std::vector<ProducerField> producers;
  bool has_features = false;
  std::vector<FeatureEntry> features;
  bool has_dylink = false;

  Bytes payload(const Section& s) const { return file.subspan(s.offset, s.size); }
  uint32_t function_count() const { return imported_functions + uint32_t(functions.size()); }
  uint32_t global_count() const { return imported_globals + uint32_t(globals.size()); }
  uint32_t table_count() const { return imported_tables + uint32_t(tables.size()); }
  uint32_t tag_count() const { return imported_tags + uint32_t(tags.size()); }
  uint32_t memory_count() const { return imported_memories + uint32_t(memories.size()); }
  // Type index of a function in the function index space, imports first.
  uint32_t function_type(uint32_t index) const;
  // The n-th import of a kind.
  const Import& import_of(ExternalKind kind, uint32_t n) const { return imports[import_index[unsigned(kind)][n]]; }
  std::vector<uint32_t> import_index[5];
};

bool is_wasm(Bytes file);
Result<Module> read(Bytes file);

}  // namespace lode::formats::wasm
