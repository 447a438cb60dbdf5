// See relink.h.
#include "link/elf/relink/relink.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "link/elf/relink/delta.h"
#include "link/elf/relink/survey.h"
#include "link/common/parallel.h"
#include "link/common/module_file.h"
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
    if (meta_.fixed.size && has_changes()) {
      give_up(std::string(state_.text(meta_.fixed)));
      return out_;
    }
    if (auto r = image_.open(opt_.output, meta_.image, opt_.kind != OutputKind::shared); !r) {
      give_up(r.error().text());
      return out_;
    }
    if (has_changes()) {
      state_.use_image({image_.data(), image_.size()});
      if (!find_inputs()) return out_;
      out_.changed_files = uint32_t(inputs_.size());
      const SerialScope serial(is_small());
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
        const bool good = link_delta(functions ? &*functions : nullptr);
        if (functions) functions->finish(good);
        if (!good) return out_;
      }
    }
    if (!note_files() || !commit()) return out_;
    out_.kind = has_changes() ? RelinkOutcome::in_place : RelinkOutcome::unchanged;
    return out_;
  }

 private:
  bool has_changes() const {
    return !changed_.empty() || !added_.empty() || !inputs_.empty() || !moved_inputs_.empty();
  }

  // Whether one thread is done before others would have begun. Of modules too: most of their functions are kept.
  bool is_small() const {
    constexpr uint64_t few = 4 << 20;
    uint64_t size = 0;
    for (const ChangedInput& c : inputs_) size += c.data.size();
    return size <= few || opt_.threads == 1;
  }

  // A delta link that finds that others' files matter is begun anew with them: so far it has only looked. There are few
  // such rounds, each for what the last one brought in. What dies in other files may stay, if it is too deep.
  bool link_delta(MirCache* functions) {
    constexpr int max_rounds = 24, death_rounds = 6;
    for (int round = 0; round < max_rounds; round++) {
      if (functions) functions->begin();
      DeltaLink delta(opt_, kept_, state_, image_, offers_, functions, round < death_rounds);
      if (delta.run(inputs_)) {
        out_.moved_symbols = delta.moved_symbols();
        out_.sites = delta.relocated_sites();
        return true;
      }
      if (delta.wanted_inputs().empty() && delta.wanted_names().empty()) return give_up(delta.why());
      for (const std::string& name : delta.wanted_names())
        if (!ask_libraries(name)) return false;
      for (const uint32_t k : delta.wanted_inputs())
        if (!bring_in(k)) return give_up(delta.why());
    }
    return give_up("too many files depend on the change");
  }

  // Who would define a name that is new in the link: a library, whose word is kept, or a member of an archive, which
  // joins.
  bool ask_libraries(const std::string& name) {
    if (!survey_ && !survey()) return false;
    Offer& offer = offers_[name];
    const uint32_t member = survey_->find(name, offer);
    if (member == Survey::no_member) return true;
    const SurveyedFile& f = survey_->files()[member];
    uint32_t input = 0;
    // It may have joined for another name already. One that the link has had would have said so.
    for (const ChangedInput& c : inputs_)
      if (c.input == input_of_file_[member]) return true;
    if (input_of_file_[member] != none) return give_up("new reference to " + name + ", which " + f.name + " has");
    return new_input(f, input) && bring_in_bytes(input, f);
  }

  // The command line's files are listed; the state's inputs are found among them, and get their places in the order.
  bool survey() {
    survey_.emplace(opt_, kept_);
    if (!survey_->open()) return give_up("an input cannot be listed");
    const std::vector<SurveyedFile>& files = survey_->files();
    // Names of members may repeat; then they stand in the same order.
    std::unordered_map<std::string, std::vector<uint32_t>> by_name;
    for (uint32_t i = uint32_t(files.size()); i-- > 0;) by_name[files[i].name].push_back(i);
    input_of_file_.assign(files.size(), none);
    std::vector<uint32_t> order;
    for (uint32_t k = 1; k < state_.inputs.size(); k++)
      if (state_.inputs[k].observed != none) order.push_back(k);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return state_.inputs[a].priority < state_.inputs[b].priority; });
    uint32_t last = 0;
    for (const uint32_t k : order) {
      const StateInput in = state_.inputs[k];
      if (in.flags & input_removed) continue;
      std::string name = path_of(state_.observed[in.observed]);
      const std::string_view old = state_.text(in.name);
      if (const size_t open = old.rfind('('); open != std::string_view::npos && in.offset) name += old.substr(open);
      const auto it = by_name.find(name);
      if (it == by_name.end() || it->second.empty()) return give_up("inputs were added or removed");
      const uint32_t i = it->second.back();
      it->second.pop_back();
      if (!has_moved(k)) {
        if (files[i].priority < last) return give_up("inputs were given in another order");
        last = files[i].priority;
      }
      input_of_file_[i] = k;
      if (in.priority == files[i].priority) continue;
      if (StateInput* p = state_.inputs.edit(k)) p->priority = files[i].priority;
    }
    return !state_.file.damaged() || give_up("the state file is damaged");
  }

  // A record for a file that takes part now.
  bool new_input(const SurveyedFile& f, uint32_t& input) {
    StateInput in;
    if (!state_.add_text(f.name, in.name)) return give_up("no room for names");
    if (!observed_file(f.path, in.observed)) return give_up(f.path + " was not looked at");
    in.offset = f.offset;
    in.size = f.data.size();
    in.kind = uint32_t(is_ir(f.data, f.path) ? FileKind::module : FileKind::object);
    in.priority = f.priority;
    in.flags = f.exclude_libs ? uint32_t(input_exclude_libs) : 0;
    input = state_.inputs.size();
    return state_.inputs.push(in) || give_up("no room for inputs");
  }

  bool observed_file(const std::string& path, uint32_t& index) {
    for (uint32_t i = 0; i < state_.observed.size(); i++)
      if (state_.observed[i].exists && path_of(state_.observed[i]) == path) {
        index = i;
        return true;
      }
    return false;
  }

  bool bring_in_bytes(uint32_t input, const SurveyedFile& f) {
    for (uint32_t i = 0; i < survey_->files().size(); i++)
      if (&survey_->files()[i] == &f) input_of_file_[i] = input;
    inputs_.push_back({input, f.name, f.path, f.data});
    return true;
  }

  // A file that did not change joins those that did.
  bool bring_in(uint32_t input) {
    for (const ChangedInput& c : inputs_)
      if (c.input == input) return true;
    const StateInput in = state_.inputs[input];
    if (in.observed == none || state_.file.damaged()) return false;
    const std::string path = path_of(state_.observed[in.observed]);
    auto file = kept_.files.open(path);
    if (!file || in.offset > file->data.size() || in.size > file->data.size() - in.offset) return false;
    const std::string_view name = state_.text(in.name);
    inputs_.push_back({input, std::string(name), path, file->data.subspan(in.offset, in.size)});
    return true;
  }

  // Where an observed file is now: names of inputs may change, and folders of -L.
  std::string path_of(const StateObserved& o) {
    if (o.argument != none) return o.argument < opt_.inputs.size() ? opt_.inputs[o.argument].name : std::string();
    std::string path(state_.text(o.path));
    for (const auto& [was, is] : moved_folders_)
      if (path.starts_with(was) && path.size() > was.size() && path[was.size()] == '/')
        return is + path.substr(was.size());
    return path;
  }

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
    if (state_.arguments.size() != inputs + folders || inputs_shifted()) {
      if (meta_.fixed.size) return give_up("inputs were added or removed");
      if (!compare_inputs()) return false;
    }
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
      const uint32_t flags = flags_of(a);
      if (old.kind != uint32_t(a.kind) || old.flags != flags) return give_up("inputs are given in another way");
      if (a.kind != InputArg::file && state_.text(old.name) != a.name) return give_up("other libraries are asked for");
    }
    return !state_.file.damaged() || give_up("the state file is damaged");
  }

  // As many inputs, but some stand where others did. New names where no old one is are renamed inputs.
  bool inputs_shifted() {
    std::vector<uint32_t> differ;
    for (uint32_t i = 0; i < opt_.inputs.size(); i++)
      if (state_.text(state_.arguments[i].name) != opt_.inputs[i].name) differ.push_back(i);
    if (differ.empty()) return false;
    auto ending = [](std::string_view name) { return name.substr(std::min(name.rfind('.'), name.size())); };
    std::unordered_set<std::string_view> old;
    for (const uint32_t i : differ) {
      const std::string_view name = state_.text(state_.arguments[i].name);
      if (ending(name) != ending(opt_.inputs[i].name)) return true;  // another kind of file
      old.insert(name);
    }
    return std::any_of(differ.begin(), differ.end(), [&](uint32_t i) { return old.count(opt_.inputs[i].name) != 0; });
  }

  static uint32_t flags_of(const InputArg& a) {
    return uint32_t(a.as_needed) | uint32_t(a.whole_archive) << 1 | uint32_t(a.is_static) << 2 |
           uint32_t(a.binary) << 3;
  }

  // More inputs than before, fewer, or others in their places: what has the same name is the same one. Of those the
  // fewest possible are taken for moved, and only objects may be. The state's list becomes that of the command line.
  bool compare_inputs() {
    std::vector<StateArgument> old;
    for (uint32_t i = 0; i < state_.arguments.size(); i++)
      if (state_.arguments[i].kind != library_path_argument) old.push_back(state_.arguments[i]);
    if (state_.arguments.size() - old.size() != opt_.library_paths.size())
      return give_up("inputs were added or removed");
    std::unordered_map<std::string_view, std::deque<uint32_t>> by_name;
    for (uint32_t o = 0; o < old.size(); o++) by_name[state_.text(old[o].name)].push_back(o);
    std::vector<StateArgument> now;
    std::vector<uint32_t> place(old.size(), none);  // where an old one is now
    std::vector<uint32_t> kept;                     // the old ones that are there, in their new order
    for (uint32_t i = 0; i < opt_.inputs.size(); i++) {
      const InputArg& a = opt_.inputs[i];
      std::deque<uint32_t>& same = by_name[a.name];
      if (!same.empty()) {
        const uint32_t o = same.front();
        same.pop_front();
        if (old[o].kind != uint32_t(a.kind) || old[o].flags != flags_of(a))
          return give_up("inputs are given in another way");
        place[o] = i;
        kept.push_back(o);
        now.push_back(old[o]);
        continue;
      }
      StateText name;
      if (a.kind != InputArg::file) return give_up("other libraries are asked for");
      if (!state_.add_text(a.name, name)) return give_up("no room for names");
      added_.push_back({i, a.name, {}});
      now.push_back({name, uint32_t(a.kind), flags_of(a)});
    }
    for (uint32_t o = 0; o < old.size(); o++)
      if (place[o] == none && old[o].kind != uint32_t(InputArg::file)) return give_up("other libraries are asked for");
    if (!find_moved(old, kept)) return false;
    for (uint32_t i = uint32_t(old.size()); i < state_.arguments.size(); i++) now.push_back(state_.arguments[i]);
    return write_arguments(now) && move_observed(place);
  }

  // Of the objects among the kept inputs, those outside of the longest part that is in its old order, between the
  // libraries between which it was.
  bool find_moved(const std::vector<StateArgument>& old, const std::vector<uint32_t>& kept) {
    if (std::is_sorted(kept.begin(), kept.end())) return true;
    const std::vector<bool> is_object = objects_among_arguments();
    std::vector<uint32_t> from(kept.size()), to(kept.size());  // the libraries around, by their old places
    for (uint32_t i = 0, last = 0; i < kept.size(); i++) {
      from[i] = last;
      if (is_object[kept[i]]) continue;
      if (last > kept[i] + 1 || old[kept[i]].kind == uint32_t(InputArg::lib_start))
        return give_up("libraries were given in another order");
      last = kept[i] + 1;
    }
    for (uint32_t i = uint32_t(kept.size()), next = uint32_t(old.size()); i-- > 0;) {
      to[i] = next;
      if (!is_object[kept[i]]) next = kept[i];
    }
    std::vector<uint32_t> ends;  // of the best part of each length: an index of kept
    std::vector<uint32_t> before(kept.size(), none);
    for (uint32_t i = 0; i < kept.size(); i++) {
      if (!is_object[kept[i]] || kept[i] < from[i] || kept[i] >= to[i]) continue;
      const auto at = std::lower_bound(ends.begin(), ends.end(), kept[i],
                                       [&](uint32_t e, uint32_t v) { return kept[e] < v; });
      if (at != ends.begin()) before[i] = *std::prev(at);
      if (at == ends.end()) ends.push_back(i);
      else *at = i;
    }
    std::vector<bool> stays(kept.size());
    for (uint32_t i = ends.empty() ? none : ends.back(); i != none; i = before[i]) stays[i] = true;
    for (uint32_t i = 0; i < kept.size(); i++)
      if (is_object[kept[i]] && !stays[i]) moved_.insert(state_.text(old[kept[i]].name));
    return true;
  }

  // Only an object has nothing but its own place: the members of an archive, and what a library is before, are others'.
  std::vector<bool> objects_among_arguments() {
    std::vector<bool> is_object(state_.arguments.size());
    for (uint32_t k = 1; k < state_.inputs.size(); k++) {
      const StateInput in = state_.inputs[k];
      if (in.observed == none || in.offset || (in.flags & input_removed)) continue;
      const uint32_t argument = state_.observed[in.observed].argument;
      if (argument < is_object.size()) is_object[argument] = true;
    }
    return is_object;
  }

  bool write_arguments(const std::vector<StateArgument>& now) {
    const uint32_t before = state_.arguments.size();
    uint32_t unused = 0;
    if (now.size() > before && !state_.arguments.append(uint32_t(now.size()) - before, unused))
      return give_up("no room for inputs");
    if (now.size() < before) state_.file.truncate(region_arguments, now.size() * sizeof(StateArgument));
    StateArgument* p = state_.arguments.edit_range(0, uint32_t(now.size()));
    if (!p) return give_up("the state file is damaged");
    std::copy(now.begin(), now.end(), p);
    return true;
  }

  // What was looked at: files that are no inputs any more are not looked at any more, and the new ones are.
  bool move_observed(const std::vector<uint32_t>& moved) {
    std::vector<bool> dropped(state_.observed.size());
    for (uint32_t i = 0; i < state_.observed.size(); i++) {
      const uint32_t argument = state_.observed[i].argument;
      if (argument == none) continue;
      if (argument >= moved.size()) return give_up("the state file is damaged");
      StateObserved* o = state_.observed.edit(i);
      if (!o) return give_up("the state file is damaged");
      o->argument = moved[argument];
      if (moved[argument] != none) continue;
      o->exists = observed_dropped;
      dropped[i] = true;
    }
    std::vector<bool> had_input(state_.observed.size());
    for (uint32_t k = 1; k < state_.inputs.size(); k++) {
      const StateInput in = state_.inputs[k];
      if (in.observed >= dropped.size() || !dropped[in.observed] || (in.flags & input_removed)) continue;
      had_input[in.observed] = true;
      if (!remove_input(k)) return false;
    }
    for (uint32_t i = 0; i < dropped.size(); i++)
      if (dropped[i] && !had_input[i]) return give_up("an input was removed of which no object took part");
    for (Changed& c : added_) {
      const uint32_t argument = std::exchange(c.observed, state_.observed.size());
      StateObserved o;
      o.path = state_.arguments[argument].name;
      o.argument = argument;
      o.exists = 1;
      note_lookup(c.path);
      if (!identify(c.path, c.identity)) return give_up(c.path + " is not there");
      o.identity = c.identity;
      if (!state_.observed.push(o)) return give_up("no room for inputs");
    }
    return find_moved_inputs();
  }

  bool find_moved_inputs() {
    if (moved_.empty()) return true;
    size_t found = 0;
    for (uint32_t k = 1; k < state_.inputs.size(); k++) {
      const StateInput in = state_.inputs[k];
      if (in.observed == none || (in.flags & input_removed)) continue;
      const StateObserved o = state_.observed[in.observed];
      if (o.argument == none || !moved_.count(state_.text(state_.arguments[o.argument].name))) continue;
      moved_inputs_.push_back(k);
      found++;
    }
    return found == moved_.size() || give_up("an input that stands elsewhere now is given twice");
  }

  bool has_moved(uint32_t k) const { return std::binary_search(moved_inputs_.begin(), moved_inputs_.end(), k); }

  // An input of the last link that is none of this one.
  bool remove_input(uint32_t k) {
    StateInput* in = state_.inputs.edit(k);
    if (!in) return give_up("the state file is damaged");
    in->flags |= input_removed;
    inputs_.push_back({k, std::string(state_.text(in->name)), {}, {}, true});
    return true;
  }

  // Objects that came with the command line, and libraries, as far as they can change nothing by being there.
  bool find_added() {
    for (Changed& c : added_) {
      auto file = kept_.files.open(c.path);
      if (!file) return give_up(c.path + " cannot be read");
      c.data = file->data;
      if (formats::Archive::is_archive(c.data)) {
        if (!find_members(c, c.data, {})) return false;
      } else if (!is_ir(c.data, c.path) &&
                 (c.data.size() < sizeof(Ehdr) || !is_elf(c.data) ||
                  reinterpret_cast<const Ehdr*>(c.data.data())->type != ET_REL)) {
        return give_up(c.path + " was added, which is no object or archive");
      }
    }
    if (added_.empty() && moved_inputs_.empty() && !survey_anyway_) return true;
    if (!survey()) return false;
    for (const uint32_t k : moved_inputs_)
      if (!bring_in(k)) return give_up("an input that stands elsewhere now cannot be read");
    for (ChangedInput& c : inputs_)
      c.moved = has_moved(c.input);
    for (uint32_t i = 0; i < survey_->files().size(); i++) {
      const SurveyedFile& f = survey_->files()[i];
      uint32_t input = 0;
      if (!f.taken || input_of_file_[i] != none) continue;
      if (!new_input(f, input) || !bring_in_bytes(input, f)) return false;
    }
    return true;
  }

  bool compare_files() {
    const int64_t now = file_clock();
    const auto all = state_.observed.range(0, state_.observed.size());
    if (all.size() != state_.observed.size()) return give_up("the state file is damaged");
    std::vector<const std::string*> paths(all.size());
    std::deque<std::string> found_paths;  // that no argument has
    for (uint32_t i = 0; i < all.size(); i++) {
      const StateObserved& o = all[i];
      if (o.argument != none && o.argument >= opt_.inputs.size()) return give_up("the state file is damaged");
      if (o.exists == observed_dropped) continue;
      paths[i] = o.argument != none ? &opt_.inputs[o.argument].name : &found_paths.emplace_back(path_of(o));
      note_lookup(*paths[i]);  // for who watches the inputs
    }
    const std::vector<FileStamp> stamps = identify_all(paths, opt_.threads != 1);
    for (uint32_t i = 0; i < all.size(); i++) {
      const StateObserved& o = all[i];
      if (o.exists == observed_dropped) continue;
      const FileStamp& found = stamps[i];
      const std::string& path = *paths[i];
      const bool exists = found.exists();
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
      changed_.push_back({i, path, found});
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
      if (inputs.empty() && !formats::Archive::is_archive(data))
        return give_up(c.path + " changed, which is no object that took part");
      if (formats::Archive::is_archive(data)) {
        if (!find_members(c, data, inputs)) return false;
        continue;
      }
      if (inputs.size() != 1 || state_.inputs[inputs[0]].offset) return give_up(c.path + " was an archive");
      add(inputs[0], c, c.path, data);
    }
    return find_added();
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
    size_t known = 0;
    std::map<std::string_view, uint32_t> next;  // by name: from which member on to look
    for (const uint32_t k : inputs) {
      if (state_.inputs[k].flags & input_removed) continue;
      const std::string full(state_.text(state_.inputs[k].name));
      const size_t open = full.rfind('(');
      if (open == std::string_view::npos || !full.ends_with(")")) return give_up(c.path + " was no archive");
      const std::string_view name = std::string_view(full).substr(open + 1, full.size() - open - 2);
      uint32_t& at = next[name];
      while (at < archive->members.size() && archive->members[at].name != name) at++;
      if (at == archive->members.size()) {
        if (!remove_input(k)) return false;
        continue;
      }
      const uint64_t offset = uint64_t(archive->members[at].data.data() - data.data());
      if (state_.inputs[k].offset != offset)
        if (StateInput* in = state_.inputs.edit(k)) in->offset = offset;
      known++;
      add(k, c, c.path + "(" + std::string(name) + ")", archive->members[at].data);
      at++;
    }
    const uint32_t argument = state_.observed[c.observed].argument;
    if (argument != none && opt_.inputs[argument].whole_archive && archive->members.size() != known)
      survey_anyway_ = true;
    // A name that the archive has now may be one that another library gave before.
    uint32_t priority = inputs.empty() ? 0 : none;
    for (const uint32_t k : inputs) priority = std::min(priority, state_.inputs[k].priority);
    for (const formats::ArchiveSymbol& s : archive->index) {
      const uint32_t n = state_.find_symbol(s.name, hash_name(s.name));
      if (n == none) continue;
      const StateSymbol& st = state_.symbols[n];
      if ((st.flags & state_undefined) && meta_.shared && (st.sym_flags & referenced_strong))
        return give_up(c.path + " defines " + std::string(s.name));
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
    for (const auto* list : {&changed_, &added_})
      for (const Changed& c : *list) {
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
  std::vector<Changed> added_;           // inputs that are new on the command line
  std::unordered_set<std::string_view> moved_;  // inputs that stand elsewhere on the command line, by name
  std::vector<uint32_t> moved_inputs_;    // the same, by number: in order
  bool survey_anyway_ = false;           // members came to an archive all of which takes part
  std::vector<std::pair<std::string, std::string>> moved_folders_;  // of -L: what they were called, and are
  std::vector<uint32_t> settled_;
  std::vector<ChangedInput> inputs_;
  std::optional<Survey> survey_;
  std::vector<uint32_t> input_of_file_;  // of the survey
  Offers offers_;
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
