// Why archive members take part: --why-extract, --warn-backrefs, --print-archive-stats.
//
// Resolution takes members in rounds and keeps no reasons. They are found again here, when somebody asks: from the
// files that were named themselves, references lead to members, which refer to further ones. The first reference in the
// order of the inputs is the reason.
//
// A back reference is a member that linkers which search archives once would not take: nothing that stands before the
// end of its archive, or of the archive's group, refers to it.
#include <algorithm>

#include "link/elf/link.h"

namespace lode::link::elf {

namespace {

struct Reason {
  std::string reference;  // a file, or an option
  uint32_t symbol = none;
  bool by_option = false;
};

class Extraction {
 public:
  explicit Extraction(Link& link) : link_(link), archive_of_(link.files.size(), none), reasons_(link.files.size()) {
    for (const LazyMember& m : link_.lazy)
      if (m.taken && m.file != none && !link_.archives[m.archive]->whole && link_.files[m.file]->alive)
        archive_of_[m.file] = m.archive;
    definer_.assign(link_.symbols.size(), none);
    for (ObjectFile* f : link_.objects)
      if (archive_of_[f->id] != none)
        for (uint32_t i = f->first_global; i < f->syms.size(); i++)
          if (uint32_t& d = definer_[f->symbol_id(i)]; f->syms[i].shndx != SHN_UNDEF && d == none) d = f->id;
  }

  void find_reasons() {
    std::vector<uint32_t> queue;
    auto take = [&](uint32_t symbol, std::string reference, bool by_option) {
      uint32_t member = symbol == none ? none : definer_[symbol];
      if (member == none || reasons_[member].symbol != none) return;
      reasons_[member] = {std::move(reference), symbol, by_option};
      queue.push_back(member);
    };
    take(link_.names.find(link_.entry_name), "--entry", true);
    for (const std::string& u : link_.opt.undefined) take(link_.names.find(u), "--undefined", true);
    for (const std::string& u : link_.script_roots) take(link_.names.find(u), "EXTERN", true);
    for (const std::string& u : link_.opt.require_defined) take(link_.names.find(u), "--require-defined", true);
    for (uint32_t id = 0; id < link_.symbols.size(); id++)
      if (link_.symbols[id].flags & is_root) take(id, "<internal>", true);
    auto follow = [&](ObjectFile& f) {
      each_reference(f, [&](uint32_t symbol) { take(symbol, f.name, false); });
    };
    for (ObjectFile* f : link_.objects)
      if (archive_of_[f->id] == none) follow(*f);
    for (size_t i = 0; i < queue.size(); i++) follow(link_.object(queue[i]));
  }

  std::string listing() const {
    std::string text = "reference\textracted\tsymbol\n";
    for (const ObjectFile* f : link_.objects) {
      if (archive_of_[f->id] == none) continue;
      const Reason& r = reasons_[f->id];
      text += (r.symbol == none ? "<internal>" : r.reference) + "\t" + f->name + "\t" +
              (r.symbol == none ? "" : link_.display(link_.symbols[r.symbol])) + "\n";
    }
    return text;
  }

  void warn_of_back_references() {
    std::vector<bool> forward(link_.files.size());
    for (ObjectFile* f : link_.objects)
      each_reference(*f, [&](uint32_t symbol) {
        uint32_t d = definer_[symbol];
        if (d != none && f->id != d && f->priority <= reach(d)) forward[d] = true;
      });
    for (const ObjectFile* f : link_.objects) {
      const Reason& r = reasons_[f->id];
      if (archive_of_[f->id] == none || r.symbol == none || r.by_option || forward[f->id]) continue;
      const std::string& archive = f->archive_name.empty() ? f->name : f->archive_name;
      if (std::any_of(link_.opt.warn_backrefs_exclude.begin(), link_.opt.warn_backrefs_exclude.end(),
                      [&](auto& glob) { return formats::glob_match(glob, archive); }))
        continue;
      link_.diag.warning("backward reference detected: " + link_.display(link_.symbols[r.symbol]) + " in " +
                             r.reference + " refers to " + f->name,
                         uint64_t(f->priority) << 32);
    }
  }

 private:
  template <class F>
  void each_reference(ObjectFile& f, F&& report) {
    for (uint32_t i = f.first_global; i < f.syms.size(); i++)
      if (f.syms[i].shndx == SHN_UNDEF && f.syms[i].bind() != STB_WEAK) report(f.symbol_id(i));
  }

  // The highest priority of files whose references a single search would have seen.
  uint32_t reach(uint32_t member) const {
    uint32_t archive = archive_of_[member], last = 0;
    for (const LazyMember& m : link_.lazy)
      if (m.archive == archive) last = std::max(last, m.priority);
    for (auto& [begin, end] : link_.input_groups)
      if (link_.files[member]->priority >= begin && link_.files[member]->priority < end) last = std::max(last, end - 1);
    return last;
  }

  Link& link_;
  std::vector<uint32_t> archive_of_;  // by file; none: not a member that was taken
  std::vector<uint32_t> definer_;     // by symbol: the member that defines it
  std::vector<Reason> reasons_;       // by file
};

std::string archive_stats(const Link& link) {
  std::vector<size_t> members(link.archives.size()), taken(link.archives.size());
  for (const LazyMember& m : link.lazy) {
    members[m.archive]++;
    taken[m.archive] += m.taken;
  }
  std::string text = "members\textracted\tarchive\n";
  for (size_t i = 0; i < link.archives.size(); i++)
    if (!link.archives[i]->path.empty())
      text += std::to_string(members[i]) + "\t" + std::to_string(taken[i]) + "\t" + link.archives[i]->path + "\n";
  return text;
}

}  // namespace

void report_extractions(Link& link) {
  const Options& o = link.opt;
  if (!o.print_archive_stats.empty()) write_report(link, o.print_archive_stats, archive_stats(link));
  if (o.why_extract.empty() && !o.warn_backrefs) return;
  Extraction extraction(link);
  extraction.find_reasons();
  if (!o.why_extract.empty()) write_report(link, o.why_extract, extraction.listing());
  if (o.warn_backrefs) extraction.warn_of_back_references();
}

}  // namespace lode::link::elf
