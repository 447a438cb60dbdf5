// A wasm link: its state, and the passes over it.
//
//   inputs.cpp, modules.cpp   files -> symbols and items (functions, data segments, globals, tables, tags)
//   symbols.cpp               one symbol table; who wins a name; archive members taken when a name needs them
//   live.cpp                  from the roots to what is needed; functions that came as IR are lowered when they are
//                             reached
//   layout.cpp                index spaces and addresses, which exist only after that
//   synthetic.cpp             functions, globals and data that the linker makes
//   write.cpp, relocatable.cpp  bytes
//
// State is of two kinds. What comes from inputs (symbols, items, MIR) stays from flush to flush and only grows. What a
// flush decides (liveness, counts, indices, addresses, stubs, synthetic functions) is reset when the next begins, so
// that flushing twice gives the same bytes, and so does adding an input between two flushes or before the first.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/index.h"
#include "base/result.h"
#include "codegen/wasm/emit.h"
#include "codegen/wasm/mir.h"
#include "formats/wasm/reader.h"
#include "link/common/diagnostics.h"
#include "link/common/input_files.h"
#include "link/wasm/options.h"
#include "mir_store/mir_store.h"

namespace lode::air {
struct Module;
}

namespace lode::link {
class LazyThreads;
class MirCache;
}
namespace lode::link::wasm {

namespace fw = lode::formats::wasm;
namespace cg = lode::wasm;
using fw::Bytes;
using cg::SignatureBytes;
using fw::SymbolKind;

inline constexpr uint32_t none = ~0u;

// ---- function types -------------------------------------------------------------------------------------------------

// All function types of the link, each once; the numbers are not those of the output.
class TypeList {
 public:
  uint32_t intern(std::span<const uint8_t> signature);
  uint32_t find(std::span<const uint8_t> signature) const;  // none when it was never interned
  std::span<const uint8_t> operator[](uint32_t t) const { return {bytes_[t].data(), bytes_[t].size()}; }
  uint32_t size() const { return uint32_t(bytes_.size()); }
  std::string text(uint32_t t) const;  // "(i32, i32) -> i64"

 private:
  std::deque<SignatureBytes> bytes_;
  std::unordered_map<std::string_view, uint32_t> index_;
};

// ---- symbols --------------------------------------------------------------------------------------------------------

enum class State : uint8_t {
  undefined,  // referred to, or only mentioned
  lazy,       // an archive member has it
  defined,
};

struct Symbol {
  std::string_view name;
  SymbolKind kind = SymbolKind::function;
  State state = State::undefined;
  bool kind_known = false;   // false for names that only options mention
  bool weak = false;         // the definition, or all references
  bool local = false;
  bool hidden = false;
  bool exported = false;     // by its object
  bool no_strip = false;
  bool tls = false;
  bool absolute = false;     // data: `offset` is the address
  bool explicit_import = false;  // import module and name given in the source
  bool forced_export = false;    // --export
  bool allowed_undefined = false;
  bool referenced = false;   // by an input (not only mentioned)
  bool referenced_strongly = false;
  bool traced = false;
  bool synthetic = false;    // made by the linker
  uint32_t file = none;      // who defines it, or first refers to it
  uint32_t item = none;      // defined: index in the list of its kind
  uint32_t lazy_archive = none, lazy_member = none;
  uint64_t offset = 0, size = 0;  // data: in its segment
  uint32_t type = none;      // function, tag: type of the definition, or of the first reference
  fw::GlobalType global;     // undefined globals
  fw::TableType table;       // undefined tables
  bool type_declared = false;     // `type` is what a declaration in IR says; a call's type counts more
  std::string_view import_module, import_name;
  std::string_view export_name;

  // of a flush
  bool live = false;
  bool imported = false;
  uint32_t index = none;       // imports: in the index space
  uint32_t stub = none;        // function: the item that stands for an undefined one
  uint32_t table_slot = none;
  uint32_t got = none;         // global that holds its address
  uint32_t count = 0;          // references to an import
};

// ---- items ----------------------------------------------------------------------------------------------------------

struct Function {
  enum Source : uint8_t { object, module, draft, trap };
  Source source = object;
  bool discarded = false;    // another object's copy of its comdat was taken
  SymbolId symbol;           // a symbol that names it; none for synthetic ones without
  std::string_view name;
  uint32_t file = none;
  uint32_t local = 0;        // object: index of the body; module: FunctionIndex; draft: index in Link::drafts
  uint32_t type = 0;
  FunctionId mir;            // module: once lowered
  std::string_view comdat;   // empty: none
  // of a flush
  bool live = false;
  uint32_t count = 0, index = none, table_slot = none;
  uint32_t code_offset = 0;  // in the code section's payload: of the body, after its size
};

struct Segment {
  std::string_view name;
  uint32_t file = none;
  uint32_t local = 0;        // object: index of the segment; module: symbol index
  Bytes bytes;
  uint64_t size = 0;         // at least bytes.size(); the rest is zero
  uint32_t align_log2 = 0;
  uint32_t flags = 0;        // fw::segment_flags
  uint32_t first_reloc = 0, reloc_count = 0;  // object: in its data section; module: in Module::data_relocs
  bool discarded = false;
  std::string_view comdat;
  bool mergeable = false;    // nobody cares for its address: one copy serves for all that have its bytes
  // of a flush
  bool live = false;
  uint32_t layout_align_log2 = 0;
  uint32_t same_as = none;   // the segment whose end has its bytes
  uint32_t count = 0;
  uint32_t output = none;    // output segment
  uint64_t address = 0;
  SymbolId symbol;           // module: its symbol
};

struct Global {
  fw::GlobalType type;
  fw::ConstExpr init;
  std::string_view name;
  uint32_t file = none;
  bool discarded = false;
  // of a flush
  bool live = false;
  uint64_t value = 0;        // synthetic: the initial value
  bool synthetic = false;
  uint32_t count = 0, index = none;
};
struct Table {
  fw::TableType type;
  std::string_view name;
  uint32_t file = none;
  bool live = false;
  uint32_t index = none;
};
struct Tag {
  uint32_t type = 0;
  std::string_view name;
  uint32_t file = none;
  bool live = false, discarded = false;
  uint32_t index = none;
};

// ---- inputs ---------------------------------------------------------------------------------------------------------

// The parts of an input that is a module of IR; see modules.cpp.
struct ModuleInput;
struct ModuleInputDeleter {
  void operator()(ModuleInput*) const;
};

struct InputFile {
  std::string name;  // for messages: "liba.a(b.o)"
  Bytes bytes;
  std::unique_ptr<fw::Module> object;  // one of these two
  std::unique_ptr<ModuleInput, ModuleInputDeleter> module;
  std::vector<SymbolId> symbols;       // by the file's own symbol index
  std::vector<uint32_t> types;         // object: by its type index
  uint32_t first_function = 0, first_segment = 0, first_global = 0, first_table = 0, first_tag = 0;
  struct Init {
    uint32_t priority = 0;
    SymbolId function;
  };
  std::vector<Init> inits;
  std::vector<uint32_t> body_relocs;   // object: first relocation of each body, and the end
  uint32_t features = 0;               // module: cg::Feature bits that its code may use
  std::vector<std::string> used_features;  // module: what target_features has to say of it
  bool one_thread = false;             // module: something thread-local or atomic in it became ordinary
  bool eager = true;                   // not out of an archive
  bool live = false;                   // of a flush
};

struct Archive {
  std::string name;
  bool thin = false;  // the members are files; `members` has those that were asked for
  std::vector<std::string_view> member_names;
  std::vector<Bytes> members;
  std::vector<bool> taken;
};

struct OutputSegment {
  std::string_view name;
  uint64_t address = 0, size = 0, file_size = 0;  // bytes behind file_size are zero
  uint32_t align_log2 = 0;
  uint32_t flags = 0;      // fw::segment_flags, object mode
  bool is_bss = false, is_tls = false;
  bool passive = false;
  uint32_t index = none;   // in the data section; none: not written
  std::vector<uint32_t> members;  // segments, in order
};

struct Link {
  explicit Link(Options o);
  ~Link();
  Options options;
  Diagnostics diagnostics;

  // -- inputs and symbols
  std::deque<InputFile> files;
  std::vector<Archive> archives;
  std::deque<std::string> strings;  // names made here
  InputFiles input_files;
  std::deque<Symbol> symbols;       // by SymbolId
  std::unordered_map<std::string_view, SymbolId> by_name;
  std::unordered_set<std::string_view> removed;   // names whose definitions a host took out of modules and objects
  std::unordered_set<std::string_view> replaced;  // names of which the first definition counts
  TypeList types;
  std::vector<Function> functions;
  std::vector<Segment> segments;
  std::vector<Global> globals;
  std::vector<Table> tables;
  std::vector<Tag> tags;
  std::unordered_map<std::string_view, uint32_t> comdats;  // name -> file that has it
  mir::MirStore store;
  MirCache* mir_cache = nullptr;    // null: none
  LazyThreads* threads = nullptr;   // of a command's link, to be told what work there is
  uint64_t lowered = 0;             // functions lowered so far
  std::vector<SymbolId> runtime;    // by air::RuntimeFunction
  uint32_t features = 0;  // cg::Feature bits that modules use which do not say what their functions were compiled for
  bool table64 = false;             // an object takes the indirect function table to have 64-bit indices

  // Well-known symbols; looked up when the link starts.
  SymbolId stack_pointer, tls_base, tls_size, tls_align, indirect_table, call_ctors, init_memory, init_tls, memory_base,
  table_base,
      exception_tag, stack_guard;
  std::vector<std::pair<SymbolId, SymbolId>> wraps;  // of names: applied when inputs intern

  // -- of a flush
  size_t kept_functions = 0;  // length without what a flush made
  std::deque<mir::FunctionDraft> drafts;
  std::vector<uint32_t> type_index, type_count;  // by type
  std::vector<uint32_t> output_types;            // in order
  std::vector<SymbolId> imports;                 // functions, then tables, globals, tags
  uint32_t imported_functions = 0, imported_tables = 0, imported_globals = 0, imported_tags = 0, imported_memories = 0;
  std::vector<uint32_t> output_functions, output_globals, output_tables, output_tags;  // items in order
  std::vector<uint32_t> table_functions;         // function indices, from the table base on
  std::deque<OutputSegment> output_segments;
  std::vector<InputFile::Init> ctors;            // in the order of their calls
  std::unordered_map<uint64_t, uint32_t>
      variants;  // symbol << 32 | type -> the file that wants it so; later the trap's item
  uint64_t data_end = 0, heap_base = 0, memory_end = 0, stack_low = 0, stack_high = 0, data_start = 0, tls_start = 0,
  tls_bytes = 0,
           tls_alignment = 1;
  uint64_t init_flag = 0;            // shared memory: address of the word that says who initialises
  uint64_t memory_pages = 0, memory_max_pages = 0;
  bool memory_has_max = false;
  bool debug_kept = false;
  uint32_t used_features = 0;        // of all live code, for target_features
  std::vector<std::string> output_features;  // with their prefixes: "+atomics", "-shared-mem"
  bool needs_init_memory = false;
  bool fill_zeroes = false;          // by __wasm_init_memory

  // -- passes
  // stubs.cpp
  struct Stub {
    std::string_view name;
    std::string_view library;
    std::vector<std::string_view> needs;
  };
  std::vector<Stub> stubs;                                 // in the order of the inputs
  void add_stub_library(Bytes bytes, const std::string& name);
  void use_stubs();                                        // when all inputs are there
  // inputs.cpp
  const MemoryInput* memory_input(const std::string& key) const;  // null: the name is a file's
  void add_inputs();                                       // what the command line names
  Bytes map_file(const std::string& path);
  void add_file(const std::string& path, bool whole_archive);
  Bytes member_bytes(uint32_t archive, uint32_t member);
  void add_bytes(Bytes bytes, const std::string& name, bool eager, bool whole_archive);
  void add_object(Bytes bytes, const std::string& name, bool eager);
  bool add_object_functions(InputFile& f, uint32_t number, const std::vector<bool>& dropped);
  bool add_object_segments(InputFile& f, uint32_t number, const std::vector<bool>& dropped);
  void add_object_items(InputFile& f, uint32_t number);
  bool describe_object_symbol(const InputFile& f, const fw::Symbol& y, Symbol& s);
  void add_object_symbol(InputFile& f, const fw::Symbol& y, Symbol s, bool discarded);
  bool offered_names(Bytes bytes, const std::string& name, std::vector<std::string_view>& out);
  // modules.cpp
  bool add_module(Bytes bytes, const std::string& name, bool eager);  // false: no module
  void add_air(std::unique_ptr<air::Module> module, const std::string& name, bool eager = true);
  void add_air(std::unique_ptr<air::Module> module, bool eager = true);
  bool offered_names_of_module(Bytes bytes, const std::string& name, std::vector<std::string_view>& out);
  // symbols.cpp
  SymbolId intern(std::string_view name);                  // a global symbol; undefined when new
  void mention(SymbolId s);                                // as if an input referred to it strongly
  // An input defines or refers to a name. `wanted` carries everything; the result is the symbol that now stands for the
  // name.
  SymbolId define(const Symbol& wanted);
  SymbolId refer(const Symbol& wanted);
  void add_lazy(std::string_view name, uint32_t archive, uint32_t member);
  void extract(SymbolId s);                                // takes the archive member that has it, and what that needs
  void extract_pending();
  std::vector<SymbolId> pending;                           // lazy symbols that are needed
  std::vector<std::string> extractions;                    // for --why-extract: who, member, symbol
  void start_symbols();                                    // options and well-known names, before the inputs
  void report_unresolved();
  std::string describe(SymbolId s) const;                  // demangled name
  std::string file_name(uint32_t file) const;
  // live.cpp
  void mark_live();
  std::vector<uint32_t> table_items;   // of a flush: functions whose address is taken, sorted
  std::vector<SymbolId> table_imports; // likewise, imported ones
  std::vector<SymbolId> got_symbols;   // data and functions whose address is read through a global
  bool table_needed = false;
  bool is_exported(const Symbol& s) const;
  bool names_segments(std::string_view name) const;
  // modules.cpp: lowers these functions (indices in `functions`), in this order in the store.
  void lower(std::span<const uint32_t> wave);
  void prepare_lowering();
  // features.cpp
  void set_default_features();
  void check_features();
  // layout.cpp
  void assign_indices();
  void assign_addresses();
  void group_segments();
  void place_stack(unsigned __int128& at);
  bool place_segments(unsigned __int128& at);
  void size_memory(unsigned __int128 at);
  void merge_constants();
  uint64_t address_of(SymbolId s) const;                   // data symbols; 0 for undefined ones
  uint32_t function_index(SymbolId s, uint32_t wanted_type = none) const;
  uint32_t global_index(SymbolId s) const;                 // none: no index; address_of() is the value
  uint32_t function_item(SymbolId s, uint32_t wanted_type = none) const;  // none: an import
  uint32_t table_slot(SymbolId s) const;                   // 0: null
  cg::ReferenceValue reference_value(const mir::FunctionView& fn, const mir::Reference& r) const;
  void make_variants();  // traps for calls through a type that the callee does not have
  bool becomes_import(const Symbol& s) const;
  // synthetic.cpp
  void make_synthetic_symbols();     // once
  void define_layout_symbols();      // before liveness: __heap_base and the like, where someone refers to them
  void make_synthetic_functions();   // after liveness, before indices: what exists
  void fill_synthetic();             // after addresses: bodies and values
  std::unordered_map<uint32_t, uint32_t> export_wrappers;  // of a flush: exported symbol -> function item
  mir::FunctionDraft& start_draft(uint32_t item);          // the function's new, empty body
  uint32_t make_trap(const std::string& name, uint32_t type);
  // write.cpp, relocatable.cpp
  std::vector<uint8_t> write_executable();
  std::vector<uint8_t> write_relocatable();
  std::string map_text() const;

  void reset();
  // All passes; empty on errors, which are in diagnostics.
  std::vector<uint8_t> flush();

  const Symbol& at(SymbolId s) const { return symbols[s.value]; }
  Symbol& at(SymbolId s) { return symbols[s.value]; }
  std::string_view keep(std::string s) { return strings.emplace_back(std::move(s)); }
  unsigned pointer_bytes() const { return options.memory64 ? 8 : 4; }
};

// The type that an object takes its function symbol `index` to have; none where only its own definition can stand for
// the name.
inline uint32_t assumed_type(const InputFile& f, uint32_t index) {
  const fw::Symbol& own = f.object->symbols[index];
  if (own.kind != SymbolKind::function || (own.flags & fw::symbol_flags::binding_mask) == fw::symbol_flags::local)
    return none;
  return f.types[f.object->function_type(own.element)];
}

// Relocations of a module's data item, in terms of the link; see modules.cpp. Without a symbol: the number `addend`.
struct DataReference {
  uint64_t offset = 0;
  int64_t addend = 0;
  SymbolId symbol;
  bool is_function = false;
  bool relative = false;   // symbol + addend - address of the item
  uint8_t size = 4;
};
void data_references(const Link& link, uint32_t segment, std::vector<DataReference>& out);
// Sets features and used_features of a module's file; see features.cpp.
void read_features(Link& link, InputFile& file, const air::Module& module);
// Of the modules whose code is needed.
void warn_of_modules(Link& link);

}  // namespace lode::link::wasm
