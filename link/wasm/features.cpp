// Target features: what the code of inputs uses, what an input forbids, what the output says (tool-conventions,
// Linking.md, "Target Features Section").
//
// An object says so itself, in its section target_features: '+' a feature that it uses, '-' one that must not be in the
// output. (The pseudo-feature "shared-mem" is forbidden by code whose atomic operations and thread-local data became
// ordinary ones because atomics or bulk-memory were missing.) A module of IR says what its functions were compiled for,
// "target-cpu" and "target-features" in bitcode, `processor` in AIR text: it uses the union over its functions, as LLVM
// does. A module that says nothing may use what LLVM's processor "generic" has, or what --features lists.
//
// Which names there are, and which of them a module's code generation cares about, stands in the table below. A name in
// IR that is not there is ignored with a warning, as LLVM does it; what stands in an object's section or on the command
// line is only compared.
//
// The output's features are those of all inputs, or exactly those of --features, and then every other used one is an
// error.
#include <algorithm>

#include "codegen/air/air.h"
#include "link/wasm/link.h"

namespace lode::link::wasm {

namespace {

using F = cg::Feature;

// The features of LLVM 13 to 22 (WebAssembly.td), and what having one means for the code that is made.
struct Row {
  std::string_view name;
  std::initializer_list<F> gives;
};
const Row known_features[] = {
    {"atomics", {F::atomics}},
    {"bulk-memory", {F::bulk_memory, F::bulk_memory_opt}},
    {"bulk-memory-opt", {F::bulk_memory_opt}},  // memory.copy and memory.fill alone
    {"call-indirect-overlong", {}},             // table numbers in five bytes, which reference-types has too
    {"exception-handling", {F::exception_handling}},
    {"extended-const", {F::extended_const}},
    {"fp16", {}},
    {"gc", {}},
    {"half-precision", {}},  // fp16 in LLVM 19
    {"memory64", {F::memory64}},
    {"multimemory", {F::multimemory}},
    {"multivalue", {F::multivalue}},
    {"mutable-globals", {F::mutable_globals}},
    {"nontrapping-fptoint", {F::nontrapping_fptoint}},
    {"reference-types", {F::reference_types}},
    {"relaxed-atomics", {}},
    {"relaxed-simd", {F::relaxed_simd, F::simd128}},
    {"sign-ext", {F::sign_ext}},
    {"simd128", {F::simd128}},
    {"tail-call", {F::tail_call}},
    {"wide-arithmetic", {}},
};

constexpr const char* generic_features[] = {"multivalue", "mutable-globals", "reference-types", "sign-ext"};
struct Processor {
  std::string_view name;
  std::span<const char* const> features;
};
constexpr const char* lime1_features[] = {"bulk-memory-opt", "call-indirect-overlong", "extended-const", "multivalue",
                                          "mutable-globals", "nontrapping-fptoint",    "sign-ext"};
constexpr const char* bleeding_edge_features[] = {
    "atomics", "bulk-memory", "extended-const", "multimemory", "multivalue", "mutable-globals", "nontrapping-fptoint",
    "reference-types", "relaxed-simd", "sign-ext", "simd128", "tail-call"};
constexpr Processor processors[] = {{"mvp", {}},
                                    {"generic", generic_features},
                                    {"", generic_features},
                                    {"lime1", lime1_features},
                                    {"bleeding-edge", bleeding_edge_features}};

uint32_t bits_of(const std::vector<std::string>& names) {
  uint32_t bits = 0;
  for (const std::string& name : names)
    for (const Row& r : known_features)
      if (name == r.name)
        for (F f : r.gives) bits |= cg::bit(f);
  return bits;
}

bool is_known(std::string_view name) {
  return std::any_of(std::begin(known_features), std::end(known_features),
                     [&](const Row& r) { return r.name == name; });
}

void add(std::vector<std::string>& to, std::string_view name) {
  if (std::find(to.begin(), to.end(), name) == to.end()) to.emplace_back(name);
}

// The features of one combination of processor and list; later entries of the list count more. Names that nobody knows
// go to `unknown`.
std::vector<std::string> expand(const air::TargetAttributes& t, std::vector<std::string>& unknown) {
  std::vector<std::string> out;
  for (const Processor& p : processors)
    if (p.name == t.processor)
      for (const char* f : p.features) add(out, f);
  std::string_view list = t.features;
  while (!list.empty()) {
    std::string_view entry = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), entry.size() + 1));
    if (entry.size() < 2) continue;
    if (!is_known(entry.substr(1))) add(unknown, entry);
    else if (entry[0] == '+') add(out, entry.substr(1));
    else std::erase(out, entry.substr(1));
  }
  return out;
}

// What modules may use that do not say what they were compiled for.
std::vector<std::string> default_features(const Options& o) {
  std::vector<std::string> names;
  if (o.features_given) names = o.features;
  else names.assign(std::begin(generic_features), std::end(generic_features));
  names.insert(names.end(), o.extra_features.begin(), o.extra_features.end());
  return names;
}

}  // namespace

void Link::set_default_features() { features = bits_of(default_features(options)); }

void read_features(Link& l, InputFile& f, const air::Module& air) {
  std::vector<std::string> unknown;
  for (const air::TargetAttributes& t : air.processors)
    for (const std::string& name : expand(t, unknown)) add(f.used_features, name);
  for (const std::string& name : unknown)
    l.diagnostics.warning(f.name + ": '" + name + "' is not a recognized feature for this target (ignoring feature)");
  if (air.processors.empty())
    for (const std::string& name : default_features(l.options)) add(f.used_features, name);
  f.features = bits_of(f.used_features);
  // Threads need both; with only one of them LLVM, too, makes code for one thread.
  if (!(f.features & cg::bit(cg::Feature::bulk_memory))) f.features &= ~cg::bit(cg::Feature::atomics);
}

void Link::check_features() {
  std::vector<std::pair<std::string, const InputFile*>> used, disallowed;  // feature, by whom
  bool tls = false;
  for (const InputFile& f : files) {
    for (const std::string& name : f.used_features) used.emplace_back(name, &f);
    if (f.one_thread) disallowed.emplace_back("shared-mem", &f);
    if (!f.object) continue;
    for (const fw::FeatureEntry& e : f.object->features)
      (e.prefix == '-' ? disallowed : used).emplace_back(std::string(e.name), &f);
  }
  for (const Segment& s : segments) tls |= s.live && (s.flags & fw::segment_flags::tls);
  std::vector<std::string> allowed;
  if (options.features_given) allowed = options.features;
  else
    for (auto& [name, file] : used) allowed.push_back(name);
  allowed.insert(allowed.end(), options.extra_features.begin(), options.extra_features.end());
  std::sort(allowed.begin(), allowed.end());
  allowed.erase(std::unique(allowed.begin(), allowed.end()), allowed.end());
  auto is_allowed = [&](const std::string& name) { return std::binary_search(allowed.begin(), allowed.end(), name); };
  used_features = bits_of(allowed);
  for (const std::string& name : allowed) output_features.push_back("+" + name);
  if (options.relocatable) {  // the next linker has to hear of it
    for (auto& [name, file] : disallowed)
      if (!is_allowed(name)) add(output_features, "-" + name);
  }
  if (!options.check_features || options.relocatable) return;
  if (options.features_given)
    for (auto& [name, file] : used)
      if (!is_allowed(name))
        diagnostics.error("Target feature '" + name + "' used by " + file->name + " is not allowed.");
  for (auto& [name, file] : disallowed) {
    if (name == "shared-mem") {
      if (options.shared_memory)
        diagnostics.error("--shared-memory is disallowed by " + file->name +
                          " because it was not compiled with 'atomics' or 'bulk-memory' features.");
      continue;
    }
    if (!is_allowed(name)) continue;
    auto by = std::find_if(used.begin(), used.end(), [&, &name = name](auto& u) { return u.first == name; });
    diagnostics.error("Target feature '" + name + "' used in " +
                      (by == used.end() ? "the command line" : by->second->name) + " is disallowed by " + file->name +
                      ". Use --no-check-features to suppress.");
  }
  if (options.shared_memory)
    for (const char* name : {"atomics", "bulk-memory"})
      if (!is_allowed(name))
        diagnostics.error(std::string("'") + name + "' feature must be used in order to use shared memory");
  if (tls && options.shared_memory)
    for (const char* name : {"atomics", "bulk-memory"})
      if (!is_allowed(name))
        diagnostics.error(std::string("'") + name + "' feature must be used in order to use thread-local storage");
}

}  // namespace lode::link::wasm
