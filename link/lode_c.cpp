// lode/lode_c.h over the Linker of C++.
//
// Nothing may leave a function of this file but its value. The library reports what is wrong as values already; what is
// left is memory, which the standard library reports by throwing. So each function runs its work in guarded(), and an
// error that says that memory is gone is not allocated.
//
// A C++ Error is one text. A C error has its messages apart besides, which are those that the Linker hands to its
// handler during the call: the handler of the Linker is this file's, which keeps them and passes them on.
#include "lode/lode_c.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "base/version.h"
#include "link/common/response_file.h"
#include "link/linker.h"

using lode::Result;
using lode::link::Diagnostic;
using lode::link::Linker;
using lode::link::Severity;

struct lode_error {
  std::string message, place;
  std::vector<Diagnostic> diagnostics;
};

struct lode_linker {
  explicit lode_linker(std::vector<std::string> options) : linker(std::move(options)) {}
  Linker linker;
  std::vector<Diagnostic> said;  // during the call that runs
  lode_diagnostic_handler handler = nullptr;
  void* data = nullptr;
};

namespace {

lode_diagnostic view(const Diagnostic& d) {
  return {d.severity == Severity::error ? LODE_ERROR : LODE_WARNING,
          d.file.c_str(), d.line, d.column, d.place.c_str(), d.text.c_str()};
}

std::string place_of(const Diagnostic& d) {
  std::string place = d.file;
  if (d.line) place += ":" + std::to_string(d.line);
  if (d.line && d.column) place += ":" + std::to_string(d.column);
  if (!d.place.empty()) place += (place.empty() ? "" : ":") + d.place;
  return place;
}

// Its text is short enough to lie in the string itself.
lode_error& out_of_memory() {
  static lode_error e{"out of memory", "", {}};
  return e;
}

lode_error* make_error(const lode::Error& e, const std::vector<Diagnostic>& said) {
  auto made = std::make_unique<lode_error>();
  made->message = e.text();
  for (const Diagnostic& d : said)
    if (d.severity == Severity::error) made->diagnostics.push_back(d);
  if (made->diagnostics.empty())
    made->diagnostics.push_back({Severity::error, e.complete ? "" : e.place, 0, 0, "", made->message});
  made->place = place_of(made->diagnostics.front());
  return made.release();
}

// Runs `work`, which returns a Result<void>, with nothing thrown out of it.
template <class Work>
lode_error* guarded(lode_linker* linker, Work&& work) {
  try {
    if (linker) linker->said.clear();
    Result<void> r = work();
    static const std::vector<Diagnostic> none;
    return r.ok() ? nullptr : make_error(r.error(), linker ? linker->said : none);
  } catch (const std::bad_alloc&) {
    return &out_of_memory();
  } catch (const std::exception& e) {  // a length that the standard library does not take
    try {
      return make_error(lode::error(e.what()), {});
    } catch (...) {
      return &out_of_memory();
    }
  }
}

// A call of a linker that has a name and, unless it needs none, contents.
template <class Work>
lode_error* with_name(lode_linker* linker, const char* name, Work&& work) {
  return guarded(linker, [&]() -> Result<void> {
    if (!linker) return lode::error("no linker was given");
    if (!name) return lode::error("no name was given");
    return work();
  });
}
std::span<const uint8_t> bytes_of(const void* bytes, size_t size) {
  return {static_cast<const uint8_t*>(bytes), bytes ? size : 0};
}

}  // namespace

extern "C" {

const char* lode_version(void) { return LODE_VERSION; }

const char* lode_error_message(const lode_error* error) { return error ? error->message.c_str() : ""; }
const char* lode_error_place(const lode_error* error) { return error ? error->place.c_str() : ""; }
size_t lode_error_diagnostic_count(const lode_error* error) { return error ? error->diagnostics.size() : 0; }
lode_diagnostic lode_error_diagnostic(const lode_error* error, size_t index) {
  if (index >= lode_error_diagnostic_count(error)) return {LODE_ERROR, "", 0, 0, "", ""};
  return view(error->diagnostics[index]);
}
void lode_error_free(lode_error* error) {
  if (error != &out_of_memory()) delete error;
}

lode_error* lode_linker_create(const char* const* arguments, size_t count, lode_linker** linker) {
  if (linker) *linker = nullptr;
  return guarded(nullptr, [&]() -> Result<void> {
    if (!linker) return lode::error("no place for the linker was given");
    std::vector<const char*> words{"lode"};
    for (size_t i = 0; i < count; i++) {
      if (!arguments || !arguments[i]) return lode::error("argument " + std::to_string(i) + " is no string");
      words.push_back(arguments[i]);
    }
    LODE_ASSIGN(std::vector<std::string> expanded, lode::link::expand_response_files(words));
    expanded.erase(expanded.begin());
    auto made = std::make_unique<lode_linker>(std::move(expanded));
    LODE_TRY(made->linker.check_options());
    made->linker.set_diagnostic_handler([l = made.get()](const Diagnostic& d) {
      l->said.push_back(d);
      if (!l->handler) return;
      const lode_diagnostic seen = view(d);
      l->handler(l->data, &seen);
    });
    *linker = made.release();
    return {};
  });
}
void lode_linker_destroy(lode_linker* linker) { delete linker; }

lode_error* lode_add_argument(lode_linker* linker, const char* argument) {
  return with_name(linker, argument, [&]() -> Result<void> {
    linker->linker.add_option(argument);
    return {};
  });
}

lode_error* lode_add_module(lode_linker* linker, const char* name, const void* bytes, size_t size) {
  return with_name(linker, name, [&] { return linker->linker.add_module(name, bytes_of(bytes, size)); });
}
int lode_remove_module(lode_linker* linker, const char* name) {
  return linker && name && linker->linker.remove_module(name);
}

lode_error* lode_replace_function(lode_linker* linker, const char* function, const void* bytes, size_t size) {
  return with_name(linker, function, [&] { return linker->linker.replace_function(function, bytes_of(bytes, size)); });
}
lode_error* lode_replace_data(lode_linker* linker, const char* datum, const void* bytes, size_t size) {
  return with_name(linker, datum, [&] { return linker->linker.replace_data(datum, bytes_of(bytes, size)); });
}
lode_error* lode_remove_symbol(lode_linker* linker, const char* symbol) {
  return with_name(linker, symbol, [&]() -> Result<void> {
    linker->linker.remove_symbol(symbol);
    return {};
  });
}
int lode_restore_symbol(lode_linker* linker, const char* symbol) {
  return linker && symbol && linker->linker.restore_symbol(symbol);
}

lode_error* lode_flush(lode_linker* linker, const char* output) {
  return with_name(linker, output, [&] { return linker->linker.flush(output); });
}

lode_error* lode_flush_to_memory(lode_linker* linker, const char* name, lode_buffer* output) {
  if (output) *output = {nullptr, 0};
  return with_name(linker, name, [&]() -> Result<void> {
    if (!output) return lode::error("no place for the output was given");
    LODE_ASSIGN(const std::vector<uint8_t> bytes, linker->linker.flush_to_memory(name));
    auto* copy = static_cast<uint8_t*>(std::malloc(bytes.size()));
    if (!copy) throw std::bad_alloc();
    std::memcpy(copy, bytes.data(), bytes.size());
    *output = {copy, bytes.size()};
    return {};
  });
}
void lode_buffer_free(lode_buffer* buffer) {
  if (!buffer) return;
  std::free(buffer->data);
  *buffer = {nullptr, 0};
}

size_t lode_diagnostic_count(const lode_linker* linker) { return linker ? linker->linker.diagnostics().size() : 0; }
lode_diagnostic lode_diagnostic_at(const lode_linker* linker, size_t index) {
  if (index >= lode_diagnostic_count(linker)) return {LODE_WARNING, "", 0, 0, "", ""};
  return view(linker->linker.diagnostics()[index]);
}
const char* lode_listing(const lode_linker* linker) { return linker ? linker->linker.listing().c_str() : ""; }

void lode_set_diagnostic_handler(lode_linker* linker, lode_diagnostic_handler handler, void* data) {
  if (!linker) return;
  linker->handler = handler;
  linker->data = data;
}

}  // extern "C"
