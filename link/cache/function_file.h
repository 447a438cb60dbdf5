// The functions of one output, kept in one file beside it (PROG.lode-functions): the packs (mir_store/function_pack.h)
// of its modules, found by what a module is called or by its content.
//
// It is a file of its own and no region of the state, because it holds longer: a state that is damaged, or that another
// command line made, is of no use, and the link from scratch that follows still finds the functions here. Nothing in it
// is needed; a link that finds nothing makes its functions anew.
//
//   header   64 bytes; up to where the file is in use
//   rows     a table of a power of two, by open addressing: a key, and where the pack is that it leads to
//   packs    one behind the other, each from a multiple of 8
//
// Header and rows have checksums of their own and packs have theirs, so that nothing has to be read but a row and the
// pack that it leads to, and nothing has to be in order: a link that is killed while it adds leaves a row that leads
// where it led, or to a whole pack, or that is no row. Packs are never written over. What is added goes behind the
// others; when the file is twice as long as it began, or its table is three quarters full, it is written anew with what
// is in use, and takes the old one's name. A file that another user owns, or that others may write, is not read: what
// is in it becomes code.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "mir_store/mir_store.h"

namespace lode::link {

class FunctionFile {
 public:
  FunctionFile() = default;
  FunctionFile(const FunctionFile&) = delete;
  FunctionFile& operator=(const FunctionFile&) = delete;
  ~FunctionFile();

  static std::string name_of(const std::string& output) { return output + ".lode-functions"; }

  // Without one, or where there is something else, the file is empty.
  void open(const std::string& path, const mir::Hash128& generator);
  // What the key leads to: the pack's bytes, which stay as long as the object, and its name. Any thread.
  std::span<const uint8_t> find(const mir::Hash128& key, mir::Hash128* pack = nullptr) const;

  struct Addition {
    mir::Hash128 pack;                // its name
    std::vector<uint8_t> bytes;       // empty: the file has it
    mir::Hash128 content;             // of the module; zero: none
    std::vector<mir::Hash128> roles;  // what the module is called
  };
  // Adds packs. `used`: all roles of the link; empty: those that the file has are still in use. `others`: the packs to
  // which one refers. What cannot be written is not there next time. The result is the number of bytes written.
  uint64_t add(const std::vector<Addition>& additions, const std::vector<mir::Hash128>& used,
               const std::function<std::vector<mir::Hash128>(std::span<const uint8_t>)>& others);

 private:
  enum Kind : uint32_t { kind_none, kind_pack, kind_content, kind_role };
  struct Row {
    mir::Hash128 key, pack;
    uint64_t offset = 0, size = 0;
    uint32_t kind = kind_none, unused = 0;
    uint64_t checksum = 0;
  };
  static_assert(sizeof(Row) == 64);
  struct Header;
  const Row* rows() const;
  const Row* look(const mir::Hash128& key) const;
  bool append(const std::vector<Addition>& additions, uint64_t& written);
  uint64_t renew(const std::vector<Addition>& additions, const std::vector<mir::Hash128>& used,
                 const std::function<std::vector<mir::Hash128>(std::span<const uint8_t>)>& others);

  std::string path_;
  mir::Hash128 generator_;
  int fd_ = -1;
  const uint8_t* map_ = nullptr;
  uint64_t size_ = 0;       // of the mapping
  uint64_t end_ = 0, began_ = 0;
  uint32_t slots_ = 0;
};

}  // namespace lode::link
