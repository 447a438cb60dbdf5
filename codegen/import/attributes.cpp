// Attribute lists, read once a module into what they mean to code generation, by the rows of requests.h.
//
// A list is read without knowing who uses it: a function's definition, a declaration or a call. Hence flags are kept
// for both uses, and what is refused is only noted, for the body that meets it to fail with. Symbols that attributes
// name (a function that probes the stack) join the module's, because bodies may not add any.
#include <algorithm>
#include <bit>
#include <charconv>
#include <unordered_map>

#include "base/bytes.h"
#include "codegen/import/requests.h"
#include "codegen/import/state.h"

namespace lode::codegen {

namespace {

constexpr std::pair<std::string_view, air::ZeroRegisters> zero_register_words[] = {
    {"skip", air::ZeroRegisters::none},
    {"used-gpr-arg", air::ZeroRegisters::used_gpr_arg},
    {"used-gpr", air::ZeroRegisters::used_gpr},
    {"used-arg", air::ZeroRegisters::used_arg},
    {"used", air::ZeroRegisters::used},
    {"all-gpr-arg", air::ZeroRegisters::all_gpr_arg},
    {"all-gpr", air::ZeroRegisters::all_gpr},
    {"all-arg", air::ZeroRegisters::all_arg},
    {"all", air::ZeroRegisters::all}};

// What functions call when they are entered or left: these take the function's address and the place it returns to,
// those nothing.
constexpr std::string_view profilers[] = {"__cyg_profile_func_enter", "__cyg_profile_func_exit"};
constexpr std::string_view plain_profilers[] = {
    "mcount", ".mcount", "\01_mcount", "\01mcount", "__mcount", "_mcount", "__cyg_profile_func_enter_bare"};

}  // namespace

bool takes_profile_arguments(std::string_view name) {
  return std::find(std::begin(profilers), std::end(profilers), name) != std::end(profilers);
}

namespace {

class ListReader {
 public:
  ListReader(ImportState& s, AttributeSummary& out, std::vector<std::string>& unknown)
      : s_(s), out_(out), unknown_(unknown) {}

  void function(std::span<const bc::Attribute> attrs) {
    air::TargetAttributes target;
    for (const bc::Attribute& a : attrs) {
      const bool text = a.form == bc::Attribute::String;
      const AttributeRow* row = text ? find_string_attribute(a.key) : find_enum_attribute(a.kind, position::function);
      if (!row) {
        if (text) unknown_.push_back(std::string(a.key));
        else
          refuse("attribute number " + std::to_string(a.kind) + ", of a newer LLVM, is not known",
                 position::function | position::call);
        continue;
      }
      if (a.key == "target-cpu") target.processor = a.text;
      if (a.key == "target-features") target.features = a.text;
      apply(*row, a);
    }
    features(target.features);
    if (!s_.wasm) out_.features = processor_features_of(target.processor, target.features);
    auto& list = s_.air.processors;
    if (target != air::TargetAttributes{} && std::find(list.begin(), list.end(), target) == list.end())
      list.push_back(std::move(target));
  }

  void value(uint32_t index, std::span<const bc::Attribute> attrs) {
    const uint8_t place = index == bc::attr_return_index ? position::result : position::parameter;
    air::ParamAttr p;
    for (const bc::Attribute& a : attrs) {
      if (a.form == bc::Attribute::String) {
        if (!find_string_attribute(a.key)) unknown_.push_back(std::string(a.key));
        continue;
      }
      const AttributeRow* row = find_enum_attribute(a.kind, place);
      // A range of values is a promise, whoever makes it.
      if (!row && a.form != bc::Attribute::Range)
        refuse("attribute number " + std::to_string(a.kind) + ", of a newer LLVM, is not known",
               position::function | position::call);
      if (!row) continue;
      if (row->treatment(s_.wasm) == Treatment::refused) refuse_row(*row, position::function | position::call);
      p.bits |= row->param_bits;
      if (row->action == AttributeAction::pointee) pointee(a, p);
    }
    if (p.bits & (air::attr::byval | air::attr::sret))
      for (const bc::Attribute& a : attrs)
        if (a.form == bc::Attribute::Integer && a.kind == bc::attr_alignment && is_power_of_two(a.value))
          p.align_log2 = uint16_t(std::countr_zero(a.value));
    if (!p.bits) return;
    if (index == bc::attr_return_index) out_.result_attrs |= p.bits;
    else s_.param_entries.push_back({index - 1, p});
  }

 private:
  void refuse(const std::string& text, uint8_t positions) {
    if ((positions & position::function) && out_.refused_function.empty()) out_.refused_function = text;
    if ((positions & position::call) && out_.refused_call.empty()) out_.refused_call = text;
    if ((positions & position::variable) && out_.refused_variable.empty()) out_.refused_variable = text;
  }
  void refuse_row(const AttributeRow& row, uint8_t positions) {
    refuse("attribute '" + std::string(row.name) + "' is not supported (" + std::string(row.why) + ")", positions);
  }
  void refuse_text(const AttributeRow& row, const bc::Attribute& a) {
    refuse("attribute '" + std::string(row.name) + "' with the value '" + std::string(a.text) + "' is not supported",
           row.positions);
  }

  void pointee(const bc::Attribute& a, air::ParamAttr& p) {
    p.bits |= a.kind == bc::attr_byval  ? air::attr::byval
              : a.kind == bc::attr_sret ? air::attr::sret
                                        : air::attr::element;
    if (a.form == bc::Attribute::Type && a.value != bc::none && s_.type_ok[a.value]) {
      uint64_t size = s_.air.types.size_of(s_.types[a.value]);
      if (size > 0xffffffff) refuse("argument larger than 4 GiB is not supported", position::function | position::call);
      p.size = uint32_t(size);
      if (!p.align_log2) p.align_log2 = uint16_t(std::countr_zero(s_.air.types.align_of(s_.types[a.value])));
    } else if (a.kind == bc::attr_byval) {
      refuse("byval without a type is not supported", position::function | position::call);
    }
  }

  void number(const AttributeRow& row, const bc::Attribute& a, uint32_t& out) {
    auto [end, problem] = std::from_chars(a.text.data(), a.text.data() + a.text.size(), out);
    if (problem != std::errc() || end != a.text.data() + a.text.size()) refuse_text(row, a);
  }

  void apply(const AttributeRow& row, const bc::Attribute& a) {
    using enum AttributeAction;
    namespace flag = air::function_flags;
    const bool yes = a.text == "true";
    bool refused = row.treatment(s_.wasm) == Treatment::refused;
    uint32_t& f = out_.function_flags;
    air::Requests& q = out_.requests;
    switch (row.action) {
      case none: case pointee: case target: break;
      case flags:
        f |= row.function_flags;
        out_.call_flags |= row.call_flags;
        break;
      case flags_if_true:
        if (yes) f |= row.function_flags;
        break;
      case if_true: refused &= yes; break;
      case xray: refused &= a.text != "xray-never"; break;
      case stack_alignment: refused &= a.value > 16; break;
      case uwtable:
        f |= flag::uwtable | (a.form == bc::Attribute::Integer && a.value == 1 ? 0 : flag::async_uwtable);
        break;
      case frame_pointer:
        if (yes || a.text == "all" || a.text == "reserved") f |= flag::frame_pointer;
        else if (a.text == "non-leaf" || a.text == "non-leaf-no-reserve") f |= flag::frame_pointer_non_leaf;
        else if (a.text != "none" && a.text != "false") refuse_text(row, a);
        break;
      case frame_pointer_non_leaf: f |= flag::frame_pointer_non_leaf; break;
      case probe_stack:
        f |= flag::probe_stack;
        if (a.text != "inline-asm") out_.probe_symbol = a.text;
        break;
      case probe_size: number(row, a, q.probe_size); break;
      case buffer_size: number(row, a, q.protect_buffer_size); break;
      case zero_registers: {
        auto it = std::find_if(std::begin(zero_register_words), std::end(zero_register_words),
                               [&](auto& w) { return w.first == a.text; });
        if (it == std::end(zero_register_words)) refuse_text(row, a);
        else q.zero_registers = it->second;
        break;
      }
      case patchable_entry: number(row, a, q.patchable_entry); break;
      case patchable_prefix: number(row, a, q.patchable_prefix); break;
      case patchable_section: out_.patchable_section = a.text; break;
      case fentry:
        refused &= yes;
        if (yes) out_.fentry = "__fentry__";
        break;
      case entry_call: case exit_call:
        (row.action == entry_call ? out_.entry_call : out_.exit_call) = a.text;
        if (!takes_profile_arguments(a.text) &&
            std::find(std::begin(plain_profilers), std::end(plain_profilers), a.text) == std::end(plain_profilers))
          refuse_text(row, a);
        break;
    }
    if (refused) refuse_row(row, row.positions);
  }

  void features(std::string_view list) {
    if (s_.wasm) return;
    while (!list.empty()) {
      std::string_view one = list.substr(0, list.find(','));
      list.remove_prefix(std::min(list.size(), one.size() + 1));
      for (const FeatureRow& row : feature_rows()) {
        if (row.name != one) continue;
        out_.function_flags |= row.function_flags;
        if (row.x86_64 == Treatment::refused)
          refuse("target feature '" + std::string(one) + "' is not supported (" + std::string(row.why) + ")",
                 position::function);
      }
    }
  }

  ImportState& s_;
  AttributeSummary& out_;
  std::vector<std::string>& unknown_;
};

}  // namespace

void summarise_attributes(ImportState& s) {
  const bc::Module& m = s.bitcode;
  std::vector<std::string> unknown;
  s.attributes.resize(m.attribute_lists.size());
  for (size_t l = 0; l < m.attribute_lists.size(); l++) {
    AttributeSummary& out = s.attributes[l];
    out.first = uint32_t(s.param_entries.size());
    ListReader reader(s, out, unknown);
    auto [first, count] = m.attribute_lists[l];
    for (uint32_t i = 0; i < count; i++) {
      const bc::AttributeGroup& g = m.attribute_groups[m.attribute_list_groups[first + i]];
      std::span<const bc::Attribute> attrs(m.attributes.data() + g.first, g.count);
      if (g.index == bc::attr_function_index) reader.function(attrs);
      else reader.value(g.index, attrs);
    }
    out.count = uint32_t(s.param_entries.size()) - out.first;
    std::sort(s.param_entries.begin() + out.first, s.param_entries.end(),
              [](const ParamEntry& a, const ParamEntry& b) { return a.param < b.param; });
  }
  std::sort(unknown.begin(), unknown.end());
  unknown.erase(std::unique(unknown.begin(), unknown.end()), unknown.end());
  for (const std::string& key : unknown)
    s.air.warnings.push_back("attribute \"" + key + "\" is not known and has no effect");
}

Result<void> resolve_attribute_symbols(ImportState& s) {
  const bc::Module& m = s.bitcode;
  air::Module& out = s.air;
  std::vector<uint8_t> defines(s.attributes.size());
  for (const bc::Global& g : m.globals)
    if (g.kind == bc::Global::Function && !g.declaration && g.attributes != bc::none) defines[g.attributes] = 1;
  const air::TypeId pointers[] = {air::TypeTable::ptr, air::TypeTable::ptr};
  s.entry_call_type = out.types.function_type(air::TypeTable::void_type, nullptr, 0, false);
  s.profile_call_type = out.types.function_type(air::TypeTable::void_type, pointers, 2, false);
  std::unordered_map<std::string_view, air::SymbolIndex> known;
  auto symbol = [&](std::string_view name) {
    if (name.empty()) return air::SymbolIndex{};
    auto [it, fresh] = known.try_emplace(name);
    if (!fresh) return it->second;
    if (name[0] == 1) name.remove_prefix(1);  // LLVM's mark of a name that is taken as it is
    for (uint32_t k = 0; k < out.symbols.size() && !it->second; k++)
      if (out.name_of(air::SymbolIndex(k)) == name) it->second = air::SymbolIndex(k);
    if (!it->second) {
      air::Symbol y;
      y.name = out.add_string(name);
      y.kind = air::SymbolKind::function;
      y.type = takes_profile_arguments(name) ? s.profile_call_type : s.entry_call_type;
      it->second = air::SymbolIndex(uint32_t(out.symbols.size()));
      out.symbols.push_back(y);
    }
    return it->second;
  };
  for (size_t l = 0; l < s.attributes.size(); l++) {
    if (!defines[l]) continue;
    AttributeSummary& a = s.attributes[l];
    a.requests.probe_symbol = symbol(a.probe_symbol);
    a.requests.fentry = symbol(a.fentry);
    a.entry_symbol = symbol(a.entry_call);
    a.exit_symbol = symbol(a.exit_call);
  }
  return {};
}

}  // namespace lode::codegen
