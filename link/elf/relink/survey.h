// What the command line names, opened and listed but not read: for the relinks that have to know more than which files
// changed. The passes that open inputs make it, so that libraries are found, scripts followed and members numbered as
// in a link from scratch.
//
//   offers    what a name would be bound to that no object has: of all shared libraries and archive members that
//             define it, the first counts (resolve.cpp)
//   files     in their order, with their priorities: what came, what is gone, and whether the order is the old one
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "link/elf/relink/delta.h"

namespace lode::link::elf {

// A file of the command line, or a member of an archive there.
struct SurveyedFile {
  std::string path, name;       // of the file, or of the archive; as messages have it
  uint32_t priority = 0;
  Bytes data;
  uint64_t offset = 0;          // in the file
  bool taken = false;           // takes part whoever refers to it
  bool exclude_libs = false;
};

class Survey {
 public:
  Survey(const Options& options, KeptInputs& inputs) : link_(options, inputs) {}
  // False: something cannot be opened; a link from scratch says what.
  bool open();

  // A member that would be taken for the name: an index of files(); else what `offer` says.
  static constexpr uint32_t no_member = none;
  uint32_t find(std::string_view name, Offer& offer);

  // Objects, modules and members, by priority.
  const std::vector<SurveyedFile>& files() const { return files_; }
  bool has_shared() const { return !shareds_.empty(); }

 private:
  struct Library {
    SharedFile* file;
    SharedContents contents;
  };
  void describe_library(Offer& offer, uint32_t priority);

  Link link_;
  std::vector<SurveyedFile> files_;
  std::vector<uint32_t> file_of_lazy_;  // index of files_, by lazy member
  std::vector<Library> shareds_;
};

}  // namespace lode::link::elf
