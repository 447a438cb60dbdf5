// See survey.h.
#include "link/elf/relink/survey.h"

#include <algorithm>
#include <unordered_set>

namespace lode::link::elf {

bool Survey::open() {
  if (!open_inputs(link_) || link_.diag.has_errors()) return false;
  std::vector<uint32_t> lazy_of_file(link_.files.size(), none);
  for (uint32_t l = 0; l < link_.lazy.size(); l++)
    if (const uint32_t id = link_.lazy[l].file; id != none) lazy_of_file[id] = l;
  file_of_lazy_.assign(link_.lazy.size(), none);
  for (auto& f : link_.files) {
    if (f->kind == FileKind::internal) continue;
    if (f->kind == FileKind::shared) {
      auto read = read_shared(f->data, *link_.machine);
      if (!read) return false;
      auto& so = static_cast<SharedFile&>(*f);
      if (!read->soname.empty()) so.soname = read->soname;
      shareds_.push_back({&so, std::move(*read)});
      continue;
    }
    if (static_cast<ObjectFile&>(*f).made) return false;
    if (lazy_of_file[f->id] != none) file_of_lazy_[lazy_of_file[f->id]] = uint32_t(files_.size());
    const std::string& path = f->archive_name.empty() ? f->path : f->archive_name;
    files_.push_back({path, f->name, f->priority, f->data, 0, f->alive, f->exclude_libs});
    if (f->archive_name.empty()) continue;
    for (const auto& ar : link_.archives)
      if (ar->path == path && f->data.data() >= ar->data.data() && f->data.data() < ar->data.data() + ar->data.size())
        files_.back().offset = uint64_t(f->data.data() - ar->data.data());
  }
  for (uint32_t l = 0; l < link_.lazy.size(); l++) {
    const LazyMember& m = link_.lazy[l];
    if (m.file != none) continue;
    const ArchiveInput& ar = *link_.archives[m.archive];
    if (!ar.contents || ar.contents->archive.thin) return false;
    const formats::ArchiveMember& member = ar.contents->archive.members[m.member];
    file_of_lazy_[l] = uint32_t(files_.size());
    files_.push_back({ar.path, ar.path + "(" + std::string(member.name) + ")", m.priority, member.data,
                      uint64_t(member.data.data() - ar.data.data()), m.taken, ar.exclude_libs});
  }
  // By priority, and what speaks of their places follows.
  std::vector<uint32_t> order(files_.size()), place(files_.size());
  for (uint32_t i = 0; i < order.size(); i++) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return files_[a].priority < files_[b].priority; });
  std::vector<SurveyedFile> sorted;
  for (uint32_t i = 0; i < order.size(); i++) {
    place[order[i]] = i;
    sorted.push_back(std::move(files_[order[i]]));
  }
  files_ = std::move(sorted);
  for (uint32_t& i : file_of_lazy_)
    if (i != none) i = place[i];
  return true;
}

uint32_t Survey::find(std::string_view name, Offer& offer) {
  const uint64_t hash = hash_name(name);
  uint32_t best = none, member = none;
  for (const Library& l : shareds_) {
    if (l.file->priority >= best) continue;
    for (size_t i = 0; i < l.contents.names.size(); i++) {
      const NameContents& n = l.contents.names[i];
      if (n.hash != hash || l.contents.symbols[i].shndx == SHN_UNDEF || text_at(l.file->data, n) != name) continue;
      best = l.file->priority;
      offer.is_shared = true;
      offer.definition = l.contents.symbols[i];
      offer.soname = l.file->soname;
      const uint16_t v = l.contents.versions[i];
      offer.version = v >= 2 && v < l.contents.version_names.size()
                          ? std::string(text_at(l.file->data, l.contents.version_names[v]))
                          : std::string();
      break;
    }
  }
  for (const auto& ar : link_.archives)
    for (size_t i = 0; i < ar->names.names.size(); i++) {
      const NameRef& n = ar->names.names[i];
      if (n.hash != hash || n.str() != name) continue;
      const LazyMember& m = link_.lazy[ar->members[i]];
      if (m.priority >= best) continue;
      best = m.priority;
      member = file_of_lazy_[ar->members[i]];
    }
  if (member != none) offer = Offer{};
  else if (offer.is_shared) describe_library(offer, best);
  return member;
}

void Survey::describe_library(Offer& offer, uint32_t priority) {
  const Library* own = nullptr;
  for (const Library& l : shareds_) {
    if (l.file->priority == priority) own = &l;
    if (l.file->priority > priority) offer.following.push_back(l.file->soname);
  }
  std::unordered_set<uint64_t> wanted;
  for (size_t i = 0; own && i < own->contents.names.size(); i++)
    if (own->contents.symbols[i].shndx == SHN_UNDEF && own->contents.symbols[i].bind() != STB_WEAK)
      wanted.insert(own->contents.names[i].hash);
  for (const Library& l : shareds_) {
    if (&l == own) continue;
    const bool named = std::any_of(own->contents.needed.begin(), own->contents.needed.end(), [&](const auto& n) {
      return text_at(own->file->data, n) == l.file->soname;
    });
    for (size_t i = 0; !named && i < l.contents.names.size(); i++)
      if (l.contents.symbols[i].shndx != SHN_UNDEF && wanted.count(l.contents.names[i].hash)) {
        offer.asks.push_back(l.file->soname);
        break;
      }
  }
}

}  // namespace lode::link::elf
