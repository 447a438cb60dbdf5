// 32-bit indices in distinct types: a SymbolId cannot be passed for a FunctionId.
// The all-ones value means "none"; valid indices are 0 .. 0xfffffffe.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace lode {

template <class Tag>
struct Index {
  static constexpr uint32_t none_value = 0xffffffffu;
  uint32_t value = none_value;

  constexpr Index() = default;
  constexpr explicit Index(uint32_t v) : value(v) {}
  constexpr bool valid() const { return value != none_value; }
  constexpr explicit operator bool() const { return valid(); }
  friend constexpr auto operator<=>(Index, Index) = default;
};

// A symbol of the link: given when the linker first sees the name (or the local definition); never reused.
using SymbolId = Index<struct SymbolIdTag>;
// A function whose MIR is in the MIR store.
using FunctionId = Index<struct FunctionIdTag>;

static_assert(sizeof(SymbolId) == 4 && sizeof(FunctionId) == 4);

}  // namespace lode

template <class Tag>
struct std::hash<lode::Index<Tag>> {
  size_t operator()(lode::Index<Tag> i) const noexcept { return i.value * 0x9e3779b97f4a7c15ull >> 16; }
};
