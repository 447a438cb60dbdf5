// A link as the list of its passes (link.h says what each leaves to the next).
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "link/elf/code/asm_sections.h"
#include "link/elf/code/debug_sections.h"
#include "link/elf/code/lower.h"
#include "link/elf/link.h"
#include "link/elf/machines/machine.h"

namespace lode::link::elf {

// Without -m the first object says for which machine the output is, as with lld and mold.
static const Machine* machine_of_inputs(const Options& options) {
  for (const InputArg& input : options.inputs) {
    if (input.kind != InputArg::file || input.binary) continue;
    std::array<uint8_t, 20> head{};
    const auto memory = std::find_if(options.memory.begin(), options.memory.end(),
                                     [&](const MemoryInput& m) { return m.key == input.name; });
    if (memory != options.memory.end()) {
      std::copy_n(memory->data.begin(), std::min(memory->data.size(), head.size()), head.begin());
    } else {
      struct stat st;  // what is read from a pipe is gone
      if (stat(input.name.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
      const int fd = open(input.name.c_str(), O_RDONLY | O_CLOEXEC);
      if (fd < 0) continue;
      if (pread(fd, head.data(), head.size(), 0) != ssize_t(head.size())) head = {};
      close(fd);
    }
    if (!is_elf(head)) continue;
    for (const Machine* m : machines())
      if (m->elf_machine == load_le<uint16_t>(head.data() + 18)) return m;
  }
  return machines().front();
}

Link::Link(const Options& options, KeptInputs& kept) : opt(options), inputs(kept) {
  machine = opt.emulation.empty() ? machine_of_inputs(opt) : machine_of_emulation(opt.emulation);
  if (!machine) machine = machines().front();  // the options were wrong, which has been said
  relocatable = opt.kind == OutputKind::relocatable;
  shared = opt.kind == OutputKind::shared;
  pic = shared || opt.kind == OutputKind::pie;
  entry_name = opt.entry;
  interpreter = opt.dynamic_linker.empty() ? machine->dynamic_linker : opt.dynamic_linker;
  const size_t slash = opt.program.rfind('/');
  diag.program = slash == std::string::npos ? opt.program : opt.program.substr(slash + 1);
  diag.fatal_warnings = opt.fatal_warnings;
  diag.no_warnings = opt.no_warnings;
  diag.color = opt.color;
  diag.error_limit = opt.error_limit;
  diag.demote_errors = opt.noinhibit_exec;
  auto own = std::make_unique<ObjectFile>();
  own->kind = FileKind::internal;
  own->name = "<internal>";
  own->alive = own->parsed = true;
  static const Sym null_symbol{};
  own->syms = {&null_symbol, 1};
  own->first_global = 1;
  internal = own.get();
  files.push_back(std::move(own));
}

namespace {

struct Pass {
  Pass(Link& l, const char* name) : link(l) { link.timers.push_back({name, clock_seconds(), 0}); }
  ~Pass() { link.timers.back().end = clock_seconds(); }
  Link& link;
};

}  // namespace

bool run(Link& link) {
  const Options& o = link.opt;
  {
    Pass p(link, "open");
    if (!open_inputs(link) || !read_version_scripts(link)) return false;
  }
  for (;;) {
    {
      Pass p(link, "resolve");
      if (!resolve(link)) return false;
      trace_symbols(link);
      report_extractions(link);
      if (link.machine->merge_flags) link.e_flags = link.machine->merge_flags(link);
      if (link.relocatable) return link_relocatable(link);
      if (link.objects.empty() && link.shareds.empty() && link.archives.empty()) {
        link.diag.error("no input files");
        return false;
      }
      reject_hidden_imports(link);
      drop_unneeded(link);
      link.is_static_output = o.kind == OutputKind::exec &&
                              (o.is_static || (link.shareds.empty() && o.dynamic_linker.empty())) && !o.export_dynamic;
      if (o.kind == OutputKind::exec && o.is_static) link.is_static_output = true;
      report_duplicates(link);
      check_entry(link);
      warn_symbol_types(link);
      assign_versions(link);
      define_early_symbols(link);
      check_shared_undefined(link);
      check_assignments(link);
      compute_import_export(link);
      if (link.diag.has_errors()) return false;
    }
    {
      Pass p(link, "live");
      split_mergeable(link);
      if (!mark_live(link)) return false;
    }
    if (!link.has_modules) break;
    const bool members = take_late_members(link), sections = add_asm_sections(link);
    if (!members && !sections) break;
  }
  {
    Pass p(link, "sections");
    if (link.has_modules) place_functions(link);
    add_debug_sections(link);
    assign_sections(link);
    fold_identical(link);
    allocate_commons(link);
    define_linker_symbols(link);
    refresh_assignments(link, false);
    compute_import_export(link);
    if (link.has_modules && !measure_functions(link)) return false;
    complete_asm_sections(link);
    complete_debug_sections(link);
    collect_members(link);
    uint64_t total = 0;
    for (auto& s : link.sections) total += s->alloc() ? s->size : 0;
    link.large_image = total >= uint64_t{1} << 30;
    if (link.machine->report_properties) link.machine->report_properties(link);
    warn_execstack(link);
  }
  {
    Pass p(link, "scan");
    scan_relocations(link);
    if (link.has_textrel && (o.warn_textrel || (link.shared && o.warn_shared_textrel)))
      link.diag.warning(
          "creating a DT_TEXTREL in an output file: its code will be written to at start-up; recompile with " +
          std::string(link.shared ? "-fPIC" : "-fPIE"));
    if (link.diag.has_errors()) return false;
  }
  {
    Pass p(link, "layout");
    create_synthetic_sections(link);
    create_dynamic_sections(link);
    size_symtab(link);
    create_emitted_relocations(link);
    if (!layout_all(link)) return false;
    if (link.opt.gdb_index && !create_gdb_index(link)) return false;
    if (!link.opt.compress_sections.empty() && !compress_sections(link)) return false;
    check_layout(link);
  }
  {
    Pass p(link, "write");
    if (link.diag.flush()) return false;
    if (!write_output(link)) return false;
  }
  return !link.diag.has_errors();
}

}  // namespace lode::link::elf
