// The module part: data layout, types, symbols.
//
// Bitcode types are structural or named; AIR has only structure, so every bitcode type maps to one AIR type and opaque
// and typed pointers alike become ptr. Intrinsic declarations get no symbol; those that turn into calls of a library
// function get that function's symbol here, because bodies may not add any.
#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "codegen/import/state.h"

namespace lode::codegen {

namespace {

// The parts of "e-m:e-p270:32:32-i64:64-i128:128-f80:128-n8:16:32:64-S128" that matter here (LLVM Language Reference,
// "Data Layout"): p, i64, i128, f80, f128. Alignments are in bits.
Result<air::DataLayout> parse_layout(std::string_view text) {
  air::DataLayout layout;
  layout.i64_align = 4;
  layout.i128_align = 0;
  if (text.empty()) layout.i64_align = 8;
  while (!text.empty()) {
    size_t dash = text.find('-');
    std::string_view part = text.substr(0, dash);
    text = dash == std::string_view::npos ? std::string_view{} : text.substr(dash + 1);
    if (part == "E") return error("big-endian bitcode is not supported");
    size_t colon = part.find(':');
    if (colon == std::string_view::npos) continue;
    std::string_view key = part.substr(0, colon);
    unsigned first = 0, second = 0;
    auto r = std::from_chars(part.data() + colon + 1, part.data() + part.size(), first);
    if (r.ec == std::errc() && r.ptr < part.data() + part.size() && *r.ptr == ':')
      std::from_chars(r.ptr + 1, part.data() + part.size(), second);
    if (key == "p" || key == "p0") {
      if (first != 32 && first != 64) return error("pointers of " + std::to_string(first) + " bits are not supported");
      layout.pointer_bytes = uint8_t(first / 8);
      continue;
    }
    uint8_t bytes = uint8_t(std::min(first, 1024u) / 8);
    if (!is_power_of_two(bytes)) continue;
    if (key == "i64") layout.i64_align = bytes;
    if (key == "i128") layout.i128_align = bytes;
    if (key == "f80") layout.f80_align = bytes;
    if (key == "f128") layout.f128_align = bytes;
  }
  if (layout.i128_align == 0) layout.i128_align = layout.i64_align;
  return layout;
}

class TypeImporter {
 public:
  explicit TypeImporter(ImportState& s) : s_(s), done_(s.bitcode.types.size(), 0) {}

  Result<void> run() {
    for (uint32_t i = 0; i < s_.bitcode.types.size(); i++) {
      convert(i);
      if (error_) return error(error_);
    }
    return {};
  }

 private:
  air::TypeId convert(uint32_t id) {
    if (done_[id]) return s_.types[id];
    const bc::Type t = s_.bitcode.types[id];
    auto& table = s_.air.types;
    air::TypeId out = air::TypeTable::void_type;
    bool ok = true;
    switch (t.kind) {
      case bc::TypeKind::Void: ok = false; break;
      case bc::TypeKind::Half: out = table.f16; break;
      case bc::TypeKind::BFloat: out = table.bf16; break;
      case bc::TypeKind::Float: out = table.f32; break;
      case bc::TypeKind::Double: out = table.f64; break;
      case bc::TypeKind::X86Fp80: out = table.f80; break;
      case bc::TypeKind::Fp128: out = table.f128; break;
      case bc::TypeKind::Integer: out = table.int_type(uint32_t(t.count)); break;
      case bc::TypeKind::Pointer: out = table.ptr; break;
      case bc::TypeKind::Array:
      case bc::TypeKind::Vector: {
        air::TypeId e = convert(t.element);
        ok = s_.type_ok[t.element];
        if (ok) out = t.kind == bc::TypeKind::Array ? table.array_type(e, t.count) : table.vector_type(e, t.count);
        break;
      }
      case bc::TypeKind::Struct: {
        std::vector<air::TypeId> fields;
        for (uint32_t e : s_.bitcode.list_of(t)) {
          fields.push_back(convert(e));
          ok = ok && s_.type_ok[e];
        }
        if (ok) out = table.struct_type(fields.data(), fields.size(), t.packed);
        break;
      }
      case bc::TypeKind::Function: {
        // Parameters of metadata and label type belong to intrinsics only; pointers inside do not recurse.
        std::vector<air::TypeId> params;
        auto list = s_.bitcode.list_of(t);
        for (uint32_t e : list) params.push_back(convert(e));
        out = table.function_type(params[0], params.data() + 1, params.size() - 1, t.vararg);
        ok = false;
        break;
      }
      default: ok = false; break;
    }
    if (out != table.void_type && table.oversized(out)) error_ = "type larger than the address space";
    s_.types[id] = out;
    s_.type_ok[id] = ok;
    done_[id] = 1;
    return out;
  }

  ImportState& s_;
  std::vector<uint8_t> done_;
  const char* error_ = nullptr;
};

air::Linkage linkage_of(bc::Linkage l) {
  switch (l) {
    case bc::Linkage::External: return air::Linkage::external;
    case bc::Linkage::Appending: return air::Linkage::appending;
    case bc::Linkage::Internal:
    case bc::Linkage::Private: return air::Linkage::internal;
    case bc::Linkage::ExternWeak: return air::Linkage::extern_weak;
    case bc::Linkage::Common: return air::Linkage::common;
    case bc::Linkage::AvailableExternally: return air::Linkage::external;
    case bc::Linkage::WeakAny: return air::Linkage::weak_any;
    case bc::Linkage::WeakOdr: return air::Linkage::weak_odr;
    case bc::Linkage::LinkOnceAny: return air::Linkage::linkonce_any;
    case bc::Linkage::LinkOnceOdr: return air::Linkage::linkonce_odr;
  }
  return air::Linkage::external;
}

// Global names may start with a 1 byte: "take the rest as it is".
std::string_view plain_name(std::string_view name) {
  if (!name.empty() && name[0] == 1) name.remove_prefix(1);
  return name;
}

const char* math_suffix(air::TypeId t) {
  using T = air::TypeTable;
  return t == T::f32 ? "f" : t == T::f64 ? "" : t == T::f80 || t == T::f128 ? "l" : nullptr;
}

}  // namespace

Result<void> import_types(ImportState& s) {
  LODE_ASSIGN(auto layout, parse_layout(s.bitcode.data_layout));
  s.air.types.set_layout(layout);
  s.pointer_int = layout.pointer_bytes == 4 ? air::TypeTable::i32 : air::TypeTable::i64;
  s.types.resize(s.bitcode.types.size());
  s.type_ok.resize(s.bitcode.types.size());
  return TypeImporter(s).run();
}

namespace {

// A target's own intrinsics without a row stay calls of a function of that name; its select pass knows them.
bool note_intrinsic(ImportState& s, uint32_t i) {
  const bc::Global& g = s.bitcode.globals[i];
  constexpr std::string_view llvm = "llvm.", wasm = "llvm.wasm.";
  if (g.kind != bc::Global::Function || !g.name.starts_with(llvm)) return false;
  const Intrinsic* in;
  if (g.name.starts_with(wasm)) {
    in = find_wasm_intrinsic(g.name.substr(wasm.size()));
    if (!in) return false;
  } else {
    in = find_intrinsic(g.name);
    if (!in && s.machine_intrinsics) in = s.machine_intrinsics(g.name.substr(llvm.size()));
  }
  s.is_intrinsic[i] = 1;
  s.intrinsics[i] = in;
  if (in && in->kind == IntrinsicKind::Trap) s.has_trap = true;
  return true;
}

// Arrays that only talk to the linker (llvm.used, llvm.global_ctors ...) or to nobody (section llvm.metadata).
bool is_dropped(const bc::Module& m, const bc::Global& g) {
  if (g.kind != bc::Global::Variable) return false;
  return g.name.starts_with("llvm.") || (g.section != bc::none && m.sections[g.section] == "llvm.metadata");
}

Result<void> set_variable_layout(ImportState& s, const bc::Global& g, air::Symbol& y) {
  if (y.defined && g.attributes != bc::none && !s.attributes[g.attributes].refused_variable.empty())
    return error("variable '" + std::string(g.name) + "': " + s.attributes[g.attributes].refused_variable);
  if (s.type_ok[g.type]) {
    if (g.log2_align == 0xff) y.align_log2 = uint32_t(std::countr_zero(s.air.types.align_of(y.type)));
    y.size = s.air.types.size_of(y.type);
  } else if (y.defined) {
    return error("variable '" + std::string(g.name) + "' has a type without a size");
  }
  return {};
}

// What a wasm module imports or exports a function as.
void set_wasm_names(ImportState& s, const bc::Global& g, air::Symbol& y) {
  const bc::Module& m = s.bitcode;
  auto attribute = [&](std::string_view key) { return m.find_attribute(g.attributes, bc::attr_function_index, key); };
  const bc::Attribute *module = attribute("wasm-import-module"), *import = attribute("wasm-import-name");
  y.wasm_import = module || import;
  if (y.wasm_import) {
    y.wasm_import_module = s.air.add_string(module ? module->text : "env");
    y.wasm_import_name = s.air.add_string(import ? import->text : g.name);
  }
  if (const bc::Attribute* exported = attribute("wasm-export-name"))
    y.wasm_export_name = s.air.add_string(exported->text);
}

Result<void> import_symbol(ImportState& s, uint32_t i, std::span<const air::StringRef> sections) {
  const bc::Module& m = s.bitcode;
  const bc::Global& g = m.globals[i];
  air::Module& out = s.air;
  air::Symbol y;
  y.name = out.add_string(plain_name(g.name));
  y.kind = g.kind == bc::Global::Function ? air::SymbolKind::function
           : g.kind == bc::Global::Alias  ? air::SymbolKind::alias
           : g.kind == bc::Global::IFunc  ? air::SymbolKind::ifunc
                                          : air::SymbolKind::data;
  y.linkage = linkage_of(g.linkage);
  y.visibility = air::Visibility(g.visibility);
  y.tls = air::TlsModel(g.tls);
  y.defined = !g.declaration && g.linkage != bc::Linkage::AvailableExternally;
  y.dso_local = g.dso_local;
  y.constant = g.constant;
  y.unnamed_addr = g.unnamed_addr != bc::UnnamedAddr::None;
  if (g.section != bc::none) y.section = sections[g.section];
  if (g.comdat != bc::none) y.comdat = air::ComdatIndex(g.comdat);
  if (g.log2_align != 0xff) y.align_log2 = std::min<uint32_t>(g.log2_align, 32);
  y.type = s.types[g.type];
  if (g.kind == bc::Global::Variable) LODE_TRY(set_variable_layout(s, g, y));
  if (g.kind == bc::Global::Function && g.attributes != bc::none &&
      (m.triple.empty() || m.triple.starts_with("wasm")))
    set_wasm_names(s, g, y);
  s.symbols[i] = air::SymbolIndex(uint32_t(out.symbols.size()));
  if (g.kind == bc::Global::Function && y.defined) {
    y.function = air::FunctionIndex(uint32_t(out.functions.size()));
    out.functions.push_back({s.symbols[i], g.personality != bc::none});
    s.body_of.push_back(g.body);
  }
  out.symbols.push_back(y);
  return {};
}

// The name of the library function that an intrinsic of these parameters stands for; empty: none for this type.
std::string library_name(const Intrinsic& in, std::span<const air::TypeId> params) {
  std::string name = in.library;
  if (in.kind == IntrinsicKind::Library && !params.empty()) {
    const char* suffix = math_suffix(params[0]);
    return suffix ? name + suffix : std::string();
  }
  if (in.kind == IntrinsicKind::PowI && params.size() == 2) {
    using T = air::TypeTable;
    const air::TypeId t = params[0];
    const char* mode = t == T::f32    ? "sf2"
                       : t == T::f64  ? "df2"
                       : t == T::f80  ? "xf2"
                       : t == T::f128 ? "tf2"
                                      : nullptr;
    return mode ? name + mode : std::string();
  }
  return name;
}

// The module's function of this name, or a new declaration.
air::SymbolIndex library_function(ImportState& s, const std::string& name, air::TypeId type) {
  const bc::Module& m = s.bitcode;
  air::SymbolIndex found;
  for (uint32_t k = 0; k < m.globals.size() && !found; k++)
    if (m.globals[k].kind == bc::Global::Function && m.globals[k].name == name) found = s.symbols[k];
  if (found) return found;
  air::Symbol y;
  y.name = s.air.add_string(name);
  y.kind = air::SymbolKind::function;
  y.type = type;
  s.air.symbols.push_back(y);
  return air::SymbolIndex(uint32_t(s.air.symbols.size() - 1));
}

// Library functions that intrinsics stand for.
void import_library_functions(ImportState& s) {
  const bc::Module& m = s.bitcode;
  air::Module& out = s.air;
  std::unordered_map<std::string, air::SymbolIndex> library;
  for (uint32_t i = 0; i < m.globals.size(); i++) {
    const Intrinsic* in = s.intrinsics[i];
    if (!in || !in->library) continue;
    auto scalar = [&](uint32_t type) {
      const air::TypeId t = s.types[type];
      return out.types[t].kind == air::TypeKind::Vector ? out.types[t].element : t;
    };
    const auto list = m.list_of(m.types[m.globals[i].type]);
    const air::TypeId result = scalar(list[0]);
    std::vector<air::TypeId> params;
    for (uint32_t p : list.subspan(1)) params.push_back(scalar(p));
    const std::string name = library_name(*in, params);
    if (name.empty()) continue;
    // Bodies add no types: the scalar function type must be there for calls that are split into lanes.
    const air::TypeId type = out.types.function_type(result, params.data(), params.size(), false);
    auto [it, fresh] = library.try_emplace(name);
    if (fresh) it->second = library_function(s, name, type);
    s.libcalls[i] = it->second;
    s.libcall_types[i] = type;
  }
}

}  // namespace

Result<void> import_symbols(ImportState& s) {
  const bc::Module& m = s.bitcode;
  air::Module& out = s.air;
  for (const bc::Comdat& c : m.comdats)
    out.comdats.push_back({out.add_string(c.name), air::ComdatKind(uint8_t(c.kind) - 1)});
  std::vector<air::StringRef> sections;
  for (std::string_view n : m.sections) sections.push_back(out.add_string(n));

  const size_t n = m.globals.size();
  s.symbols.resize(n);
  s.libcalls.resize(n);
  s.libcall_types.resize(n);
  s.intrinsics.assign(n, nullptr);
  s.is_intrinsic.assign(n, 0);
  out.symbols.reserve(n);
  for (uint32_t i = 0; i < n; i++)
    if (!note_intrinsic(s, i) && !is_dropped(m, m.globals[i])) LODE_TRY(import_symbol(s, i, sections));
  LODE_TRY(resolve_attribute_symbols(s));
  import_library_functions(s);
  return {};
}

}  // namespace lode::codegen
