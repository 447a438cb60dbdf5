// See message_place.h.
#include "link/common/message_place.h"

#include <charconv>
#include <optional>

namespace lode::link {

namespace {

// A number at the beginning of `text` that ends with a colon; both are taken off.
std::optional<uint32_t> take_number(std::string_view& text) {
  uint32_t n = 0;
  auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (problem != std::errc() || end == text.data() + text.size() || *end != ':') return {};
  text.remove_prefix(size_t(end - text.data()) + 1);
  return n;
}

// What stands between the parenthesis that `text` begins with and the one that closes it.
std::string_view in_parentheses(std::string_view text) {
  int depth = 0;
  for (size_t i = 0; i < text.size(); i++) {
    depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
    if (depth == 0) return text.substr(1, i - 1);
  }
  return {};
}

// Fills in where in the file, from what follows its name: ':', and then one of the forms.
void read_place(std::string_view rest, Diagnostic& d) {
  rest.remove_prefix(1);
  std::string_view numbers = rest;
  if (auto line = take_number(numbers)) {
    d.line = *line;
    if (auto column = take_number(numbers)) d.column = *column;
  } else if (rest.starts_with('(')) {
    d.place = in_parentheses(rest);
  } else if (rest.starts_with(" function ")) {
    d.place = rest.substr(1, rest.find(": ") - 1);
  }
}

// The first file that is named in the text: at its beginning, else behind a blank or the beginning of a line.
void find_file(Diagnostic& d, const FileAtStart& file_at_start) {
  const std::string_view text = d.text;
  for (size_t at = 0; at < text.size(); at++) {
    if (at && text[at - 1] != ' ' && text[at - 1] != '\n') continue;
    const size_t n = file_at_start(text.substr(at));
    if (!n || at + n >= text.size() || text[at + n] != ':') continue;
    d.file = text.substr(at, n);
    read_place(text.substr(at + n), d);
    return;
  }
}

// "FILE:LINE:COLUMN: error: ": begins a message of a text file, whatever the file.
bool begins_message(std::string_view line) {
  const size_t end = line.find(": error: ");
  if (end == std::string_view::npos) return false;
  std::string_view head = line.substr(0, end + 1);
  for (int numbers = 0; numbers < 2; numbers++) {  // from the end, as names of files have colons, too
    head.remove_suffix(1);
    const size_t colon = head.rfind(':');
    if (colon == std::string_view::npos || colon + 1 == head.size()) return false;
    if (head.substr(colon + 1).find_first_not_of("0123456789") != std::string_view::npos) return false;
    head = head.substr(0, colon + 1);
  }
  return head.size() > 1;
}

// "FILE:LINE:COLUMN: " of such a message: file and place need no list of names.
void take_place(Diagnostic& d) {
  const size_t end = d.text.find(": error: ");
  const size_t column = d.text.rfind(':', end - 1), line = d.text.rfind(':', column - 1);
  d.file = d.text.substr(0, line);
  std::string_view numbers = std::string_view(d.text).substr(line + 1);
  d.line = take_number(numbers).value_or(0);
  d.column = take_number(numbers).value_or(0);
}

}  // namespace

std::vector<Diagnostic> take_apart(Severity severity, std::string_view text, const FileAtStart& file_at_start) {
  std::vector<Diagnostic> all;
  bool placed = false;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const bool begins = begins_message(line);
    if (begins || all.empty()) {
      all.emplace_back().severity = severity;
      all.back().text = line;
      placed |= begins;
    } else {
      all.back().text.append("\n").append(line);
    }
    at = end + 1;
  }
  for (Diagnostic& d : all) {
    if (placed && begins_message(std::string_view(d.text).substr(0, d.text.find('\n')))) take_place(d);
    else find_file(d, file_at_start);
  }
  return all;
}

}  // namespace lode::link
