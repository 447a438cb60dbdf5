// What to write here instead of a word of LLVM's text, by where the word stands: for messages. Those who come from
// there know what they mean; what they need is this language's word for it.
#pragma once

#include <string>
#include <string_view>

namespace lode::air::hints {

struct Hint {
  std::string_view word, text;
};

inline constexpr Hint instruction[] = {
    {"phi", "a block has parameters, as name(%x: i32):, and branches give them arguments, as br name(%a)"},
    {"getelementptr", "addresses are reckoned in bytes, as %q = ptr_add ptr %p, i64 %i * 4 + 8"},
    {"extractvalue", "write extract {i32, ptr} %s [1] to ptr"},
    {"insertvalue", "write insert {i32, ptr} %s, ptr %v [1]"},
    {"extractelement", "write extract_element <4 x i32> %v, i32 %lane to i32"},
    {"insertelement", "write insert_element <4 x i32> %v, i32 %x, i32 %lane"},
    {"shufflevector", "write shuffle <4 x i32> %a, %b [0, 5, undef, 2]"},
    {"atomicrmw", "write atomic_rmw add ptr %p, i32 %v seq_cst"},
    {"landingpad", "write landing_pad"},
    {"indirectbr", "write indirect_br ptr %p [one, two]"},
    {"callbr", "there is none"},
    {"addrspacecast", "there is one address space"},
    {"tail", "flags of a call stand behind the word, as call tail i32 @f()"},
    {"musttail", "flags of a call stand behind the word, as call musttail i32 @f()"},
    {"notail", "flags of a call stand behind the word, as call notail i32 @f()"},
    {"jump", "write br name"},
    {"return", "write ret"},
    {"not", "write xor with -1"},
    {"neg", "write sub with 0 in front"},
};
inline constexpr Hint type[] = {
    {"half", "f16"},   {"bfloat", "bf16"},   {"float", "f32"},      {"double", "f64"}, {"x86_fp80", "f80"},
    {"fp128", "f128"}, {"pointer", "ptr"},   {"int", "i32"},        {"bool", "i1"},    {"long", "i64"},
    {"char", "i8"},    {"label", "a block's name alone, without a type"}, {"opaque", "ptr, to what is not known"},
};
inline constexpr Hint item[] = {
    {"define", "a function begins as strong func @name(%a: i32) -> i32 {"},
    {"source_filename", "a source is file \"name.c\""},
    {"attributes", "attributes stand behind the function's result, as -> i32 nounwind {"},
    {"module", "module-level assembly is asm \"text\""},
    {"uselistorder", "there is none"},
    {"function", "a function begins as strong func @name(%a: i32) -> i32 {"},
    {"fn", "a function begins as strong func @name(%a: i32) -> i32 {"},
    {"global", "data is strong data @name : i32 = 0"},
    {"extern", "a symbol of elsewhere is declare func @name(i32) -> i32 or declare data @name : i32"},
};

template <size_t N>
inline std::string_view find(const Hint (&table)[N], std::string_view word) {
  for (const Hint& h : table)
    if (h.word == word) return h.text;
  return {};
}
// Whether one letter more, one less, another one, or two that changed places make one word of the other.
inline bool similar(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) return similar(b, a);
  if (b.size() - a.size() > 1) return false;
  size_t front = 0, back = 0;
  while (front < a.size() && a[front] == b[front]) front++;
  while (back < a.size() - front && a[a.size() - 1 - back] == b[b.size() - 1 - back]) back++;
  if (front + back + (a.size() == b.size()) >= a.size()) return true;
  return a.size() == b.size() && front + back + 2 == a.size() && a[front] == b[front + 1] && a[front + 1] == b[front];
}
// "; HINT", or nothing.
template <size_t N>
inline std::string after(const Hint (&table)[N], std::string_view word) {
  const std::string_view text = find(table, word);
  return text.empty() ? std::string() : "; " + std::string(text);
}

}  // namespace lode::air::hints
