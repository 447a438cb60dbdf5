// A unit's line table: DWARF 5, 6.2. One sequence for each function, whose rows are offsets from the function's text.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "codegen/debug/tables.h"

namespace lode::codegen::dwarf {

struct LineRow {
  uint32_t offset = 0;
  uint32_t file = 0, line = 0, column = 0;
  bool is_stmt = false, prologue_end = false;
};

class LineTable {
 public:
  struct File {
    std::string_view name, directory;
    std::string_view md5;  // 32 hexadecimal digits, or empty
  };
  // The first file is the unit's own, and its directory that of the compilation.
  uint32_t file(const File& f);
  // `symbol` + `start` is the address that offsets count from.
  void add_sequence(uint32_t symbol, int64_t start, std::vector<LineRow> rows, uint32_t size);
  // Appends the table; the offset of it.
  uint32_t write(Tables& tables, Section& out);

 private:
  struct Sequence {
    uint32_t symbol;
    int64_t start;
    std::vector<LineRow> rows;
    uint32_t size;
  };
  struct Entry {
    std::string name;
    uint32_t directory;
    std::array<uint8_t, 16> md5;
  };
  void write_sequence(const Sequence& s, Section& out);

  std::vector<std::string> directories_;
  std::vector<Entry> files_;
  std::map<std::pair<std::string, std::string>, uint32_t> known_;
  bool all_md5_ = true;
  std::vector<Sequence> sequences_;
};

}  // namespace lode::codegen::dwarf
