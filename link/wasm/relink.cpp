// See relink.h.
#include "link/wasm/relink.h"

#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "generator_version.h"
#include "link/common/lookups.h"
#include "link/common/output_file.h"
#include "link/relink/image_file.h"

namespace lode::link::wasm {

namespace {

constexpr uint32_t version = 0x10001;  // ELF's states have small numbers

enum Region : uint32_t { region_meta, region_strings, region_observed };

struct Meta {
  FileStamp image;
  StateHash options, inputs;
  int64_t recorded_at = 0;
};

struct Observed {
  uint32_t path = 0, path_size = 0;
  uint32_t exists = 0, unused = 0;
  FileStamp identity;
  uint64_t hash = 0;            // of the contents, while the file is too young to go by its times
};

StateHash hash_of(const std::string& text) {
  const XXH128_hash_t h = XXH3_128bits(text.data(), text.size());
  return {h.low64, h.high64};
}

StateHash generator() {
  const uint64_t words[] = {LODE_GENERATOR_LOW, LODE_GENERATOR_HIGH, LODE_LINKER_LOW, LODE_LINKER_HIGH};
  const XXH128_hash_t h = XXH3_128bits(words, sizeof words);
  return {h.low64, h.high64};
}

// What the arguments say besides the inputs and how the link is made, and the folder in which they mean something.
StateHash options_key(const Options& options, const std::vector<std::string>& args) {
  static constexpr std::string_view ignored[] = {"--incremental", "--incremental-full", "--verbose", "--threads="};
  std::string all;
  char folder[PATH_MAX];
  if (getcwd(folder, sizeof folder)) all = folder;
  size_t next = 0;
  for (size_t i = 1; i < args.size(); i++) {
    while (next < options.inputs.size() && options.inputs[next].kind != InputArg::file) next++;
    if (next < options.inputs.size() && args[i] == options.inputs[next].name) {
      next++;
      continue;
    }
    const std::string_view a = args[i].starts_with("--") ? std::string_view(args[i]) : std::string_view();
    if (std::any_of(std::begin(ignored), std::end(ignored),
                    [&](std::string_view s) { return s.ends_with("=") ? a.starts_with(s) : a == s; }))
      continue;
    all += '\0';
    all += args[i];
  }
  return hash_of(all);
}

StateHash inputs_key(const Options& options) {
  std::string all;
  for (const InputArg& a : options.inputs)
    all += std::to_string(int(a.kind)) + (a.whole_archive ? "w" : "") + a.name + '\0';
  return hash_of(all);
}

}  // namespace

std::string Relink::no_relink_reason(const Options& o) {
  if (o.output == "-") return "the output is no file";
  if (!o.memory.empty() || !o.removed.empty()) return "inputs are in memory";
  if (o.build_id == BuildId::uuid) return "--build-id=uuid";
  if (!o.map_file.empty() || !o.why_extract_file.empty() || o.trace || !o.trace_symbols.empty() || o.print_gc_sections)
    return "a listing was asked for";
  return {};
}

bool Relink::open() {
  if (options_.incremental_full) return refuse("--incremental-full");
  if (auto r = state_.open(options_.output + ".lode", version, generator()); !r.ok())
    return refuse(r.error().text());
  StateTable<Meta> meta(state_, region_meta);
  const Meta m = meta[0];
  if (state_.damaged()) return refuse("the state file is damaged");
  if (!(m.options == options_key(options_, args_))) return refuse("the options changed");
  if (m.recorded_at > file_clock()) return refuse("the clock was set back");
  image_ = m.image;
  if (!(m.inputs == inputs_key(options_))) return refuse("inputs were added or removed");
  return true;
}

bool Relink::compare() {
  const int64_t now = file_clock();
  StateTable<Observed> observed(state_, region_observed);
  const auto all = observed.range(0, observed.size());
  for (uint32_t i = 0; i < all.size(); i++) {
    const Observed o = all[i];
    const uint8_t* text = state_.read(region_strings, o.path, o.path_size);
    if (!text) break;
    const std::string path(reinterpret_cast<const char*>(text), o.path_size);
    FileStamp found;
    note_lookup(path);  // for who watches the inputs
    const bool exists = identify(path, found);
    if (exists != bool(o.exists)) {
      changed_++;
      continue;
    }
    if (!exists) continue;
    uint64_t hash = 0;
    if (!(found == o.identity)) changed_++;
    else if (o.hash && (!hash_file(path, hash) || hash != o.hash)) changed_++;
    else if (o.hash && !is_young(found.modified, now)) settled_.push_back(i);
  }
  return !state_.damaged() || refuse("the state file is damaged");
}

bool Relink::is_unchanged() {
  if (!open() || !compare()) return false;
  good_ = true;
  if (changed_) return false;
  ImageFile image;
  if (auto r = image.open(options_.output, image_, true); !r.ok()) {
    good_ = false;
    return refuse(r.error().text());
  }
  for (const uint32_t i : settled_)
    if (Observed* o = StateTable<Observed>(state_, region_observed).edit(i)) o->hash = 0;
  if (!state_.begin_commit().ok() || !image.commit(image_).ok()) return refuse("the state cannot be written");
  if (Meta* m = StateTable<Meta>(state_, region_meta).edit(0)) {
    m->image = image_;
    m->recorded_at = file_clock();
  }
  if (auto r = state_.end_commit(); !r.ok()) return refuse(r.error().text());
  return unchanged_ = true;
}

// In the file that is there, if it has the length and is the one that the last link made; else in a new one.
bool Relink::write(const std::vector<uint8_t>& output) {
  ImageFile image;
  if (good_ && image_.size == output.size() && image.open(options_.output, image_, true).ok() &&
      state_.begin_commit().ok()) {
    // Runs of what is equal are passed over in a comparison that stops at each difference.
    std::memcpy(image.data(), output.data(), output.size());
    image.wrote(0, output.size());
    if (auto r = image.commit(image_); !r.ok()) {
      error_ = r.error().text();
      return false;
    }
    written_ = image.changed_bytes();
    return true;
  }
  OutputFile file;
  auto to = file.create(options_.output, output.size(), true);
  if (to.ok()) {
    std::memcpy(*to, output.data(), output.size());
    if (StateFile::before_write) StateFile::before_write();
    if (auto done = file.commit(); done.ok()) {
      written_ = output.size();
      return true;
    } else {
      error_ = done.error().text();
    }
  } else {
    error_ = to.error().text();
  }
  return false;
}

Result<void> Relink::record(const std::vector<Observation>& seen) {
  std::vector<Meta> meta(1);
  Meta& m = meta[0];
  m.options = options_key(options_, args_);
  m.inputs = inputs_key(options_);
  m.recorded_at = file_clock();
  if (!identify(options_.output, m.image)) return error("the output is not a regular file");
  std::vector<char> strings;
  std::vector<Observed> observed;
  for (const Observation& o : seen) {
    Observed r;
    r.path = uint32_t(strings.size());
    r.path_size = uint32_t(o.path.size());
    strings.insert(strings.end(), o.path.begin(), o.path.end());
    r.exists = o.exists;
    r.identity = o.identity;
    if (o.exists && is_young(o.identity.modified, m.recorded_at)) r.hash = content_hash(o.data);
    observed.push_back(r);
  }
  StateWriter w;
  w.add(region_meta, meta, 0);
  w.add(region_strings, strings, 0);
  w.add(region_observed, observed, 0);
  const std::string name = options_.output + ".lode";
  if (auto r = w.write(name, version, generator()); !r.ok()) {
    unlink(name.c_str());
    return r;
  }
  keep_image(options_.output);
  return {};
}

std::string Relink::text(uint64_t made) const {
  if (unchanged_) return "relink: nothing changed";
  if (!reason_.empty()) return "relink: full (" + reason_ + ")";
  return "relink: emitted again, " + std::to_string(changed_) + (changed_ == 1 ? " file" : " files") + " changed, " +
         std::to_string(made) + " functions made, " + std::to_string(written_) + " bytes written";
}

}  // namespace lode::link::wasm
