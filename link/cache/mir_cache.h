// Functions that an earlier link made, kept for the next: in memory, for a Linker that is flushed again; in a folder
// (--mir-cache); or in a file beside the output (--incremental, function_file.h).
//
// What is kept are packs (mir_store/function_pack.h). A pack is named by the hash of its bytes, so it never changes,
// may be read by several links at once, and may be referred to by other packs. Beside the packs the folder has two
// kinds of pointers to them:
//
//   CONTENT.module  the pack of a module with exactly this content, linked with these options
//   ROLE.role       the packs of the last contents of the module with this file name: where the functions of a changed
//                   one are looked for
//
// A file appears whole, by rename, under a name of its own until then; a link that finds a file gone or damaged makes
// the functions anew. So any number of links may share a folder without a lock. When a link has written, packs that
// were used least recently go until the folder is within its limit, and pointers to packs that are gone go with them. A
// folder that others than its owner can write to is not used: what is in it becomes code.
//
// Nothing that is kept is needed: every failure here is a miss, and the output of a link with a cache is that of the
// link without it.
//
// Threads: open() and everything of CachedModule may be called by all at once, each function by one; finish() when they
// are done.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "codegen/native/target.h"
#include "link/cache/function_file.h"
#include "mir_store/function_pack.h"

namespace lode::link {

struct HashOfHash128 {
  size_t operator()(const mir::Hash128& h) const { return size_t(h.low); }
};

// A pack and the bytes it lies in.
struct LoadedPack {
  mir::Hash128 name;
  std::vector<uint8_t> file;            // where it is not a part of another file
  std::unique_ptr<mir::FunctionPack> pack;
};

// What emit made of a function, for a next flush that wants the same at the same place. In memory alone: addresses mean
// nothing elsewhere.
struct KeptCode {
  mir::Hash128 key;            // of the function
  uint64_t forms = 0;          // hash of how its references are answered: with the key it decides the sizes
  codegen::FunctionSizes sizes;
  mir::Hash128 places;         // hash of all addresses that emit was given
  std::vector<uint8_t> text, constants, exceptions, cfi;
};
using KeptCodes = std::unordered_map<mir::Hash128, std::shared_ptr<const KeptCode>, HashOfHash128>;

// What is known of a module before its functions.
struct ModuleIdentity {
  mir::Hash128 content;                 // hash of the module with all that its code depends on
  mir::Hash128 role, path;              // of its name with the same: the file's own, and with all folders
  uint64_t tables = 0;                  // of all that its bodies may name by number; 0: not known
};

// One module's part of one link.
class CachedModule {
 public:
  // A function as it was made: what its body names, and its head (mir_store/function_pack.h). The code is asked for
  // when it is needed.
  struct Found {
    std::span<const uint8_t> head;      // empty: nothing
    std::span<const uint32_t> symbols;
  };
  // Of the function `number` in a module with this content, when `key_of(body, symbols)` is what its key was.
  template <class KeyOf>
  Found by_number(uint32_t number, KeyOf&& key_of) {
    return own_ ? by_number(*own_, number, 0, key_of) : Found{};
  }
  // The same when the body's bits are what they were in an earlier content, whose numbers mean what they mean now.
  template <class KeyOf>
  Found by_bits(uint32_t number, uint64_t raw, KeyOf&& key_of) {
    for (const auto& p : raw && identity_.tables ? earlier_ : no_packs_) {
      if (p->pack->tables() != identity_.tables) continue;
      if (Found found = by_number(*p, number, raw, key_of); !found.head.empty()) {
        changed_.store(true, std::memory_order_relaxed);
        return found;
      }
    }
    return {};
  }
  // Of a function with this key, wherever it is. `symbols` are those of this module.
  Found by_key(uint32_t number, const mir::Hash128& body, const mir::Hash128& key, std::span<const uint32_t> symbols);
  bool is_known() const { return own_ != nullptr; }  // a module with this content
  void set_tables(uint64_t tables) { identity_.tables = tables; }
  // Of a function that was found, once more; empty: it was not, or its head is damaged.
  std::span<const uint8_t> head(uint32_t number) const;
  // `ok` is false where it is damaged.
  std::span<const uint8_t> code(uint32_t number, bool& ok) const;
  // The function was made: to be kept.
  void made(uint32_t number, const mir::Hash128& body, const mir::Hash128& key, std::span<const uint32_t> symbols,
            std::vector<uint8_t> head, std::vector<uint8_t> code);
  // The hash of its body's bits: where it is not 0, a later link may go by it.
  void note_bits(uint32_t number, uint64_t raw) { slots_[number].row.raw = raw; }
  // What was measured of a function that was taken, if its references were answered by the same forms. Emit is to be
  // told (EmitPlace::sizes).
  std::optional<codegen::FunctionSizes> sizes(uint32_t number, uint64_t forms) const;
  void note_sizes(uint32_t number, uint64_t forms, const codegen::FunctionSizes& sizes);
  // What an earlier flush emitted of the function with this key: null without one, and where the cache is no memory.
  std::shared_ptr<const KeptCode> kept_code(const mir::Hash128& key) const;
  // What this one emitted of function `number`, or took over.
  void keep_code(uint32_t number, std::shared_ptr<const KeptCode> code) { codes_[number] = std::move(code); }
  bool keeps_code() const { return !codes_.empty(); }
  // What was found turned out not to fit this link.
  void forget(uint32_t number) { slots_[number] = {}; }

 private:
  friend class MirCache;
  struct Slot {
    mir::PackedFunction row;                   // without places; with them in `home`, if it has one
    std::vector<uint32_t> symbols;
    std::vector<uint8_t> head, code;           // if it was made by this link
    const LoadedPack* home = nullptr;          // if not
  };
  template <class KeyOf>
  Found by_number(LoadedPack& from, uint32_t number, uint64_t raw, KeyOf&& key_of) {
    const mir::PackedFunction* row = from.pack->by_number(number);
    if (!row || (raw && row->raw != raw)) return {};
    const std::span<const uint32_t> symbols = from.pack->symbols_of(*row);
    return key_of(row->body, symbols) == row->key ? take(from, *row, number, symbols) : Found{};
  }
  Found take(LoadedPack& from, const mir::PackedFunction& row, uint32_t number, std::span<const uint32_t> symbols);

  class MirCache* cache_ = nullptr;
  ModuleIdentity identity_;
  std::shared_ptr<LoadedPack> own_;
  std::vector<std::shared_ptr<LoadedPack>> earlier_;
  static const std::vector<std::shared_ptr<LoadedPack>> no_packs_;
  std::vector<Slot> slots_;
  std::shared_ptr<const KeptCodes> earlier_codes_;
  std::vector<std::shared_ptr<const KeptCode>> codes_;  // by function; empty where the cache is no memory
  std::atomic<bool> changed_ = false;
};

// "512M": bytes, or with K, M, G or T.
std::optional<uint64_t> parse_cache_size(std::string_view text);

class MirCache {
 public:
  struct Statistics {
    std::atomic<uint64_t> modules{0}, known_modules{0}, functions_by_number{0}, functions_by_key{0}, made{0}, unkept{0},
        bytes_read{0}, bytes_written{0}, evicted{0};
  };

  // An empty folder: in memory. `generator` is the code generator's version; `limit` in bytes, of the folder.
  MirCache(std::string folder, uint64_t limit, const mir::Hash128& generator = this_generator());
  // In a file, which is open. `whole`: all modules of the link will be opened, so that what others the file has is not
  // in use any more.
  MirCache(FunctionFile& file, bool whole, const mir::Hash128& generator = this_generator());
  static mir::Hash128 this_generator();
  // Makes the folder if it is not there. An error says why the folder cannot be used; the cache does nothing then.
  Result<void> prepare();

  std::shared_ptr<CachedModule> open(const ModuleIdentity& module, size_t functions);
  // What was opened so far is for nothing: the link begins anew.
  void begin() { modules_.clear(); }
  // The link is over: what it made is kept, and what the limit has no room for goes. After one that failed, what was
  // kept before stays, too.
  void finish(bool ok);
  void count(std::atomic<uint64_t> Statistics::*what) { (statistics_.*what).fetch_add(1, std::memory_order_relaxed); }
  const Statistics& statistics() const { return statistics_; }
  std::string report() const;  // of the statistics, some lines
  uint64_t memory() const;     // bytes of packs in memory
  // The packs that a pointer of the folder names, as far as it is one.
  static std::vector<mir::Hash128> parse_names(std::string_view text);

 private:
  friend class CachedModule;
  std::shared_ptr<LoadedPack> load(const mir::Hash128& name);
  std::vector<mir::Hash128> read_names(const std::string& file);
  void write_names(const std::string& file, const std::vector<mir::Hash128>& names);
  bool write_file(const std::string& name, std::span<const uint8_t> bytes);
  std::shared_ptr<LoadedPack> pack_of(CachedModule& m);
  void keep_in_memory(const std::vector<std::shared_ptr<CachedModule>>& modules);
  void add_to_file(const std::vector<std::shared_ptr<CachedModule>>& modules, bool whole);
  void evict();
  bool in_memory() const { return folder_.empty() && !file_; }

  std::string folder_;
  FunctionFile* file_ = nullptr;
  bool whole_ = false;
  uint64_t limit_;
  mir::Hash128 generator_;
  bool usable_ = true;
  Statistics statistics_;
  std::mutex mutex_;
  std::unordered_map<mir::Hash128, std::shared_ptr<LoadedPack>, HashOfHash128> packs_;
  // In memory: what the folder's pointers say.
  std::unordered_map<mir::Hash128, std::vector<mir::Hash128>, HashOfHash128> contents_, roles_;
  std::unordered_map<mir::Hash128, std::shared_ptr<const KeptCodes>, HashOfHash128> codes_;  // by role
  std::vector<std::shared_ptr<CachedModule>> modules_;  // of this link
};

}  // namespace lode::link
