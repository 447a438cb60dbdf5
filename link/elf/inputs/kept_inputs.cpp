// See contents.h.
#include "link/elf/inputs/contents.h"

namespace lode::link::elf {

void KeptInputs::begin(const ReadOptions& options) {
  if (!(options == options_)) contents_.clear();
  options_ = options;
  files.begin_link(keeps_);
}

void KeptInputs::end() {
  files.end_link([&](std::span<const uint8_t> gone) {
    contents_.erase(contents_.lower_bound(gone.data()), contents_.lower_bound(gone.data() + gone.size()));
  });
}

template <class T>
std::shared_ptr<const T> KeptInputs::find(std::span<const uint8_t> bytes, std::shared_ptr<const T> Contents::*of_kind) {
  if (!keeps_) return nullptr;
  std::lock_guard lock(mutex_);
  auto it = contents_.find(bytes.data());
  return it == contents_.end() ? nullptr : it->second.*of_kind;
}

template <class T>
void KeptInputs::enter(std::span<const uint8_t> bytes, std::shared_ptr<const T> contents,
                       std::shared_ptr<const T> Contents::*of_kind) {
  if (!keeps_ || !files.stays_open(bytes)) return;
  std::lock_guard lock(mutex_);
  contents_[bytes.data()].*of_kind = std::move(contents);
}

std::shared_ptr<const ObjectContents> KeptInputs::object(std::span<const uint8_t> bytes) {
  return find(bytes, &Contents::object);
}
std::shared_ptr<const SharedContents> KeptInputs::shared(std::span<const uint8_t> bytes) {
  return find(bytes, &Contents::shared);
}
std::shared_ptr<const ArchiveContents> KeptInputs::archive(std::span<const uint8_t> bytes) {
  return find(bytes, &Contents::archive);
}
void KeptInputs::keep(std::span<const uint8_t> bytes, std::shared_ptr<const ObjectContents> contents) {
  enter(bytes, std::move(contents), &Contents::object);
}
void KeptInputs::keep(std::span<const uint8_t> bytes, std::shared_ptr<const SharedContents> contents) {
  enter(bytes, std::move(contents), &Contents::shared);
}
void KeptInputs::keep(std::span<const uint8_t> bytes, std::shared_ptr<const ArchiveContents> contents) {
  enter(bytes, std::move(contents), &Contents::archive);
}

}  // namespace lode::link::elf
