// For tests of the wasm linker: objects made in the test from MIR, without a selector; modules read back and run.
#pragma once

#include <catch2/catch.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "formats/wasm/reader.h"
#include "link/wasm/link.h"
#include "tests/support/run.h"
#include "tests/support/wasm_valid.h"

namespace lode::test {

namespace lw = lode::link::wasm;
namespace cg = lode::wasm;
namespace fw = lode::formats::wasm;

inline lw::Options wasm_options(const std::vector<std::string>& args = {}) {
  std::vector<const char*> all{"wasm-lode"};
  for (const std::string& a : args) all.push_back(a.c_str());
  auto o = lw::parse_options(all);
  return o.ok() ? *o : lw::Options{};
}

// A link whose inputs are made by hand: functions as MIR, data as bytes, in a file of its own.
class HandLink {
 public:
  explicit HandLink(lw::Options options = {}) : link(std::move(options)) { link.diagnostics.quiet = true; }
  lw::Link link;
  cg::Builder b;

  uint32_t file(const std::string& name) {
    lw::InputFile& f = link.files.emplace_back();
    f.name = name;
    return uint32_t(link.files.size() - 1);
  }
  SymbolId function(uint32_t file, const std::string& name, std::span<const cg::ValueType> params,
                    std::span<const cg::ValueType> results, const std::function<void()>& body, bool exported = false) {
    lw::Symbol s;
    s.name = link.keep(name);
    s.kind = lw::SymbolKind::function;
    s.file = file;
    s.type = link.types.intern(cg::signature_bytes(params, results));
    s.item = uint32_t(link.functions.size());
    s.exported = exported;
    SymbolId id = link.define(s);
    mir::FunctionDraft d;
    b.start(d, id, params, results);
    body();
    lw::Function f;
    f.source = lw::Function::module;
    f.file = file;
    f.type = s.type;
    f.name = s.name;
    f.symbol = id;
    f.mir = *link.store.append(d);
    link.functions.push_back(f);
    return id;
  }
  std::vector<uint8_t> flush();
  // A name that is used before it is defined.
  SymbolId used(uint32_t file, const std::string& name, lw::SymbolKind kind, std::span<const cg::ValueType> params = {},
                std::span<const cg::ValueType> results = {}, bool weak = false) {
    lw::Symbol s;
    s.name = link.keep(name);
    s.kind = kind;
    s.file = file;
    s.weak = weak;
    if (kind == lw::SymbolKind::function) s.type = link.types.intern(cg::signature_bytes(params, results));
    return link.refer(s);
  }
};

fw::Module read_back(const std::vector<uint8_t>&& bytes) = delete;  // the module's names lie in them
inline fw::Module read_back(const std::vector<uint8_t>& bytes) {
  auto m = fw::read(bytes);
  return m.ok() ? std::move(*m) : fw::Module{};
}

// A link's output, which has to be a valid module where there is one.
inline std::vector<uint8_t> flush(lw::Link& link) {
  std::vector<uint8_t> out = link.flush();
  if (!out.empty()) CHECK(valid_wasm(out));
  return out;
}

inline std::vector<uint8_t> HandLink::flush() { return test::flush(link); }

// Evaluates a JavaScript expression over the instance's exports `e`; what it prints, or "" when there is no node.
inline std::string node(const std::vector<uint8_t>& bytes, const std::string& expression,
                        const std::vector<std::string>& command = {"node"}) {
  TempDir dir;
  std::string path = dir.write("m.wasm", std::string(bytes.begin(), bytes.end()));
  std::vector<std::string> args = command;
  args.insert(args.end(), {"-e", "const m=new WebAssembly.Module(require('fs').readFileSync('" + path +
                                     "'));const e=new WebAssembly.Instance(m,{env:new "
                                     "Proxy({},{get:(t,n)=>(...a)=>(console.log(n,...a),7)})}).exports;"
                                     "console.log(" +
                                     expression + ")"});
  RunResult r = run(args);
  return r.ok() ? r.out : "error: " + r.err;
}

}  // namespace lode::test
