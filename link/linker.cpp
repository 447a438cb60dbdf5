// linker.h over the passes of the ELF link and of the wasm link, which the option -m chooses between: modules are
// inputs in memory; a replacement is a module in front of all others, the first definition of its symbol is the one
// that counts, and the later ones are no error.
#include "link/linker.h"

#include <algorithm>
#include <new>
#include <set>
#include <type_traits>

#include "codegen/air/text.h"
#include "codegen/air/verifier.h"
#include "codegen/import/import.h"
#include "formats/elf/reader.h"
#include "formats/wasm/reader.h"
#include "link/elf/elf_main.h"
#include "link/elf/inputs/contents.h"
#include "link/cache/mir_cache.h"
#include "link/common/arena.h"
#include "link/common/message_place.h"
#include "link/common/module_file.h"
#include "link/wasm/wasm_main.h"

namespace lode::link {

namespace {

// A module as it was given: bytes (ELF or bitcode), or AIR.
struct Contents {
  std::vector<uint8_t> bytes;
  std::unique_ptr<air::Module> module;
};

struct Item {
  std::string name;   // of a module or a replaced function; an option's text
  Contents contents;
  bool is_option = false;
};

bool starts_with(std::span<const uint8_t> bytes, std::initializer_list<uint8_t> magic) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}
bool is_wasm(std::span<const uint8_t> bytes) { return starts_with(bytes, {0, 'a', 's', 'm'}); }
bool is_elf(std::span<const uint8_t> bytes) { return starts_with(bytes, {0x7f, 'E', 'L', 'F'}); }

Result<void> verify(const air::Module& module, const std::string& name) {
  std::vector<air::Problem> problems;
  air::verify_module(module, problems);
  if (problems.empty()) return {};
  std::string all;
  for (const air::Problem& p : problems)
    all += (all.empty() ? "" : "\n") + name + ": error: " + air::problem_text(module, p);
  Error e = error(all);
  e.complete = true;
  return e;
}

// Which linker: as the command decides by -m.
bool means_wasm(const std::vector<std::string>& options) {
  for (size_t i = 0; i < options.size(); i++) {
    std::string_view m = options[i] == "-m" && i + 1 < options.size() ? std::string_view(options[i + 1])
                         : options[i].starts_with("-m")               ? std::string_view(options[i]).substr(2)
                                                                      : std::string_view();
    if (m.starts_with(" ")) m.remove_prefix(1);
    if (m == "wasm32" || m == "wasm64") return true;
  }
  return false;
}

Result<Contents> read(std::string_view name, std::span<const uint8_t> bytes, bool wasm) {
  if (name.empty()) return error("a module needs a name");
  if (bytes.empty()) return error_at(std::string(name), "the module is empty");
  Contents c;
  if (is_elf(bytes) && wasm) return error_at(std::string(name), "an ELF object, and the link is of wasm");
  if (is_wasm(bytes)) {
    if (!wasm) return error_at(std::string(name), "a WebAssembly object, and the link is of ELF (-m wasm32)");
    auto object = formats::wasm::read(bytes);
    if (!object.ok()) return object.take_error().at(std::string(name));
    if (!object->relocatable) return error_at(std::string(name), "a linked module, not an object");
    c.bytes.assign(bytes.begin(), bytes.end());
  } else if (is_elf(bytes)) {
    auto view = formats::elf::ElfView::open(bytes);
    if (!view) return view.take_error().at(std::string(name));
    c.bytes.assign(bytes.begin(), bytes.end());
  } else if (is_bitcode(bytes)) {
    auto opened = codegen::BitcodeModule::open(bytes, std::string(name));
    if (!opened) return opened.take_error();
    c.bytes.assign(bytes.begin(), bytes.end());
  } else {
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    LODE_ASSIGN(air::Module m, air::read_text(text, std::string(name)));
    c.module = std::make_unique<air::Module>(std::move(m));
  }
  return c;
}

Result<Contents> copy_of(std::string_view name, const air::Module& module) {
  if (name.empty()) return error("a module needs a name");
  LODE_TRY(verify(module, std::string(name)));
  Contents c;
  c.module = std::make_unique<air::Module>(module);
  return c;
}

// What is replaced.
enum class Replaced : uint8_t { function, data };

bool defines(const air::Module& m, std::string_view symbol, Replaced what) {
  return std::any_of(m.symbols.begin(), m.symbols.end(), [&](const air::Symbol& s) {
    return s.defined && s.linkage != air::Linkage::internal && s.linkage != air::Linkage::available_externally &&
           (s.kind != air::SymbolKind::data) == (what == Replaced::function) && m.str(s.name) == symbol;
  });
}

Result<void> check_defines(const Contents& c, std::string_view symbol, Replaced what) {
  bool found = false;
  if (c.module) {
    found = defines(*c.module, symbol, what);
  } else if (is_bitcode(c.bytes)) {
    LODE_ASSIGN(auto opened, codegen::BitcodeModule::open(c.bytes, std::string(symbol)));
    found = defines(opened->module(), symbol, what);
  } else if (is_wasm(c.bytes)) {
    LODE_ASSIGN(auto object, formats::wasm::read(c.bytes));
    using formats::wasm::SymbolKind;
    const SymbolKind kind = what == Replaced::function ? SymbolKind::function : SymbolKind::data;
    for (const formats::wasm::Symbol& s : object.symbols)
      found |= !s.undefined() && s.kind == kind && s.name == symbol &&
               (s.flags & formats::wasm::symbol_flags::binding_mask) != formats::wasm::symbol_flags::local;
  } else {
    // Assembly leaves functions without a type.
    LODE_ASSIGN(auto view, formats::elf::ElfView::open(c.bytes));
    for (uint32_t i = view.first_global; i < view.symbols.size(); i++) {
      const formats::elf::Sym& s = view.symbols[i];
      const bool fits = what == Replaced::function ? s.type() != formats::elf::STT_OBJECT
                                                   : s.type() != formats::elf::STT_FUNC;
      found |= s.shndx != formats::elf::SHN_UNDEF && fits && view.symbol_name(s) == symbol;
    }
  }
  if (!found)
    return error(std::string("the replacement does not define ") +
                 (what == Replaced::function ? "a function " : "data ") + std::string(symbol) + " that others can see");
  return {};
}

}  // namespace

struct Linker::State {
  std::vector<std::string> options;
  bool wasm = false;
  std::vector<Item> items;         // in link order
  std::vector<Item> replacements;  // by symbol
  std::set<std::string, std::less<>> removed;  // symbols
  std::vector<Diagnostic> diagnostics;  // of the last flush
  std::string listing;
  std::function<void(const Diagnostic&)> handler;
  // What the last flush made of each module: a function that is what it was then is neither read nor lowered again, and
  // where nothing that it refers to has moved either, its bytes are copied.
  MirCache functions{"", 0};
  LinkArena arena;
  // The files of the last flush, and what was read of them.
  elf::KeptInputs inputs;
};

Linker::Linker(std::vector<std::string> options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
  state_->inputs.set_keeps(true);
  state_->wasm = means_wasm(state_->options);
}
Linker::~Linker() = default;

Result<void> Linker::check_options() const {
  std::vector<std::string> args{"lode"};
  args.insert(args.end(), state_->options.begin(), state_->options.end());
  for (const Item& i : state_->items)
    if (i.is_option) args.push_back(i.name);
  if (!state_->wasm) {
    elf::Options options;
    std::vector<std::string> warnings;
    return elf::parse_options(args, options, warnings);
  }
  std::vector<const char*> pointers;
  for (const std::string& a : args) pointers.push_back(a.c_str());
  auto options = wasm::parse_options(pointers);
  if (!options.ok()) return options.take_error();
  return {};
}

// Passes what an error about the module says to the handler.
Result<void> Linker::tell(std::string_view module, Result<void> result) {
  if (result.ok() || !state_->handler) return result;
  auto named = [&](std::string_view text) { return text.starts_with(module) ? module.size() : 0; };
  for (const Diagnostic& d : take_apart(Severity::error, result.error().text(), named)) state_->handler(d);
  return result;
}

static std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// A module that was read, at its place in the list.
static Result<void> put(std::vector<Item>& list, std::string_view name, Result<Contents> contents) {
  if (!contents.ok()) return contents.take_error();
  for (Item& i : list)
    if (!i.is_option && i.name == name) {
      i.contents = std::move(contents).value();
      return {};
    }
  list.push_back({std::string(name), std::move(contents).value(), false});
  return {};
}
static Result<Contents> that_defines(std::string_view symbol, Replaced what, Result<Contents> contents) {
  if (!contents.ok()) return contents;
  LODE_TRY(check_defines(*contents, symbol, what));
  return contents;
}

Result<void> Linker::add_module(std::string_view name, std::span<const uint8_t> contents) {
  return tell(name, put(state_->items, name, read(name, contents, state_->wasm)));
}
Result<void> Linker::add_module(std::string_view name, std::string_view air_text) {
  return add_module(name, bytes_of(air_text));
}
Result<void> Linker::add_module(std::string_view name, const air::Module& module) {
  return tell(name, put(state_->items, name, copy_of(name, module)));
}

bool Linker::remove_module(std::string_view name) {
  return std::erase_if(state_->items, [&](const Item& i) { return !i.is_option && i.name == name; }) != 0;
}

// A replacement that was read: it counts, and the symbol is there again.
template <class State>
static Result<void> replace(State& state, std::string_view symbol, Replaced what, Result<Contents> contents) {
  LODE_TRY(put(state.replacements, symbol, that_defines(symbol, what, std::move(contents))));
  if (auto it = state.removed.find(symbol); it != state.removed.end()) state.removed.erase(it);
  return {};
}

Result<void> Linker::replace_function(std::string_view function, std::span<const uint8_t> contents) {
  return tell(function, replace(*state_, function, Replaced::function, read(function, contents, state_->wasm)));
}
Result<void> Linker::replace_function(std::string_view function, std::string_view air_text) {
  return replace_function(function, bytes_of(air_text));
}
Result<void> Linker::replace_function(std::string_view function, const air::Module& module) {
  return tell(function, replace(*state_, function, Replaced::function, copy_of(function, module)));
}
Result<void> Linker::replace_data(std::string_view datum, std::span<const uint8_t> contents) {
  return tell(datum, replace(*state_, datum, Replaced::data, read(datum, contents, state_->wasm)));
}
Result<void> Linker::replace_data(std::string_view datum, std::string_view air_text) {
  return replace_data(datum, bytes_of(air_text));
}
Result<void> Linker::replace_data(std::string_view datum, const air::Module& module) {
  return tell(datum, replace(*state_, datum, Replaced::data, copy_of(datum, module)));
}

static bool drop_replacement(std::vector<Item>& replacements, std::string_view symbol) {
  return std::erase_if(replacements, [&](const Item& i) { return i.name == symbol; }) != 0;
}
void Linker::remove_symbol(std::string_view symbol) {
  drop_replacement(state_->replacements, symbol);
  state_->removed.emplace(symbol);
}
bool Linker::restore_symbol(std::string_view symbol) {
  const bool replaced = drop_replacement(state_->replacements, symbol);
  auto it = state_->removed.find(symbol);
  if (it == state_->removed.end()) return replaced;
  state_->removed.erase(it);
  return true;
}

void Linker::add_option(std::string option) { state_->items.push_back({std::move(option), {}, true}); }

namespace {

template <class MemoryInput>
struct CommandLine {
  std::vector<std::string> args{"lode"};
  std::vector<MemoryInput> memory;

  void add(std::string name, const Contents& c, std::string replaces) {
    // No file and no option begins like this.
    std::string key = std::string("\x01") + std::to_string(memory.size());
    memory.push_back({key, std::move(name), c.bytes, c.module.get(), std::move(replaces)});
    args.push_back(std::move(key));
  }
};

}  // namespace

// A link by `main_with` of one of the linkers.
template <class MemoryInput, class Host, class State, class Main>
static Result<void> link_by(State& state, const std::string& output, std::vector<uint8_t>* bytes, Main main_with) {
  CommandLine<MemoryInput> line;
  line.args.insert(line.args.end(), state.options.begin(), state.options.end());
  // By name, not in the order in which they came: what is linked decides the output, not how it came to be that.
  std::vector<const Item*> replacements;
  for (const Item& r : state.replacements) replacements.push_back(&r);
  std::sort(replacements.begin(), replacements.end(), [](const Item* a, const Item* b) { return a->name < b->name; });
  for (const Item* r : replacements) line.add(r->name + " (replaced)", r->contents, r->name);
  for (const Item& i : state.items) {
    if (i.is_option) line.args.push_back(i.name);
    else line.add(i.name, i.contents, {});
  }
  line.args.push_back("-o");
  line.args.push_back(output);
  state.diagnostics.clear();
  state.listing.clear();
  Host host;
  host.bytes = bytes;
  host.removed.assign(state.removed.begin(), state.removed.end());
  host.mir_cache = &state.functions;
  host.arena = &state.arena;
  if constexpr (std::is_same_v<Host, elf::Host>) host.inputs = &state.inputs;
  host.receive = [&](const Diagnostic& d) {
    state.diagnostics.push_back(d);
    if (state.handler) state.handler(d);
  };
  const int status = main_with(line.args, line.memory, &host);
  state.listing = std::move(host.listing);
  if (status == 0) return {};
  while (host.messages.ends_with('\n')) host.messages.pop_back();
  Error e = error(host.messages.empty() ? "the link failed" : host.messages);
  e.complete = true;
  return e;
}

Result<void> Linker::link_all(const std::string& output, std::vector<uint8_t>* bytes) {
  try {
    if (!state_->wasm) return link_by<elf::MemoryInput, elf::Host>(*state_, output, bytes, elf::main_with);
    auto wasm_main = [](const std::vector<std::string>& args, std::span<const wasm::MemoryInput> memory,
                        wasm::Host* host) {
      std::vector<const char*> pointers;
      for (const std::string& a : args) pointers.push_back(a.c_str());
      return wasm::main_with(pointers, memory, host);
    };
    return link_by<wasm::MemoryInput, wasm::Host>(*state_, output, bytes, wasm_main);
  } catch (const std::bad_alloc&) {  // what the standard library throws goes no farther than this
    return tell({}, error("out of memory"));
  }
}

Result<void> Linker::flush(const std::string& output) { return link_all(output, nullptr); }

Result<std::vector<uint8_t>> Linker::flush_to_memory(const std::string& name) {
  std::vector<uint8_t> bytes;
  LODE_TRY(link_all(name, &bytes));
  return bytes;
}

const std::vector<Diagnostic>& Linker::diagnostics() const { return state_->diagnostics; }
std::vector<std::string> Linker::warnings() const {
  std::vector<std::string> texts;
  for (const Diagnostic& d : state_->diagnostics)
    if (d.severity == Severity::warning) texts.push_back(d.text);
  return texts;
}
const std::string& Linker::listing() const { return state_->listing; }
void Linker::set_diagnostic_handler(std::function<void(const Diagnostic&)> handler) {
  state_->handler = std::move(handler);
}

}  // namespace lode::link
