// --reproduce: a tar archive from which the link can be done again anywhere, with `lode @response.txt` in the folder it
// unpacks to.
//
// Every file that was read is in it under its absolute path. The command line has absolute paths, too, and --chroot=.
// in front, so that what linker scripts and search paths name is found in the archive as well. Outputs go to the folder
// itself. Nothing depends on the time or the user: the same link gives the same archive.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/version.h"
#include "link/elf/link.h"
#include "link/elf/options/option_actions.h"

namespace lode::link::elf {

namespace {

// By the first name of their row: options whose value is a file or folder to read, and those whose value is a file to
// write.
constexpr std::string_view read_paths[] = {
    "L", "T", "sysroot", "just-symbols", "version-script", "dynamic-list", "export-dynamic-symbol-list",
    "symbol-ordering-file", "retain-symbols-file", "remap-inputs-file",
};
constexpr std::string_view written_paths[] = {
    "o", "Map", "dependency-file", "why-extract", "print-archive-stats", "time-trace"};

bool is_one_of(std::span<const std::string_view> names, const OptionRow& row) {
  std::string_view name(row.names);
  name = name.substr(0, name.find(' '));
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string absolute(const std::string& path) {
  if (path.empty() || path[0] == '=' || path.starts_with("$SYSROOT")) return path;
  std::error_code failed;
  std::filesystem::path p = std::filesystem::absolute(path, failed);
  return failed ? path : p.lexically_normal().string();
}
std::string file_name(const std::string& path) { return std::filesystem::path(path).filename().string(); }

std::string quote_word(std::string_view word) {
  if (!word.empty() && word.find_first_of(" \t\n\"'\\@") == std::string_view::npos) return std::string(word);
  std::string out = "\"";
  for (char c : word) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string response(const std::vector<std::string>& args) {
  std::string out = "--chroot=.\n";
  auto uses = match_arguments(args);
  if (!uses) return out;
  for (const OptionUse& use : *uses) {
    if (!use.row) {
      out += quote_word(absolute(std::string(use.argument))) + "\n";
      continue;
    }
    std::string_view name = std::string_view(use.row->names).substr(0, std::string_view(use.row->names).find(' '));
    if (name == "reproduce" || name == "chroot" || name == "C") continue;
    std::string value(use.value), spelling = spelled(name);
    if (is_one_of(read_paths, *use.row) || (name == "R" && !std::filesystem::is_directory(value)))
      value = absolute(value);
    if (is_one_of(written_paths, *use.row) && value != "-") value = file_name(value);
    if (use.row->form == OptionForm::flag) out += quote_word(use.argument) + "\n";
    else if (use.row->form == OptionForm::joined) out += quote_word(use.argument) + "\n";
    else if (use.row->form == OptionForm::optional_value)
      out += quote_word(value.empty() ? spelling : spelling + "=" + value) + "\n";
    else if (name == "l" || name == "z") out += quote_word("-" + std::string(name) + value) + "\n";
    else out += quote_word(spelling) + " " + quote_word(value) + "\n";
  }
  return out;
}

// POSIX.1-2001 (pax) headers where a name does not fit the old field.
class Tar {
 public:
  void add(const std::string& name, std::string_view data) {
    if (name.size() >= 100) {
      std::string record = " path=" + name + "\n";
      size_t digits = 1;
      while (std::to_string(record.size() + digits).size() > digits) digits++;
      record = std::to_string(record.size() + digits) + record;
      header("pax", record.size(), 'x');
      body(record);
    }
    header(name.substr(0, 99), data.size(), '0');
    body(data);
  }
  std::string finish() {
    text_.append(1024, '\0');
    return std::move(text_);
  }

 private:
  void header(const std::string& name, size_t size, char type) {
    char h[512] = {};
    std::memcpy(h, name.data(), name.size());
    std::snprintf(h + 100, 8, "%07o", 0664);
    std::snprintf(h + 108, 8, "%07o", 0);
    std::snprintf(h + 116, 8, "%07o", 0);
    std::snprintf(h + 124, 12, "%011llo", static_cast<unsigned long long>(size));
    std::snprintf(h + 136, 12, "%011o", 0);
    std::memset(h + 148, ' ', 8);
    h[156] = type;
    std::memcpy(h + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (char c : h) sum += uint8_t(c);
    std::snprintf(h + 148, 8, "%06o", sum);
    text_.append(h, sizeof h);
  }
  void body(std::string_view data) {
    text_ += data;
    text_.append((512 - data.size() % 512) % 512, '\0');
  }
  std::string text_;
};

}  // namespace

void write_reproduction(Link& link, const std::vector<std::string>& args) {
  const std::string& path = link.opt.reproduce;
  if (path.empty()) return;
  std::string base = std::filesystem::path(path).stem().string();
  Tar tar;
  tar.add(base + "/response.txt", response(args));
  tar.add(base + "/version.txt", "lode " LODE_VERSION "\n");
  std::set<std::string> seen;
  for (auto* list : {&link.linked_names, &link.side_files})
    for (const std::string& read : *list) {
      std::string full = absolute(read);
      std::error_code failed;
      if (!seen.insert(full).second || !std::filesystem::is_regular_file(full, failed)) continue;
      std::string text;
      if (!read_file(full, text)) {
        link.diag.error("--reproduce: cannot read " + full);
        continue;
      }
      tar.add(base + full, text);
    }
  write_report(link, path, tar.finish());
  link.diag.flush();
}

}  // namespace lode::link::elf
