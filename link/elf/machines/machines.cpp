// The machines that ELF outputs can be for, and how one is recognised: by the emulation of -m, by the triple of a
// module.
#include "link/elf/machines/machine.h"

namespace lode::link::elf {

std::span<const Machine* const> machines() {
  static constexpr const Machine* all[] = {&x86_64_machine, &riscv64_machine};
  return all;
}

const Machine* machine_of_emulation(std::string_view name) {
  for (const Machine* m : machines())
    for (std::string_view e : m->emulations)
      if (e == name) return m;
  return nullptr;
}

// The systems and environments that other formats or data models are for; what is not one of them writes ELF.
constexpr std::string_view other_formats[] = {
    "apple", "windows", "win32", "cygwin", "msys", "mingw", "darwin", "macos", "ios", "tvos", "watchos", "xros",
    "driverkit", "uefi", "gnux32", "muslx32", "msvc", "macho", "coff"};

bool accepts_triple(const Machine& machine, std::string_view triple) {
  if (triple.empty()) return true;
  const std::string_view arch = triple.substr(0, triple.find('-'));
  bool known = false;
  for (std::string_view a : machine.architectures) known |= arch == a;
  if (!known) return false;
  for (std::string_view rest = triple.substr(arch.size()); !rest.empty();) {
    rest.remove_prefix(1);
    std::string_view part = rest.substr(0, rest.find('-'));
    rest.remove_prefix(part.size());
    for (std::string_view other : other_formats)
      if (part.starts_with(other)) return false;
  }
  return true;
}

Error wrong_machine(const Machine& machine, uint16_t e_machine) {
  return error("incompatible file: machine " + std::to_string(e_machine) + " is not " + machine.name);
}

}  // namespace lode::link::elf
