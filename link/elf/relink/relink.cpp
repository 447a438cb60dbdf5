// See relink.h.
#include "link/elf/relink/relink.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "link/elf/relink/delta.h"
#include "formats/archive.h"
#include "link/cache/mir_cache.h"
#include "link/common/lookups.h"

namespace lode::link::elf {

namespace {

class Relink {
 public:
  Relink(const Options& options, const std::vector<std::string>& args) : opt_(options), args_(args) {}

  RelinkOutcome run() {
    out_.kind = RelinkOutcome::full;
    if (!begin() || !compare_arguments() || !compare_files()) return out_;
    if (auto r = image_.open(opt_.output, meta_.image, opt_.kind != OutputKind::shared); !r) {
      give_up(r.error().text());
      return out_;
    }
    if (!changed_.empty()) {
      std::optional<DeltaLink> delta;
      if (!find_inputs()) return out_;
      if (!inputs_.empty()) {
        FunctionFile kept;
        std::optional<MirCache> functions;
        if (!opt_.mir_cache.empty()) {
          functions.emplace(opt_.mir_cache, opt_.mir_cache_size);
          if (!functions->prepare()) functions.reset();
        } else if (meta_.has_modules) {
          kept.open(FunctionFile::name_of(opt_.output), MirCache::this_generator());
          functions.emplace(kept, false);
        }
        delta.emplace(opt_, kept_, state_, image_, functions ? &*functions : nullptr);
        const bool good = delta->run(inputs_);
        if (functions) functions->finish(good);
        if (!good) {
          give_up(delta->why());
          return out_;
        }
        out_.moved_symbols = delta->moved_symbols();
        out_.sites = delta->relocated_sites();
      }
      out_.changed_files = uint32_t(inputs_.size());
    }
    if (!note_files() || !commit()) return out_;
    out_.kind = changed_.empty() ? RelinkOutcome::unchanged : RelinkOutcome::in_place;
    return out_;
  }

 private:
  struct Changed {
    uint32_t observed;
    std::string path;
    FileStamp identity;
    Bytes data{};                // once it is open
  };

  bool give_up(std::string why) {
    if (out_.reason.empty()) out_.reason = std::move(why);
    return false;
  }

  bool begin() {
    if (opt_.incremental_full) return give_up("--incremental-full");
    if (auto r = state_.file.open(state_name(opt_), state_version, state_generator()); !r)
      return give_up(r.error().text());
    meta_ = state_.meta[0];
    if (state_.file.damaged()) return give_up("the state file is damaged");
    if (!(meta_.options == options_key(opt_, args_))) return give_up("the options changed");
    if (meta_.recorded_at > file_clock()) return give_up("the clock was set back");
    if (meta_.wasted * 4 > meta_.file_size + (uint64_t{1} << 20)) return give_up("a quarter of the output is unused");
    return true;
  }

  bool compare_arguments() {
    const uint32_t inputs = uint32_t(opt_.inputs.size()), folders = uint32_t(opt_.library_paths.size());
    if (state_.arguments.size() != inputs + folders) return give_up("inputs were added or removed");
    for (uint32_t i = 0; i < folders; i++) {
      const StateArgument& old = state_.arguments[inputs + i];
      if (old.kind != library_path_argument) return give_up("inputs were added or removed");
      const std::string_view was = state_.text(old.name);
      if (was != opt_.library_paths[i]) moved_folders_.emplace_back(was, opt_.library_paths[i]);
    }
    for (uint32_t i = 0; i < opt_.inputs.size(); i++) {
      const InputArg& a = opt_.inputs[i];
      const StateArgument& old = state_.arguments[i];
      const uint32_t flags = uint32_t(a.as_needed) | uint32_t(a.whole_archive) << 1 | uint32_t(a.is_static) << 2 |
                             uint32_t(a.binary) << 3;
      if (old.kind != uint32_t(a.kind) || old.flags != flags) return give_up("inputs are given in another way");
      if (a.kind != InputArg::file && state_.text(old.name) != a.name) return give_up("other libraries are asked for");
    }
    return !state_.file.damaged() || give_up("the state file is damaged");
  }

  bool compare_files() {
    const int64_t now = file_clock();
    const auto all = state_.observed.range(0, state_.observed.size());
    if (all.size() != state_.observed.size()) return give_up("the state file is damaged");
    for (uint32_t i = 0; i < all.size(); i++) {
      const StateObserved& o = all[i];
      if (o.argument != none && o.argument >= opt_.inputs.size()) return give_up("the state file is damaged");
      std::string path = o.argument == none ? std::string(state_.text(o.path)) : opt_.inputs[o.argument].name;
      if (o.argument == none)
        for (const auto& [was, is] : moved_folders_)
          if (path.starts_with(was) && path.size() > was.size() && path[was.size()] == '/')
            path = is + path.substr(was.size());
      FileStamp found;
      note_lookup(path);  // for who watches the inputs
      const bool exists = identify(path, found);
      if (exists != bool(o.exists)) return give_up(path + (exists ? " is there now" : " is gone"));
      if (!exists) continue;
      if (found == o.identity) {
        if (!o.hash) continue;
        uint64_t hash = 0;
        if (!hash_file(path, hash)) return give_up(path + " cannot be read");
        if (hash == o.hash) {
          if (!is_young(found.modified, now)) settled_.push_back(i);
          continue;
        }
      }
      changed_.push_back({i, std::move(path), found});
    }
    return !state_.file.damaged() || give_up("the state file is damaged");
  }

  // What of the changed files took part in the last link.
  bool find_inputs() {
    std::map<uint32_t, std::vector<uint32_t>> of;  // inputs by observed file
    for (const Changed& c : changed_) of[c.observed];
    for (uint32_t k = 1; k < state_.inputs.size(); k++)
      if (auto it = of.find(state_.inputs[k].observed); it != of.end()) it->second.push_back(k);
    kept_.begin({});
    for (Changed& c : changed_) {
      const std::vector<uint32_t>& inputs = of[c.observed];
      auto file = kept_.files.open(c.path);
      if (!file) return give_up(c.path + " cannot be read");
      const Bytes data = c.data = file->data;
      if (inputs.empty()) return give_up(c.path + " changed, which is no object that took part");
      if (formats::Archive::is_archive(data)) {
        if (!find_members(c, data, inputs)) return false;
        continue;
      }
      if (inputs.size() != 1 || state_.inputs[inputs[0]].offset) return give_up(c.path + " was an archive");
      add(inputs[0], c, c.path, data);
    }
    return true;
  }

  void add(uint32_t input, const Changed& c, std::string name, Bytes data) {
    const StateInput& in = state_.inputs[input];
    if (in.hash && in.size == data.size() && in.hash == content_hash(data)) return;
    inputs_.push_back({input, std::move(name), c.path, data});
  }

  bool find_members(const Changed& c, Bytes data, const std::vector<uint32_t>& inputs) {
    auto archive = formats::Archive::open(data);
    if (!archive) return give_up(c.path + " is damaged");
    if (archive->thin) return give_up(c.path + " is a thin archive");
    const uint32_t argument = state_.observed[c.observed].argument;
    if (argument != none && opt_.inputs[argument].whole_archive && archive->members.size() != inputs.size())
      return give_up("the members of " + c.path + " changed");
    std::map<std::string_view, uint32_t> next;  // by name: from which member on to look
    for (const uint32_t k : inputs) {
      const std::string_view full = state_.text(state_.inputs[k].name);
      const size_t open = full.rfind('(');
      if (open == std::string_view::npos || !full.ends_with(")")) return give_up(c.path + " was no archive");
      const std::string_view name = full.substr(open + 1, full.size() - open - 2);
      uint32_t& at = next[name];
      while (at < archive->members.size() && archive->members[at].name != name) at++;
      if (at == archive->members.size()) return give_up(c.path + " has no member " + std::string(name) + " any more");
      add(k, c, c.path + "(" + std::string(name) + ")", archive->members[at].data);
      at++;
    }
    // A name that the archive has now may be one that another library gave before.
    uint32_t priority = none;
    for (const uint32_t k : inputs) priority = std::min(priority, state_.inputs[k].priority);
    for (const formats::ArchiveSymbol& s : archive->index) {
      const uint32_t n = state_.find_symbol(s.name, hash_name(s.name));
      if (n == none) continue;
      const StateSymbol& st = state_.symbols[n];
      if (st.file == 0 || (st.flags & (state_gone | state_undefined | state_linker_defined))) continue;
      if (st.file == none) return give_up(c.path + " defines what a shared library did");
      const StateInput& in = state_.inputs[st.file];
      if (in.observed != c.observed && in.offset && in.priority > priority)
        return give_up(c.path + " defines what " + std::string(state_.text(in.name)) + " did");
    }
    return true;
  }

  bool note_files() {
    for (const uint32_t i : settled_)
      if (StateObserved* o = state_.observed.edit(i)) o->hash = 0;
    const int64_t now = file_clock();
    for (const Changed& c : changed_) {
      StateObserved* o = state_.observed.edit(c.observed);
      if (!o) return give_up("the state file is damaged");
      o->identity = c.identity;
      o->hash = is_young(c.identity.modified, now) ? content_hash(c.data) : 0;
    }
    // Folders keep the names by which what was looked for in them is noted.
    for (uint32_t i = 0; i < opt_.inputs.size(); i++) {
      if (state_.text(state_.arguments[i].name) == opt_.inputs[i].name) continue;
      StateText name;
      if (!state_.add_text(opt_.inputs[i].name, name)) return give_up("no room for names");
      if (StateArgument* a = state_.arguments.edit(i)) a->name = name;
    }
    return !state_.file.damaged() || give_up("the state file is damaged");
  }

  bool commit() {
    if (auto r = kept_.files.check_unchanged(); !r) return give_up(r.error().text());
    if (auto r = state_.file.begin_commit(); !r) return give_up(r.error().text());
    FileStamp identity;
    if (auto r = image_.commit(identity); !r) return give_up(r.error().text());
    if (StateMeta* m = state_.meta.edit(0)) {
      m->image = identity;
      m->recorded_at = file_clock();
    }
    if (auto r = state_.file.end_commit(); !r) return give_up(r.error().text());
    out_.image_bytes = image_.changed_bytes();
    out_.state_bytes = state_.file.bytes_written();
    return true;
  }

  const Options& opt_;
  const std::vector<std::string>& args_;
  State state_;
  StateMeta meta_;
  ImageFile image_;
  KeptInputs kept_;
  std::vector<Changed> changed_;
  std::vector<std::pair<std::string, std::string>> moved_folders_;  // of -L: what they were called, and are
  std::vector<uint32_t> settled_;
  std::vector<ChangedInput> inputs_;
  RelinkOutcome out_;
};

}  // namespace

std::string RelinkOutcome::text() const {
  if (kind == full) return "relink: full (" + reason + ")";
  if (kind == unchanged) return "relink: nothing changed";
  return "relink: in place, " + std::to_string(changed_files) + (changed_files == 1 ? " file" : " files") +
         " changed, " + std::to_string(moved_symbols) + " symbols moved, " + std::to_string(sites) +
         " places of other files, " + std::to_string(image_bytes) + " bytes written, " + std::to_string(state_bytes) +
         " of the state";
}

RelinkOutcome relink(const Options& options, const std::vector<std::string>& args) {
  return Relink(options, args).run();
}

}  // namespace lode::link::elf
