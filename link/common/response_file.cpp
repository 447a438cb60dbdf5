// See response_file.h.
#include "link/common/response_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "link/common/lookups.h"

namespace lode::link {

namespace {

Result<std::string> read_response_file(const std::string& path) {
  note_lookup(path);
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
    if (fd >= 0) close(fd);
    return error("cannot open response file " + path);
  }
  std::string text;
  char buffer[65536];
  ssize_t n;
  while ((n = read(fd, buffer, sizeof buffer)) > 0) text.append(buffer, size_t(n));
  close(fd);
  if (n < 0) return error("cannot read response file " + path);
  return text;
}

bool is_special(char c) { return uint8_t(c) <= ' ' || c == '"' || c == '\'' || c == '\\'; }

// The words of a text; false when a quote does not end.
bool split_words(const std::string& text, std::vector<std::string>& words) {
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); i++) {
    char c = text[i];
    if (quote) {
      if (c == quote) quote = 0;
      else if (c == '\\' && i + 1 < text.size()) word += text[++i];
      else word += c;
    } else if (c == '"' || c == '\'') {
      quote = c;
      in_word = true;
    } else if (c == '\\' && i + 1 < text.size()) {
      word += text[++i];
      in_word = true;
    } else if (uint8_t(c) <= ' ') {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else {
      // Most words have nothing special in them.
      size_t end = i + 1;
      while (end < text.size() && !is_special(text[end])) end++;
      word.append(text, i, end - i);
      i = end - 1;
      in_word = true;
    }
  }
  if (in_word) words.push_back(std::move(word));
  return !quote;
}

}  // namespace

Result<std::vector<std::string>> expand_response_files(std::span<const char* const> args) {
  std::vector<std::string> out;
  struct Pending {
    std::vector<std::string> list;
    size_t at = 0;
  };
  std::vector<Pending> stack(1);
  for (const char* a : args) stack[0].list.emplace_back(a);
  unsigned opened = 0;
  while (!stack.empty()) {
    Pending& top = stack.back();
    if (top.at == top.list.size()) {
      stack.pop_back();
      continue;
    }
    std::string a = std::move(top.list[top.at++]);
    if (a.size() < 2 || a[0] != '@') {
      out.push_back(std::move(a));
      continue;
    }
    if (++opened > 1000) return error("response files include each other too often: " + a);
    LODE_ASSIGN(std::string text, read_response_file(a.substr(1)));
    Pending next;
    if (!split_words(text, next.list)) return error("unterminated quote in response file " + a.substr(1));
    stack.push_back(std::move(next));
  }
  return out;
}

}  // namespace lode::link
