// SQLite's machine IR in the store: how many bytes an instruction takes, on both targets; that what was stored and read
// back emits the same bytes; that a damaged file is refused. And SQLite's AIR in the text form: print, parse, print is
// a fix point. Skipped, saying so, where SQLite has not been fetched.
#include <random>

#include "codegen/air/legalize.h"
#include "codegen/air/text.h"
#include "codegen/import/import.h"
#include "codegen/native/target.h"
#include "codegen/wasm/emit.h"
#include "link/wasm/link.h"
#include "tests/programs/sqlite_inputs.h"
#include "tests/support/snapshot.h"

using namespace lode;
using namespace lode::test;
using namespace lode::test::sqlite_inputs;

namespace {

std::vector<uint8_t> bytes_of(const std::string& path) {
  std::string s = read_file(path);
  REQUIRE(!s.empty());
  return {s.begin(), s.end()};
}

double bytes_per_instruction(const mir::StoreSizes& s) {
  return double(s.tag_bytes + s.operand_bytes + s.extra_bytes) / double(s.instructions);
}

// Every function of a module, lowered as the linker does it for an object file.
void lower_all(const std::vector<uint8_t>& bytes, mir::MirStore& store) {
  auto opened = codegen::BitcodeModule::open(bytes, "sqlite3.bc");
  REQUIRE(opened.ok());
  const air::Module& module = (*opened)->module();
  std::vector<SymbolId> symbols, runtime;
  std::vector<codegen::SymbolReach> reach;
  for (uint32_t i = 0; i < module.symbols.size(); i++) {
    symbols.push_back(SymbolId(i));
    reach.push_back(module.symbols[i].defined ? codegen::SymbolReach::direct : codegen::SymbolReach::got);
  }
  for (uint32_t i = 0; i < air::runtime_function_count; i++) runtime.push_back(SymbolId(uint32_t(symbols.size()) + i));
  const codegen::NativeTarget& target = x86_64::target();
  auto scratch = target.make_scratch();
  codegen::LowerContext context{&module, symbols, reach, runtime, {}};
  context.options.pic = true;
  air::Function fn;
  mir::FunctionDraft draft;
  for (uint32_t i = 0; i < module.functions.size(); i++) {
    fn.clear();
    REQUIRE((*opened)->read(air::FunctionIndex(i), fn).ok());
    draft.clear();
    auto lowered = target.lower(fn, context, *scratch, draft);
    if (!lowered.ok()) FAIL(lowered.error().text());
    draft.symbol = symbols[module.functions[i].symbol.value];
    REQUIRE(store.append(draft).ok());
  }
}

// Text, constants, unwind rows and fixups of all functions, as object code and as executable code.
std::string emit_all(const mir::MirStore& store) {
  const codegen::NativeTarget& target = x86_64::target();
  std::string all;
  for (uint32_t f = 0; f < store.function_count(); f++) {
    const mir::FunctionView view = store.view(FunctionId(f));
    for (bool object : {false, true}) {
      codegen::TargetOptions options;
      options.pic = true;
      options.object = object;
      std::vector<codegen::ResolvedReference> references;
      for (size_t k = 0; k < view.references.size(); k++)
        references.push_back(
            {0x400000 + k * 0x1010, object ? codegen::ReferenceForm::relocation : codegen::ReferenceForm::direct});
      auto sizes = target.measure(view, references, options);
      REQUIRE(sizes.ok());
      std::string text(sizes->text, 0), constants(sizes->constants, 0);
      std::vector<codegen::Fixup> fixups;
      std::vector<uint8_t> cfi;
      codegen::EmitPlace place;
      place.text = reinterpret_cast<uint8_t*>(text.data());
      place.constants = reinterpret_cast<uint8_t*>(constants.data());
      place.text_address = 0x500000;
      place.constants_address = 0x700000;
      place.fixups = object ? &fixups : nullptr;
      place.cfi = &cfi;
      auto emitted = target.emit(view, references, options, place);
      if (!emitted.ok()) FAIL(emitted.error().text());
      all += text + constants + std::string(cfi.begin(), cfi.end());
      for (const codegen::Fixup& x : fixups)
        all += std::to_string(x.offset) + " " + std::to_string(x.kind) + " " + std::to_string(x.index) + " " +
               std::to_string(x.addend) + ";";
    }
  }
  return all;
}

void check_damage(const std::vector<uint8_t>& good, uint32_t target) {
  std::mt19937 rng(1);
  const uint64_t functions = load(good, target)->sizes().functions;
  // As a whole, or a chunk's functions are not there.
  auto refused = [&](const std::vector<uint8_t>& file) {
    auto r = load(file, target);
    return !r.ok() || r->sizes().functions < functions;
  };
  for (int i = 0; i < 40; i++) {
    std::vector<uint8_t> bad = good;
    bad[i < 8 ? size_t(i) : rng() % bad.size()] ^= uint8_t(1 << rng() % 8);
    REQUIRE(refused(bad));
    bad = good;
    bad.resize(rng() % bad.size());
    REQUIRE(refused(bad));
  }
  REQUIRE(!load(good, target + 1).ok());
}

void native(const std::string& level) {
  LODE_SKIP_IF(unavailable({"clang-19"}));
  mir::MirStore store(2, x86_64::target().elf_machine);
  lower_all(bytes_of(bitcode(level)[1]), store);
  const mir::StoreSizes sizes = store.sizes();
  INFO(sizes.functions << " functions, " << sizes.instructions << " instructions, " << bytes_per_instruction(sizes)
                       << " bytes each");
  CHECK(sizes.functions > 1000);
  CHECK(sizes.instructions > 100000);
  CHECK(bytes_per_instruction(sizes) <= 12);
  const std::vector<uint8_t> saved = save(store);
  auto loaded = load(saved, store.target());
  REQUIRE(loaded.ok());
  CHECK(save(*loaded) == saved);
  for (uint32_t f = 0; f < store.function_count(); f++)
    REQUIRE(loaded->record(FunctionId(f)).hash == store.record(FunctionId(f)).hash);
  const std::string before = emit_all(store);
  CHECK(before.size() > 1000000);
  CHECK((emit_all(*loaded) == before));
  CHECK((emit_all(store) == before));
  check_damage(saved, store.target());
}

void web(const std::string& level) {
  LODE_SKIP_IF(unavailable({"clang-19", wasi_folder()}));
  link::wasm::Options options;
  options.relocatable = true;
  link::wasm::Link link(options);
  link.diagnostics.quiet = true;
  const std::vector<uint8_t> bytes = bytes_of(bitcode(level, wasi_flags, ".wasm32")[1]);
  link.add_bytes(bytes, "sqlite3.bc", true, false);
  REQUIRE(!link.flush().empty());
  const mir::StoreSizes sizes = link.store.sizes();
  INFO(sizes.functions << " functions, " << sizes.instructions << " instructions, " << bytes_per_instruction(sizes)
                       << " bytes each");
  CHECK(sizes.functions > 1000);
  CHECK(bytes_per_instruction(sizes) <= 6);
  const std::vector<uint8_t> saved = save(link.store);
  auto loaded = load(saved, link.store.target());
  REQUIRE(loaded.ok());
  auto emit_bodies = [](const mir::MirStore& store) {
    std::vector<uint8_t> all, body;
    for (uint32_t f = 0; f < store.function_count(); f++) {
      if (!store.alive(FunctionId(f))) continue;
      const mir::FunctionView view = store.view(FunctionId(f));
      std::vector<lode::wasm::ReferenceValue> values;
      for (size_t k = 0; k < view.references.size(); k++) values.push_back(k * 37 % 5000);
      body.resize(lode::wasm::body_bound(view));
      uint8_t* end = lode::wasm::emit_body(view, values, {}, body.data(), nullptr);
      all.insert(all.end(), body.data(), end);
    }
    return all;
  };
  const std::vector<uint8_t> before = emit_bodies(link.store);
  CHECK(before.size() > 500000);
  CHECK((emit_bodies(*loaded) == before));
  check_damage(saved, link.store.target());
}

void text(const std::string& path) {
  const std::vector<uint8_t> bytes = bytes_of(path);
  auto opened = codegen::BitcodeModule::open(bytes, "sqlite3.bc");
  REQUIRE(opened.ok());
  auto printed = air::print_module((*opened)->module());
  REQUIRE(printed.ok());
  air::ParsedModule parsed;
  if (!air::parse_text(*printed, "sqlite3.air", parsed))
    FAIL(air::format_diagnostic("sqlite3.air", *printed, parsed.errors[0]));
  auto again = air::print_module(parsed.module);
  REQUIRE(again.ok());
  CHECK((*again == *printed));
}

}  // namespace

TEST_CASE("SQLite: x86_64 machine IR keeps its budget, and emits the same after it was stored") {
  native("O0");
  native("O1");
}
TEST_CASE("SQLite: wasm machine IR keeps its budget, and emits the same after it was stored") { web("O2"); }
TEST_CASE("SQLite: AIR of bitcode prints to a fix point") {
  LODE_SKIP_IF(unavailable({"clang-19"}));
  for (const char* level : {"O0", "O1"}) text(bitcode(level)[1]);
  text(bitcode("O1")[0]);
}
