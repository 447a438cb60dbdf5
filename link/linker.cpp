// linker.h over the passes of the ELF link: modules are inputs in memory; a replacement is a module in front of all others, and the
// first definition of a symbol is the one that counts.
#include "link/linker.h"

#include <algorithm>

#include "link/elf/options.h"

namespace lode::link {

namespace elf {
int main_with(const std::vector<std::string>& args, std::span<const MemoryInput> memory, std::string* messages);
}

namespace {

struct Item {
  std::string name;               // of a module; an option's text
  std::vector<uint8_t> contents;  // of a module
  bool is_module = false;
};

}  // namespace

struct Linker::State {
  std::vector<std::string> options;
  std::vector<Item> items;         // in link order
  std::vector<Item> replacements;  // by function

  Item* find(std::string_view name) {
    for (Item& i : items)
      if (i.is_module && i.name == name) return &i;
    return nullptr;
  }
};

Linker::Linker(std::vector<std::string> options) : state_(std::make_unique<State>()) { state_->options = std::move(options); }
Linker::~Linker() = default;

Result<void> Linker::add_module(std::string_view name, std::span<const uint8_t> contents) {
  if (name.empty()) return error("a module needs a name");
  if (contents.empty()) return error_at(std::string(name), "the module is empty");
  std::vector<uint8_t> copy(contents.begin(), contents.end());
  if (Item* i = state_->find(name)) i->contents = std::move(copy);
  else state_->items.push_back({std::string(name), std::move(copy), true});
  return {};
}

Result<void> Linker::add_module(std::string_view name, std::string_view air_text) {
  return add_module(name, std::span(reinterpret_cast<const uint8_t*>(air_text.data()), air_text.size()));
}

bool Linker::remove_module(std::string_view name) {
  return std::erase_if(state_->items, [&](const Item& i) { return i.is_module && i.name == name; }) != 0;
}

Result<void> Linker::replace_function(std::string_view function, std::string_view air_text) {
  if (function.empty() || air_text.empty()) return error("replacing a function takes its name and a module that defines it");
  std::vector<uint8_t> copy(air_text.begin(), air_text.end());
  for (Item& r : state_->replacements)
    if (r.name == function) {
      r.contents = std::move(copy);
      return {};
    }
  state_->replacements.push_back({std::string(function), std::move(copy), true});
  return {};
}

void Linker::add_option(std::string option) { state_->items.push_back({std::move(option), {}, false}); }

Result<void> Linker::flush(const std::string& output) {
  std::vector<std::string> args{"lode"};
  std::vector<elf::MemoryInput> memory;
  args.insert(args.end(), state_->options.begin(), state_->options.end());
  if (!state_->replacements.empty()) args.push_back("--allow-multiple-definition");
  auto module = [&](std::string name, const Item& i) {
    // The ending says what the bytes are when they do not: AIR text has no magic number.
    name += ".air";
    memory.push_back({name, i.contents});
    args.push_back(std::move(name));
  };
  for (const Item& r : state_->replacements) module("<replaced " + r.name + ">", r);
  for (const Item& i : state_->items) {
    if (i.is_module) module("<" + i.name + ">", i);
    else args.push_back(i.name);
  }
  args.push_back("-o");
  args.push_back(output);
  std::string messages;
  int status = elf::main_with(args, memory, &messages);
  if (status == 0) return {};
  while (messages.ends_with('\n')) messages.pop_back();
  return error(messages.empty() ? "the link failed" : messages);
}

}  // namespace lode::link
