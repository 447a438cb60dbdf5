// The linker-script, version-script and dynamic-list parsers, and glob patterns: the input up to its first NUL is the
// pattern, the rest what it is matched with.
#include "formats/linker_script.h"

#include <cstddef>

using namespace lode::formats;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parse_linker_script(text).ok();
  (void)parse_version_script(text).ok();
  (void)parse_dynamic_list(text).ok();
  if (size_t cut = text.find('\0'); cut != text.npos && size < 4096) {
    (void)glob_match(text.substr(0, cut), text.substr(cut + 1));
  }
  return 0;
}
