#include "link/wasm/output.h"
namespace lode::link::wasm {
std::vector<uint8_t> Link::write_relocatable() { return {}; }
}
