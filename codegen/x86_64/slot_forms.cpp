#include "codegen/x86_64/slot_forms.h"

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>

namespace lode::x86_64 {

namespace {

std::array<SlotForm, op_count> make() {
  std::unordered_map<std::string_view, Op> by_name;
  for (unsigned k = 0; k < op_count; k++) by_name[inst_table[k].name()] = Op(k);
  std::array<SlotForm, op_count> forms;
  auto find = [&](std::string name, Form form) {
    auto it = by_name.find(name);
    return it != by_name.end() && info(it->second).form == form ? it->second : Op::count_;
  };
  for (unsigned k = 0; k < op_count; k++) {
    const InstInfo& i = inst_table[k];
    std::string name = i.name();
    auto with = [&](size_t at, size_t n, const char* letters) {
      std::string s = name;
      s.replace(at, n, letters);
      return s;
    };
    switch (i.form) {
      case Form::rr: {
        // The form letters are the last "rr", "xr" or "rx" of the name; a width may follow them (movzx32rr8).
        size_t at = name.rfind("rr");
        if (at == std::string::npos) at = name.rfind("xr");
        if (at == std::string::npos) at = name.rfind("rx");
        if (at == std::string::npos) break;
        std::string letters = name.substr(at, 2);
        if (letters == "rr") {
          forms[k].second = find(with(at, 2, "rm"), Form::rm);
          // A store form of a plain operation; moves between registers have none of the same meaning but mov itself.
          forms[k].first = find(with(at, 2, "mr"), Form::mr);
        } else {
          forms[k].second = find(with(at, 2, letters == "xr" ? "xm" : "rm"), Form::rm);
        }
        break;
      }
      case Form::rrr: case Form::rrri: {
        size_t at = name.rfind('r', name.size() - (i.form == Form::rrri ? 2 : 1));
        forms[k].third = find(with(at, 1, "m"), i.form == Form::rrri ? Form::rrmi : Form::rrm);
        if (forms[k].third == Op::count_ && name.rfind("rrr") == name.size() - 3 && i.enc == Enc::RMV)
          forms[k].second = find(with(at - 1, 1, "m"), Form::rmr);
        break;
      }
      case Form::ri: {
        size_t at = name.rfind("ri");
        if (at != std::string::npos) forms[k].first = find(with(at, 2, "mi"), Form::mi);
        break;
      }
      case Form::rri: {
        size_t at = name.rfind("rri");
        if (at != std::string::npos) forms[k].second = find(with(at, 3, "rmi"), Form::rmi);
        break;
      }
      case Form::r: {
        size_t at = name.rfind('r');
        if (at == name.size() - 1) forms[k].first = find(with(at, 1, "m"), Form::m);
        break;
      }
      default: break;
    }
  }
  // test has no load form of its own: its operands commute.
  for (unsigned width : {8u, 16u, 32u, 64u}) {
    auto it = by_name.find(std::string_view(width == 8    ? "test8rr"
                                            : width == 16 ? "test16rr"
                                            : width == 32 ? "test32rr"
                                                          : "test64rr"));
    if (it != by_name.end()) forms[unsigned(it->second)].second = Op::count_;
  }
  return forms;
}

}  // namespace

const SlotForm* slot_forms() {
  static const std::array<SlotForm, op_count> table = make();
  return table.data();
}

}  // namespace lode::x86_64
