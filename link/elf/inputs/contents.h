// What was read of input files, apart from what a link makes of it: kept from link to link by who links often.
//
// A file's contents depend on its bytes, on the machine and on the few options that change how it is read
// (ReadOptions), on nothing that a link decides. Nothing here points: bytes are named as an offset in a body, names as
// an offset in the file, sections by their index. So contents hold for as long as the file is the same, and a link that
// starts over copies them into its own arrays (Decisions, link/elf/decisions.h) and changes only those.
//
// KeptInputs owns them with the mappings of the files that they speak of. A file is the same if it has the same device,
// number, size and time of change, and was not changed so shortly before it was opened that its time could be the same
// after another change; else it is mapped and read anew. What a link did not open any more is let go at its end.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "formats/archive.h"
#include "formats/elf/elf.h"
#include "formats/elf/reader.h"
#include "link/common/input_files.h"

namespace lode::link::elf {

using namespace formats::elf;

inline constexpr uint32_t none = 0xffffffffu;

struct Machine;  // link/elf/machines/machine.h

// How the linker treats a section.
enum class AtomKind : uint8_t {
  none,      // not part of the output: symbol tables, relocation sections, notes to the linker
  discarded, // member of a COMDAT group that another file owns
  regular,   // copied and relocated
  merge,     // SHF_MERGE: split into pieces
  eh_frame,  // split into CIEs and FDEs
  function,  // MIR; `section` is the module's function index
  constants, // the private constants of a MIR function, or its exception table
  merged,    // the body of a merged section; `extra` = index in Decisions::merged
};

// Bytes of the file (body 0), or of a buffer that its contents own (body - 1): inflated, reversed or sorted ones.
struct BodyPlace {
  static constexpr uint32_t zero = 0xffffffffu;  // as `body`: all bytes are zero, and none are there
  uint64_t offset = 0;
  uint32_t body = zero;
};

struct SectionContents {
  uint64_t offset = 0;        // of the bytes in `body`
  uint64_t size = 0;
  uint64_t relocs_offset = 0; // of Rela records in `relocs_body`
  uint32_t body = BodyPlace::zero, relocs_body = BodyPlace::zero;
  uint32_t reloc_count = 0;
  uint32_t fde_begin = 0, fde_count = 0;  // FDEs that describe this section
  uint8_t p2align = 0;
  AtomKind kind = AtomKind::none;
};
static_assert(sizeof(SectionContents) == 48);

// A name as a place in the file's bytes.
struct NameContents {
  uint64_t offset = 0, hash = 0;
  uint32_t size = 0;
};
static_assert(sizeof(NameContents) == 24);

struct GroupContents {
  NameContents signature;
  BodyPlace members;          // words: section indices
  uint32_t member_count = 0;
  uint32_t section = 0;
  bool comdat = false;
};

// Records of .eh_frame; relocations by index in those of the section that holds the record.
struct CieContents {
  uint32_t section = 0;
  uint32_t offset = 0, size = 0;  // of the record, length field included
  uint32_t reloc_begin = 0, reloc_end = 0;
};
struct FdeContents {
  uint32_t section = 0;
  uint32_t offset = 0, size = 0;
  uint32_t reloc_begin = 0, reloc_end = 0;
  uint32_t cie = 0;           // in `cies`
  uint32_t described = 0;     // the section that it describes; ascending
};

struct ObjectContents {
  std::vector<SectionContents> sections;        // by section index
  std::vector<NameContents> names;              // of the global symbols, versions `@@V` cut off
  std::vector<std::pair<uint32_t, std::string>> symvers;  // symbols named a@V, a@@V: (sym, version with @s)
  std::vector<GroupContents> groups;
  std::vector<CieContents> cies;
  std::vector<FdeContents> fdes;
  std::vector<std::shared_ptr<const std::vector<uint8_t>>> buffers;  // bodies 1 ...
  std::vector<NameContents> dependent_libraries;  // that its source asks for (SHT_LLVM_DEPENDENT_LIBRARIES); no hashes
  std::vector<std::pair<uint32_t, uint32_t>> properties;  // of .note.gnu.property: (type, value)
  bool has_gnu_stack = false, exec_stack = false, has_init_arrays = false;
};

struct SharedContents {
  std::string soname;                           // empty: none
  std::vector<NameContents> version_names;      // by version index of this file; no hashes
  std::vector<NameContents> needed;             // no hashes
  NameContents audit;                           // its DT_AUDIT
  std::vector<Sym> symbols;
  std::vector<uint16_t> versions;               // by symbol
  std::vector<NameContents> names;  // of the first symbols: those behind have a version that is not the default
};

struct ArchiveContents {
  formats::Archive archive;                     // views of the file
  std::vector<NameContents> names;              // of the index
};

// What decides how an object is read, besides its bytes.
struct ReadOptions {
  const Machine* machine = nullptr;
  bool relocatable = false, strip_debug = false;
  std::vector<std::string> discard_sections;    // --discard-section
  bool operator==(const ReadOptions&) const = default;
};

// What is wrong with a section, or with the file (section 0).
struct ReadProblem {
  uint32_t section = 0;
  std::string message;
};

// object.cpp. Problems are appended; contents with any are not complete.
ObjectContents read_object(const ElfView& view, const ReadOptions& options, std::vector<ReadProblem>& problems);
// eh_frame_records.cpp: fills cies and fdes.
void read_frame_records(const ElfView& view, ObjectContents& contents, std::vector<ReadProblem>& problems);
// The same of sections whose bytes are elsewhere; `section_of` a symbol is 0 where it is in none of the file's.
void read_frame_records(Bytes file, ObjectContents& contents, std::vector<ReadProblem>& problems,
                        const std::function<uint32_t(uint32_t symbol)>& section_of);
// shared.cpp
Result<SharedContents> read_shared(std::span<const uint8_t> file, const Machine& machine);
// properties.cpp
void read_properties(ObjectContents& contents, std::span<const uint8_t> note);

// Text at a place in a file, and the place of text that lies in one.
inline std::string_view text_at(std::span<const uint8_t> file, const NameContents& n) {
  return {reinterpret_cast<const char*>(file.data()) + n.offset, n.size};
}
inline NameContents place_of(std::span<const uint8_t> file, std::string_view text, uint64_t hash = 0) {
  if (text.empty()) return {0, hash, 0};
  return {uint64_t(reinterpret_cast<const uint8_t*>(text.data()) - file.data()), hash, uint32_t(text.size())};
}

// One user at a time starts and ends links; in between any thread may ask.
class KeptInputs {
 public:
  InputFiles files;

  // Before a link that reads in this way. What was read in another way is let go.
  void begin(const ReadOptions& options);
  // After it: what it did not open is let go.
  void end();

  // What is known of the bytes, which lie in an opened file; null: nothing yet. A member of an archive is found by its
  // place in it.
  std::shared_ptr<const ObjectContents> object(std::span<const uint8_t> bytes);
  std::shared_ptr<const SharedContents> shared(std::span<const uint8_t> bytes);
  std::shared_ptr<const ArchiveContents> archive(std::span<const uint8_t> bytes);
  // Keeps what was read; nothing if the bytes are not of a file that stays open.
  void keep(std::span<const uint8_t> bytes, std::shared_ptr<const ObjectContents> contents);
  void keep(std::span<const uint8_t> bytes, std::shared_ptr<const SharedContents> contents);
  void keep(std::span<const uint8_t> bytes, std::shared_ptr<const ArchiveContents> contents);
  bool keeps() const { return keeps_; }
  void set_keeps(bool keeps) { keeps_ = keeps; }  // false: for one link; nothing is entered

 private:
  struct Contents {
    std::shared_ptr<const ObjectContents> object;
    std::shared_ptr<const SharedContents> shared;
    std::shared_ptr<const ArchiveContents> archive;
  };
  template <class T>
  std::shared_ptr<const T> find(std::span<const uint8_t> bytes, std::shared_ptr<const T> Contents::*of_kind);
  template <class T>
  void enter(std::span<const uint8_t> bytes, std::shared_ptr<const T> contents,
             std::shared_ptr<const T> Contents::*of_kind);
  std::mutex mutex_;
  bool keeps_ = false;
  ReadOptions options_;
  std::map<const uint8_t*, Contents> contents_;  // by the first byte; let go with the mapping that it lies in
};

}  // namespace lode::link::elf
