// The line table is one program for each compilation unit. Running it yields rows (address, file, line) in sequences of
// ascending addresses; a row holds up to the next row's address. We run the programs and keep nothing but the row that
// covers the place asked for: it is asked for in messages only.
//
// Every field is read through a cursor that stops at the end of its unit; a unit that does not make sense is skipped.
#include "formats/dwarf_line.h"

#include <vector>

#include "formats/dwarf_cursor.h"

namespace lode::formats {

namespace {

using dwarf::Cursor;
using dwarf::relocation_at;
using dwarf::string_at;

enum : uint8_t {  // DWARF 5 section 7.22
  DW_LNS_copy = 1, DW_LNS_advance_pc = 2, DW_LNS_advance_line = 3, DW_LNS_set_file = 4, DW_LNS_const_add_pc = 8,
  DW_LNS_fixed_advance_pc = 9, DW_LNE_end_sequence = 1, DW_LNE_set_address = 2,
  DW_LNCT_path = 1, DW_LNCT_directory_index = 2,
};
enum : uint16_t {  // section 7.5.6: the forms that headers of line tables use
  DW_FORM_block2 = 0x03, DW_FORM_block4 = 0x04, DW_FORM_data2 = 0x05, DW_FORM_data4 = 0x06, DW_FORM_data8 = 0x07,
  DW_FORM_string = 0x08, DW_FORM_block = 0x09, DW_FORM_block1 = 0x0a, DW_FORM_data1 = 0x0b, DW_FORM_strp = 0x0e,
  DW_FORM_udata = 0x0f, DW_FORM_data16 = 0x1e, DW_FORM_line_strp = 0x1f,
};

class Unit {
 public:
  Unit(const LineSections& sections, uint32_t section, uint64_t offset, uint64_t begin, uint64_t end, bool wide)
      : sections_(sections), c_{sections.line, begin, end}, wide_(wide), section_(section), offset_(offset) {}

  std::optional<SourceLine> find() {
    if (!read_header()) return std::nullopt;
    uint64_t file, line;
    if (!run(file, line)) return std::nullopt;
    return describe(file, line);
  }

  std::optional<SourceLine> file(uint64_t index, uint64_t line) {
    return read_header() ? describe(index, line) : std::nullopt;
  }

 private:
  struct File {
    std::string_view name;
    uint64_t directory = 0;
  };

  bool read_header() {
    version_ = c_.read<uint16_t>();
    if (version_ < 2 || version_ > 5) return false;
    if (version_ == 5) c_.take(2);  // sizes of an address and of a segment selector
    uint64_t length = c_.word(wide_), tables = c_.at;
    if (!c_.take(length)) return false;
    uint64_t program = c_.at;
    c_.at = tables;
    min_instruction_ = c_.read<uint8_t>();
    if (version_ >= 4) c_.take(1);  // operations of an instruction
    c_.take(1);                     // is_stmt at first
    line_base_ = c_.read<int8_t>();
    line_range_ = c_.read<uint8_t>();
    opcode_base_ = c_.read<uint8_t>();
    for (unsigned i = 1; i < opcode_base_; i++) lengths_[i] = c_.read<uint8_t>();
    if (version_ == 5) {
      read_entries([&](const File& f) { directories_.push_back(f.name); });
      read_entries([&](const File& f) { files_.push_back(f); });
    } else {
      directories_.push_back({});  // the compilation's own, which is not in this section
      for (std::string_view s; !(s = c_.string()).empty();) directories_.push_back(s);
      files_.push_back({});  // they count from 1
      for (std::string_view s; !(s = c_.string()).empty();) {
        File f{s, c_.uleb()};
        c_.uleb();  // time
        c_.uleb();  // length
        files_.push_back(f);
      }
    }
    bool good = c_.ok && line_range_ != 0 && c_.at <= program;
    c_.at = program;
    return good;
  }

  // Version 5: the entries say of which fields they consist.
  template <class F>
  void read_entries(F&& each) {
    std::vector<std::pair<uint64_t, uint64_t>> format(c_.read<uint8_t>());
    for (auto& [content, form] : format) {
      content = c_.uleb();
      form = c_.uleb();
    }
    uint64_t n = c_.uleb();
    for (uint64_t i = 0; i < n && c_.ok && !format.empty(); i++) {
      File f;
      for (auto [content, form] : format) {
        std::string_view text;
        uint64_t number = 0;
        if (!read_form(form, text, number)) return;
        if (content == DW_LNCT_path) f.name = text;
        if (content == DW_LNCT_directory_index) f.directory = number;
      }
      each(f);
    }
  }

  bool read_form(uint64_t form, std::string_view& text, uint64_t& number) {
    switch (form) {
      case DW_FORM_string: text = c_.string(); break;
      case DW_FORM_line_strp: case DW_FORM_strp: {
        const DwarfRelocation* r = relocation_at(sections_.relocations, c_.at);
        uint64_t at = c_.word(wide_);
        text = string_at(form == DW_FORM_strp ? sections_.str : sections_.line_str, r ? r->value : at);
        break;
      }
      case DW_FORM_data1: number = c_.read<uint8_t>(); break;
      case DW_FORM_data2: number = c_.read<uint16_t>(); break;
      case DW_FORM_data4: number = c_.read<uint32_t>(); break;
      case DW_FORM_data8: number = c_.read<uint64_t>(); break;
      case DW_FORM_udata: number = c_.uleb(); break;
      case DW_FORM_data16: c_.take(16); break;
      case DW_FORM_block: c_.take(c_.uleb()); break;
      case DW_FORM_block1: c_.take(c_.read<uint8_t>()); break;
      case DW_FORM_block2: c_.take(c_.read<uint16_t>()); break;
      case DW_FORM_block4: c_.take(c_.read<uint32_t>()); break;
      default: c_.ok = false;
    }
    return c_.ok;
  }

  struct Row {
    uint32_t section = ~0u;
    uint64_t address = 0, file = 1, line = 1;
  };

  // True when the row before the one that `now` begins covers the place.
  bool covered(const Row& before, const Row& now) const {
    return before.section == section_ && now.section == section_ && before.address <= offset_ && offset_ < now.address;
  }

  bool run(uint64_t& file, uint64_t& line) {
    Row now, last;
    bool have_last = false;
    while (c_.more()) {
      uint8_t op = c_.read<uint8_t>();
      bool row = false, end = false;
      if (op >= opcode_base_) {
        unsigned n = op - opcode_base_;
        now.address += uint64_t{n / line_range_} * min_instruction_;
        now.line += uint64_t(int64_t{line_base_} + int64_t{n % line_range_});
        row = true;
      } else if (op == 0) {
        uint64_t size = c_.uleb(), start = c_.at;
        if (size == 0 || !c_.take(size)) return false;
        switch (sections_.line[start]) {
          case DW_LNE_end_sequence: row = end = true; break;
          case DW_LNE_set_address: {
            const DwarfRelocation* r = relocation_at(sections_.relocations, start + 1);
            now.section = r ? r->section : ~0u;
            now.address = r ? r->value : 0;
            break;
          }
          default: break;
        }
      } else {
        row = standard(op, now);
      }
      if (!row) continue;
      if (have_last && covered(last, now)) {
        file = last.file;
        line = last.line;
        return true;
      }
      last = now;
      have_last = !end;
      if (end) now = Row{};
    }
    return false;
  }

  bool standard(uint8_t op, Row& now) {
    switch (op) {
      case DW_LNS_copy: return true;
      case DW_LNS_advance_pc: now.address += c_.uleb() * min_instruction_; break;
      case DW_LNS_advance_line: now.line += uint64_t(c_.sleb()); break;
      case DW_LNS_set_file: now.file = c_.uleb(); break;
      case DW_LNS_const_add_pc: now.address += uint64_t{(255u - opcode_base_) / line_range_} * min_instruction_; break;
      case DW_LNS_fixed_advance_pc: now.address += c_.read<uint16_t>(); break;
      default:
        for (unsigned k = 0; k < lengths_[op]; k++) c_.uleb();
    }
    return false;
  }

  std::optional<SourceLine> describe(uint64_t file, uint64_t line) const {
    if (file >= files_.size() || files_[file].name.empty()) return std::nullopt;
    const File& f = files_[file];
    std::string path(f.name);
    if (!path.starts_with("/") && f.directory < directories_.size() && !directories_[f.directory].empty()) {
      path = std::string(directories_[f.directory]) + "/" + path;
      if (path[0] != '/' && f.directory && !directories_[0].empty()) path = std::string(directories_[0]) + "/" + path;
    }
    return SourceLine{path, line};
  }

  const LineSections& sections_;
  Cursor c_;
  bool wide_;
  uint32_t section_;
  uint64_t offset_;
  uint16_t version_ = 0;
  uint8_t min_instruction_ = 1, line_range_ = 1, opcode_base_ = 1;
  int8_t line_base_ = 0;
  uint8_t lengths_[256] = {};
  std::vector<std::string_view> directories_;
  std::vector<File> files_;
};

}  // namespace

std::optional<SourceLine> source_file(const LineSections& sections, uint64_t table, uint64_t file, uint64_t line) {
  if (table >= sections.line.size()) return std::nullopt;
  Cursor c{sections.line, table, sections.line.size()};
  uint64_t length = c.read<uint32_t>();
  const bool wide = length == 0xffffffff;
  if (wide) length = c.read<uint64_t>();
  const uint64_t begin = c.at;
  if (!c.take(length)) return std::nullopt;
  return Unit(sections, 0, 0, begin, c.at, wide).file(file, line);
}

std::optional<SourceLine> find_source_line(const LineSections& sections, uint32_t section, uint64_t offset) {
  Cursor c{sections.line, 0, sections.line.size()};
  while (c.more()) {
    uint64_t length = c.read<uint32_t>();
    const bool wide = length == 0xffffffff;
    if (wide) length = c.read<uint64_t>();
    const uint64_t begin = c.at;
    if (!c.take(length)) break;
    if (auto found = Unit(sections, section, offset, begin, c.at, wide).find()) return found;
  }
  return std::nullopt;
}

}  // namespace lode::formats
