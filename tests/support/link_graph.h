// The passes of an ELF link one by one, on objects in memory, and questions about what they decided. Tests ask only
// through this header, so that where a link keeps its records is known here and nowhere else.
#pragma once

#include <catch2/catch.hpp>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "link/elf/link.h"
#include "link/elf/machines/machine.h"
#include "tests/support/elf_object.h"
#include "tests/support/run.h"

namespace lode::test {

namespace le = link::elf;

class LinkGraph {
 public:
  // `options`: of the command line, without inputs.
  explicit LinkGraph(std::vector<std::string> options = {}) : arguments_(std::move(options)) {}

  // Inputs, in the order of the command line. An object is known by its name.
  LinkGraph& add(const std::string& name, const ElfObject& object) {
    memory_.push_back({name, object.bytes()});
    arguments_.push_back(name);
    return *this;
  }
  LinkGraph& add_archive(const std::string& name, const std::string& bytes) {
    arguments_.push_back(folder_.write(name, bytes));
    return *this;
  }
  LinkGraph& add_option(const std::string& option) {
    arguments_.push_back(option);
    return *this;
  }
  // A file that an option names.
  std::string file(const std::string& name, const std::string& text) { return folder_.write(name, text); }

  // ---- passes, each after those before it; the order is that of run() in link/elf/link.cpp ----------------------

  LinkGraph& resolve() {
    open();
    le::Link& l = *link_;
    if (!(ok_ = le::open_inputs(l) && le::read_version_scripts(l) && le::resolve(l))) return *this;
    l.is_static_output = !l.shared && !l.pic;
    le::report_duplicates(l);
    le::check_entry(l);
    le::assign_versions(l);
    le::define_early_symbols(l);
    le::check_shared_undefined(l);
    le::check_assignments(l);
    le::compute_import_export(l);
    ok_ = !l.diag.has_errors();
    return *this;
  }
  LinkGraph& live() {
    resolve();
    if (!ok_) return *this;
    le::split_mergeable(*link_);
    ok_ = le::mark_live(*link_);
    return *this;
  }
  LinkGraph& fold() {
    live();
    if (!ok_) return *this;
    le::Link& l = *link_;
    le::assign_sections(l);
    le::fold_identical(l);
    le::allocate_commons(l);
    le::define_linker_symbols(l);
    le::refresh_assignments(l, false);
    le::compute_import_export(l);
    le::collect_members(l);
    return *this;
  }
  LinkGraph& layout() {
    fold();
    if (!ok_) return *this;
    le::Link& l = *link_;
    le::scan_relocations(l);
    if (!(ok_ = !l.diag.has_errors())) return *this;
    le::create_synthetic_sections(l);
    le::create_dynamic_sections(l);
    le::size_symtab(l);
    if (!(ok_ = le::layout_all(l))) return *this;
    le::check_layout(l);
    ok_ = !l.diag.has_errors();
    return *this;
  }

  // ---- questions ----------------------------------------------------------------------------------------------------

  bool ok() const { return ok_; }
  // What was reported, as the command would print it.
  std::string messages() {
    link_->diag.flush();
    return messages_;
  }

  // The file that defines a name ("libx.a(m.o)"); "undefined" or, of a name that nobody mentions, "unknown".
  std::string definer(std::string_view name) const {
    const le::Symbol* s = symbol(name);
    if (!s) return "unknown";
    if (!s->defined()) return "undefined";
    std::string file = link_->files[s->file]->name;
    return file.substr(file.rfind('/') + 1);
  }
  bool is_weak(std::string_view name) const { return require(name).bind == fe::STB_WEAK; }
  bool is_common(std::string_view name) const { return require(name).is_common; }
  bool is_hidden(std::string_view name) const { return require(name).visibility() == fe::STV_HIDDEN; }
  bool is_exported(std::string_view name) const { return require(name).exported; }
  std::string version(std::string_view name) const {
    const uint16_t v = require(name).version & 0x7fff;
    if (v == fe::VER_NDX_LOCAL) return "local";
    if (v == fe::VER_NDX_GLOBAL) return "global";
    return link_->version_defs.at(v - 2);
  }
  uint64_t size(std::string_view name) const { return le::size_of(*link_, require(name)); }
  std::vector<std::string> files() const {  // that take part, in their order
    std::vector<std::string> names;
    for (const le::ObjectFile* f : link_->objects)
      if (f != link_->internal) names.push_back(f->name.substr(f->name.rfind('/') + 1));
    return names;
  }

  // Of a section of an object, by the names of both.
  bool is_live(const std::string& file, std::string_view section) const {
    const le::Atom& a = atom(file, section);
    return a.live && a.kind != le::AtomKind::discarded && a.kind != le::AtomKind::none;
  }
  bool is_discarded(const std::string& file, std::string_view section) const {
    return atom(file, section).kind == le::AtomKind::discarded;
  }
  bool is_folded(const std::string& file, std::string_view section) const { return atom(file, section).folded; }
  uint64_t address_of(const std::string& file, std::string_view section) const {
    return link_->atom_address[index(file, section)];
  }
  uint64_t address(std::string_view name) const { return require(name).address; }
  // Where a place in a merged section is.
  uint64_t merged_address(const std::string& file, std::string_view section, uint64_t offset) const {
    return le::merged_address(*link_, atom(file, section), offset);
  }

  const le::OutputSection* section(std::string_view name) const {
    for (const le::OutputSection* s : link_->order)
      if (s->name == name) return s;
    return nullptr;
  }
  std::vector<std::string> order() const {  // of the output's sections with contents
    std::vector<std::string> names;
    for (const le::OutputSection* s : link_->order)
      if (s->size && !s->name.empty()) names.push_back(s->name);
    return names;
  }
  std::vector<fe::Phdr> segments(uint32_t type = fe::PT_LOAD) const {
    std::vector<fe::Phdr> found;
    for (const fe::Phdr& p : link_->phdrs)
      if (p.type == type) found.push_back(p);
    return found;
  }
  uint64_t unwind_entries() const { return link_->eh_frame_fde_count; }

 private:
  struct Memory {
    std::string name;
    std::vector<uint8_t> bytes;
  };

  // As main_with() does; the link prints nothing.
  void open() {
    REQUIRE(!link_);
    std::vector<std::string> warnings, arguments{"lode"};
    arguments.insert(arguments.end(), arguments_.begin(), arguments_.end());
    auto parsed = le::parse_options(arguments, options_, warnings);
    INFO((parsed.ok() ? "" : parsed.error().text()));
    REQUIRE(parsed.ok());
    for (const Memory& m : memory_) options_.memory.push_back({m.name, m.name, m.bytes, nullptr, {}});
    link_ = std::make_unique<le::Link>(options_, inputs_);
    link_->diag.program = "lode";
    link_->diag.sink = &messages_;
    inputs_.begin(le::read_options(*link_));
  }

  const le::Symbol* symbol(std::string_view name) const {
    const uint32_t id = link_->names.find(name);
    return id == le::none ? nullptr : &link_->symbols[id];
  }
  const le::Symbol& require(std::string_view name) const {
    const le::Symbol* s = symbol(name);
    INFO(name);
    REQUIRE(s);
    return *s;
  }
  uint32_t index(const std::string& file, std::string_view section) const {
    for (const auto& f : link_->files) {
      if (!f->is_object() || f->name != file) continue;
      const auto& o = static_cast<const le::ObjectFile&>(*f);
      for (uint32_t i = 1; i < o.sections.size(); i++)
        if (le::section_name(o, i) == section) return o.atom_base + i;
    }
    FAIL("no section " << section << " in " << file);
    return 0;
  }
  const le::Atom& atom(const std::string& file, std::string_view section) const {
    return link_->atoms[index(file, section)];
  }

  TempDir folder_;
  std::vector<std::string> arguments_;
  std::list<Memory> memory_;
  std::string messages_;
  le::Options options_;
  le::KeptInputs inputs_;
  std::unique_ptr<le::Link> link_;
  bool ok_ = true;
};

}  // namespace lode::test
