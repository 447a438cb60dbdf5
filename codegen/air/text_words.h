// The words of the text form that stand for enumerators and flag bits: one table each, for printer and parser.
#pragma once

#include <cstdint>
#include <string_view>

#include "codegen/air/air.h"

namespace lode::air::words {

struct Word {
  std::string_view text;
  uint32_t value;
};

inline constexpr Word linkage[] = {
    {"strong", uint32_t(Linkage::external)},        {"internal", uint32_t(Linkage::internal)},
    {"weak", uint32_t(Linkage::weak_any)},          {"weak_odr", uint32_t(Linkage::weak_odr)},
    {"linkonce", uint32_t(Linkage::linkonce_any)},  {"linkonce_odr", uint32_t(Linkage::linkonce_odr)},
    {"common", uint32_t(Linkage::common)},          {"appending", uint32_t(Linkage::appending)},
    {"extern_weak", uint32_t(Linkage::extern_weak)}, {"available_externally", uint32_t(Linkage::available_externally)}};
inline constexpr Word tls[] = {{"general_dynamic", uint32_t(TlsModel::general_dynamic)},
                               {"local_dynamic", uint32_t(TlsModel::local_dynamic)},
                               {"initial_exec", uint32_t(TlsModel::initial_exec)},
                               {"local_exec", uint32_t(TlsModel::local_exec)}};
inline constexpr Word comdat[] = {{"any", uint32_t(ComdatKind::any)},
                                  {"exact_match", uint32_t(ComdatKind::exact_match)},
                                  {"largest", uint32_t(ComdatKind::largest)},
                                  {"no_deduplicate", uint32_t(ComdatKind::no_deduplicate)},
                                  {"same_size", uint32_t(ComdatKind::same_size)}};
inline constexpr Word prefetch[] = {{"level2", 1}, {"level3", 2}, {"once", 3}};
inline constexpr Word conv[] = {{"c", uint32_t(CallConv::c)},
                                {"fast", uint32_t(CallConv::fast)},
                                {"cold", uint32_t(CallConv::cold)},
                                {"preserve_most", uint32_t(CallConv::preserve_most)},
                                {"preserve_all", uint32_t(CallConv::preserve_all)},
                                {"tail", uint32_t(CallConv::tail)},
                                {"x86_64_sysv", uint32_t(CallConv::x86_64_sysv)},
                                {"win64", uint32_t(CallConv::win64)}};
inline constexpr Word slot_array[] = {{"small_array", uint32_t(SlotArray::small)},
                                      {"large_array", uint32_t(SlotArray::large)},
                                      {"char_array", uint32_t(SlotArray::chars)}};
inline constexpr Word int_predicate[] = {{"eq", 0}, {"ne", 1}, {"ugt", 2}, {"uge", 3}, {"ult", 4},
                                         {"ule", 5}, {"sgt", 6}, {"sge", 7}, {"slt", 8}, {"sle", 9}};
inline constexpr Word float_predicate[] = {{"false", 0}, {"oeq", 1},  {"ogt", 2},  {"oge", 3},  {"olt", 4},  {"ole", 5},
                                           {"one", 6},   {"ord", 7},  {"uno", 8},  {"ueq", 9},  {"ugt", 10},
                                           {"uge", 11},
                                           {"ult", 12},  {"ule", 13}, {"une", 14}, {"true", 15}};
inline constexpr Word ordering[] = {{"unordered", 1}, {"relaxed", 2}, {"acquire", 3},
                                    {"release", 4},   {"acq_rel", 5}, {"seq_cst", 6}};
inline constexpr Word rmw[] = {{"xchg", 0},       {"add", 1},       {"sub", 2},   {"and", 3},   {"nand", 4},
                               {"or", 5},         {"xor", 6},       {"smax", 7},  {"smin", 8},  {"umax", 9},
                               {"umin", 10},      {"fadd", 11},     {"fsub", 12}, {"fmax", 13}, {"fmin", 14},
                               {"uinc_wrap", 15}, {"udec_wrap", 16}};
inline constexpr Word inst_flag[] = {{"nsw", flags::no_signed_wrap},
                                     {"nuw", flags::no_unsigned_wrap},
                                     {"exact", flags::exact},
                                     {"fast", flags::fast_math},
                                     {"nonneg", flags::non_negative}};
inline constexpr Word param_attr[] = {{"zext", attr::zext}, {"sext", attr::sext},   {"byval", attr::byval},
                                      {"sret", attr::sret}, {"nest", attr::nest},   {"inreg", attr::inreg},
                                      {"split_first", attr::split_first}, {"element", attr::element}};
inline constexpr Word call_flag[] = {{"tail", callflags::tail},         {"musttail", callflags::musttail},
                                     {"noreturn", callflags::noreturn}, {"returns_twice", callflags::returns_twice},
                                     {"nounwind", callflags::nounwind}, {"notail", callflags::notail},
                                     {"read_none", callflags::read_none}, {"no_cf_check", callflags::no_cf_check},
                                     {"no_caller_saved_registers", callflags::no_caller_saved_registers}};
inline constexpr Word function_flag[] = {{"naked", function_flags::naked},
                                         {"nounwind", function_flags::nounwind},
                                         {"noreturn", function_flags::noreturn},
                                         {"uwtable", function_flags::uwtable},
                                         {"optnone", function_flags::optnone},
                                         {"returns_twice_call", function_flags::returns_twice_call},
                                         {"cold", function_flags::cold},
                                         {"no_red_zone", function_flags::no_red_zone},
                                         {"no_implicit_float", function_flags::no_implicit_float},
                                         {"minsize", function_flags::minsize},
                                         {"has_dynamic_alloca", function_flags::has_dynamic_alloca},
                                         {"stack_protect", function_flags::stack_protect},
                                         {"stack_protect_strong", function_flags::stack_protect_strong},
                                         {"stack_protect_req", function_flags::stack_protect_req},
                                         {"frame_pointer", function_flags::frame_pointer},
                                         {"frame_pointer_non_leaf", function_flags::frame_pointer_non_leaf},
                                         {"async_uwtable", function_flags::async_uwtable},
                                         {"probe_stack", function_flags::probe_stack},
                                         {"no_jump_tables", function_flags::no_jump_tables},
                                         {"no_cf_check", function_flags::no_cf_check},
                                         {"return_thunk", function_flags::return_thunk},
                                         {"retpoline_calls", function_flags::retpoline_calls},
                                         {"retpoline_branches", function_flags::retpoline_branches},
                                         {"external_thunk", function_flags::external_thunk},
                                         {"no_sse", function_flags::no_sse},
                                         {"no_caller_saved_registers", function_flags::no_caller_saved_registers},
                                         {"no_tail_calls", function_flags::no_tail_calls},
                                         {"indirect_tls", function_flags::indirect_tls},
                                         {"legal", function_flags::legal}};
inline constexpr Word asm_flag[] = {
    {"sideeffect", 1}, {"alignstack", 2}, {"intel", 4}, {"can_throw", 8}, {"any_encoding", 16}};

template <size_t N>
inline const Word* find(const Word (&table)[N], std::string_view text) {
  for (const Word& w : table)
    if (w.text == text) return &w;
  return nullptr;
}
template <size_t N>
inline std::string_view text_of(const Word (&table)[N], uint32_t value) {
  for (const Word& w : table)
    if (w.value == value) return w.text;
  return "?";
}

}  // namespace lode::air::words
