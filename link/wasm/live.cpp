// Liveness: from the roots along references. A function that came as IR is lowered when it is first reached, in waves:
// what one round of the walk has reached is lowered together (on all threads, in the order of the inputs), and its
// references are the next round's work. References are counted on the way, since the order of indices and of data
// depends on how often each is named.
#include <algorithm>
#include <tuple>

#include "base/bytes.h"
#include "link/wasm/link.h"

namespace lode::link::wasm {

namespace {

struct Marker {
  Link& l;
  std::vector<uint32_t> functions, segments, wave;
  uint32_t current_file = none;  // whose references are walked

  void file_live(uint32_t file) {
    if (file == none) return;
    InputFile& f = l.files[file];
    if (f.live) return;
    f.live = true;
    for (const InputFile::Init& i : f.inits) symbol(i.function);
  }

  void function(uint32_t item) {
    Function& f = l.functions[item];
    f.count++;
    if (f.live || f.discarded) return;
    f.live = true;
    file_live(f.file);
    functions.push_back(item);
  }
  void segment(uint32_t item) {
    Segment& s = l.segments[item];
    s.count++;
    if (s.live || s.discarded) return;
    s.live = true;
    file_live(s.file);
    segments.push_back(item);
  }

  void symbol(SymbolId id) {
    // A name that only weak references have takes no archive member; one that nothing has named before is a runtime
    // function.
    if (l.at(id).state == State::lazy && (l.at(id).referenced_strongly || !l.at(id).referenced)) l.extract(id);
    Symbol& s = l.at(id);
    bool first = !s.live;
    s.live = true;
    s.count++;
    if (first && s.kind == SymbolKind::data && (s.state != State::defined || s.synthetic)) named_segments(s.name);
    if (s.state != State::defined) return;
    switch (s.kind) {
      case SymbolKind::function: function(s.item); break;
      case SymbolKind::data:
        if (s.item != none) segment(s.item);
        break;
      case SymbolKind::global:
        l.globals[s.item].live = true;
        l.globals[s.item].count++;
        if (first) {
          file_live(l.globals[s.item].file);
          global_init(l.globals[s.item]);
        }
        break;
      case SymbolKind::table:
        l.tables[s.item].live = true;
        file_live(l.tables[s.item].file);
        break;
      case SymbolKind::tag:
        l.tags[s.item].live = true;
        file_live(l.tags[s.item].file);
        break;
      case SymbolKind::section: break;
    }
  }

  // A global may start with the value of an imported one.
  void global_init(const Global& g) {
    if (g.file == none || g.init.kind != fw::ConstExpr::Kind::global_get) return;
    const InputFile& f = l.files[g.file];
    for (size_t i = 0; i < f.object->symbols.size(); i++)
      if (f.object->symbols[i].kind == SymbolKind::global && f.object->symbols[i].element == g.init.value)
        symbol(f.symbols[i]);
  }

  // __start_NAME and __stop_NAME keep all data segments called NAME.
  void named_segments(std::string_view name) {
    for (std::string_view prefix : {"__start_", "__stop_"})
      if (name.starts_with(prefix)) {
        std::string_view wanted = name.substr(prefix.size());
        for (uint32_t i = 0; i < l.segments.size(); i++)
          if (l.segments[i].name == wanted) segment(i);
      }
  }

  void address_of_function(SymbolId id) {
    symbol(id);
    l.table_needed = true;
    Symbol& s = l.at(id);
    if (s.state == State::defined && s.kind == SymbolKind::function) {
      Function& f = l.functions[s.item];
      if (f.table_slot != none) return;
      f.table_slot = 0;
      l.table_items.push_back(s.item);
    } else if (s.table_slot == none) {
      s.table_slot = 0;
      l.table_imports.push_back(id);
    }
  }

  void got(SymbolId id) {
    Symbol& s = l.at(id);
    if (s.kind == SymbolKind::function) address_of_function(id);
    else symbol(id);
    if (l.at(id).got == none) {
      l.at(id).got = 0;
      l.got_symbols.push_back(id);
    }
  }

  void type(uint32_t t) {
    if (l.type_count.size() < l.types.size()) l.type_count.resize(l.types.size());
    l.type_count[t]++;
  }

  void reloc(const InputFile& f, const fw::Reloc& r) {
    const fw::RelocInfo& info = fw::info(r.type);
    if (info.target == fw::RelocTarget::type) {
      type(f.types[r.index]);
      l.table_needed = true;
      return;
    }
    SymbolId id = f.symbols[r.index];
    switch (info.target) {
      case fw::RelocTarget::table_slot: address_of_function(id); break;
      case fw::RelocTarget::global:
        if (f.object->symbols[r.index].kind != SymbolKind::global) got(id);
        else symbol(id);
        break;
      case fw::RelocTarget::section_offset: break;
      case fw::RelocTarget::function: {
        symbol(id);
        if (uint32_t t = assumed_type(f, r.index); t != none) called(id, t, current_file);
        break;
      }
      default: symbol(id);
    }
  }

  // A call of `id` as if it had the type t.
  void called(SymbolId id, uint32_t t, uint32_t file) {
    Symbol& s = l.at(id);
    if (s.type_declared && s.state != State::defined) {
      s.type = t;
      s.type_declared = false;
    }
    if (s.type != t) l.variants.emplace(uint64_t(id.value) << 32 | t, file);
  }

  void mir_references(uint32_t item) {
    mir::FunctionView fn = l.store.view(l.functions[item].mir);
    std::vector<uint32_t> counts(fn.references.size());
    cg::count_references(fn, counts);
    type(l.types.intern(cg::signature_at(fn.constants, 0)));
    l.type_count[l.types.find(
        cg::signature_at(fn.constants, 0))]--;  // known now; functions are counted by assign_indices()
    for (size_t i = 0; i < fn.references.size(); i++) {
      const mir::Reference& r = fn.references[i];
      if (!counts[i]) continue;
      switch (r.kind) {
        case mir::ReferenceKind::wasm_type: {
          type(l.types.intern(cg::signature_at(fn.constants, uint32_t(r.addend))));
          l.type_count[l.types.find(cg::signature_at(fn.constants, uint32_t(r.addend)))] += counts[i] - 1;
          l.table_needed = true;
          continue;
        }
        case mir::ReferenceKind::wasm_table_slot: address_of_function(r.symbol); break;
        case mir::ReferenceKind::wasm_global:
          if (l.at(r.symbol).kind != SymbolKind::global) got(r.symbol);
          else symbol(r.symbol);
          break;
        case mir::ReferenceKind::call:
          symbol(r.symbol);
          if (r.addend > 0)
            called(r.symbol, l.types.intern(cg::signature_at(fn.constants, size_t(r.addend) - 1)),
                   l.functions[item].file);
          break;
        default: symbol(r.symbol);
      }
      add(r.symbol, counts[i] - 1);
    }
  }

  // More references to a symbol that is marked.
  void add(SymbolId id, uint32_t n) {
    Symbol& s = l.at(id);
    s.count += n;
    if (s.state != State::defined || s.item == none) return;
    if (s.kind == SymbolKind::function) l.functions[s.item].count += n;
    if (s.kind == SymbolKind::data) l.segments[s.item].count += n;
    if (s.kind == SymbolKind::global) l.globals[s.item].count += n;
  }

  void run() {
    std::vector<DataReference> references;
    while (!functions.empty() || !segments.empty() || !wave.empty()) {
      while (!functions.empty() || !segments.empty()) {
        while (!functions.empty()) {
          uint32_t item = functions.back();
          functions.pop_back();
          Function f = l.functions[item];
          if (f.source == Function::module) {
            wave.push_back(item);
            continue;
          }
          if (f.source != Function::object) continue;
          const InputFile& file = l.files[f.file];
          current_file = f.file;
          const std::vector<fw::Reloc>& relocs = file.object->sections[file.object->code_section].relocs;
          for (uint32_t i = file.body_relocs[f.local]; i < file.body_relocs[f.local + 1]; i++) reloc(file, relocs[i]);
        }
        while (!segments.empty()) {
          uint32_t item = segments.back();
          segments.pop_back();
          Segment s = l.segments[item];
          const InputFile& file = l.files[s.file];
          current_file = s.file;
          if (file.object) {
            const std::vector<fw::Reloc>& relocs = file.object->sections[file.object->data_section].relocs;
            for (uint32_t i = 0; i < s.reloc_count; i++) reloc(file, relocs[s.first_reloc + i]);
          } else {
            references.clear();
            data_references(l, item, references);
            for (const DataReference& r : references) {
              if (!r.symbol) continue;
              if (r.is_function) address_of_function(r.symbol);
              else symbol(r.symbol);
            }
          }
        }
      }
      if (wave.empty()) break;
      std::sort(wave.begin(), wave.end());
      std::vector<uint32_t> now = std::move(wave), missing;
      wave.clear();
      for (uint32_t item : now)
        if (!l.functions[item].mir.valid()) missing.push_back(item);
      if (!missing.empty()) l.lower(missing);
      for (uint32_t item : now)
        if (l.functions[item].mir.valid()) mir_references(item);
    }
  }
};

}  // namespace

bool Link::is_exported(const Symbol& s) const {
  if (s.state != State::defined || s.local || s.kind == SymbolKind::section) return false;
  if (s.forced_export || s.exported) return true;
  if (s.synthetic && s.kind != SymbolKind::function && !options.export_all) return false;
  // Mutable globals of the linker's own would make every module need the feature mutable-globals.
  if (s.synthetic && s.kind == SymbolKind::global &&
      (s.global.is_mutable || (!options.shared_memory && s.name.starts_with("__tls_"))))
    return false;
  return options.export_all || (options.export_dynamic && !s.hidden);
}

// Whether a name is __start_NAME or __stop_NAME of data segments that may be linked.
bool Link::names_segments(std::string_view name) const {
  for (std::string_view prefix : {"__start_", "__stop_"})
    if (name.starts_with(prefix))
      return std::any_of(segments.begin(), segments.end(),
                         [&](const Segment& s) { return !s.discarded && s.name == name.substr(prefix.size()); });
  return false;
}

void Link::mark_live() {
  Marker m{*this, {}, {}, {}, none};
  if (options.import_table || options.export_table) table_needed = true;
  bool everything = !options.gc_sections || options.relocatable;
  for (uint32_t i = 0; i < files.size(); i++)
    if (files[i].eager || everything) m.file_live(i);
  // Names that only an option mentions may have been lazy.
  for (uint32_t i = 0; i < symbols.size(); i++) {
    Symbol& s = symbols[i];
    bool root = s.no_strip || (!options.relocatable && is_exported(s));
    if (s.referenced_strongly && !s.referenced && !s.synthetic && s.kind_known && s.state == State::defined)
      root = true;  // entry, -u
    if (everything && s.state == State::defined && !s.synthetic && s.kind != SymbolKind::section) root = true;
    if (s.forced_export && s.state == State::undefined && !options.relocatable && !s.referenced &&
        names_segments(s.name)) {
      // An option asks for the ends of a section that exists: that is a reference.
      s.kind = SymbolKind::data;
      s.kind_known = true;
      root = true;
    }
    if (root && (s.state == State::defined || (s.forced_export && s.kind_known && s.kind == SymbolKind::data)))
      m.symbol(SymbolId(i));
  }
  if (!options.relocatable && !options.no_entry && !options.entry.empty()) m.symbol(intern(options.entry));
  // A C library's exit code, for the wrappers of a command's exports; see make_synthetic_functions().
  if (auto dtors = by_name.find("__wasm_call_dtors");
      dtors != by_name.end() && !options.relocatable && !at(call_ctors).referenced) {
    if (at(dtors->second).state != State::undefined) m.symbol(dtors->second);
  }
  for (uint32_t i = 0; i < segments.size(); i++)
    if (segments[i].flags & fw::segment_flags::retain) m.segment(i);
  if (everything) {
    for (uint32_t i = 0; i < functions.size(); i++)
      if (functions[i].source == Function::object) m.function(i);
    for (uint32_t i = 0; i < segments.size(); i++) m.segment(i);
  }
  m.run();
  std::sort(table_items.begin(), table_items.end());
  std::sort(table_imports.begin(), table_imports.end(),
            [&](SymbolId a, SymbolId b) { return at(a).name < at(b).name; });
  std::sort(got_symbols.begin(), got_symbols.end(), [&](SymbolId a, SymbolId b) {
    const Symbol &x = at(a), &y = at(b);
    return std::tie(x.name, x.file, x.item, x.offset) < std::tie(y.name, y.file, y.item, y.offset);
  });
  type_count.resize(types.size());
  if (options.print_gc_sections) {
    for (const Function& f : functions)
      if (!f.live && !f.discarded && f.file != none)
        diagnostics.print("removing unused section %s:(%s)\n", file_name(f.file).c_str(), std::string(f.name).c_str());
    for (const Segment& s : segments)
      if (!s.live && !s.discarded)
        diagnostics.print("removing unused section %s:(%s)\n", file_name(s.file).c_str(), std::string(s.name).c_str());
  }
}

}  // namespace lode::link::wasm
