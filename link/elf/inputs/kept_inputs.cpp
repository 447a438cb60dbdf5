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

std::shared_ptr<const ObjectContents> KeptInputs::object(std::span<const uint8_t> bytes) {
  if (!keeps_) return nullptr;
  std::lock_guard lock(mutex_);
  auto it = contents_.find(bytes.data());
  return it == contents_.end() ? nullptr : it->second.object;
}
std::shared_ptr<const SharedContents> KeptInputs::shared(std::span<const uint8_t> bytes) {
  if (!keeps_) return nullptr;
  std::lock_guard lock(mutex_);
  auto it = contents_.find(bytes.data());
  return it == contents_.end() ? nullptr : it->second.shared;
}
std::shared_ptr<const ArchiveContents> KeptInputs::archive(std::span<const uint8_t> bytes) {
  if (!keeps_) return nullptr;
  std::lock_guard lock(mutex_);
  auto it = contents_.find(bytes.data());
  return it == contents_.end() ? nullptr : it->second.archive;
}

void KeptInputs::keep(std::span<const uint8_t> bytes, std::shared_ptr<const ObjectContents> contents) {
  if (!keeps_ || !files.stays_open(bytes)) return;
  std::lock_guard lock(mutex_);
  contents_[bytes.data()].object = std::move(contents);
}
void KeptInputs::keep(std::span<const uint8_t> bytes, std::shared_ptr<const SharedContents> contents) {
  if (!keeps_ || !files.stays_open(bytes)) return;
  std::lock_guard lock(mutex_);
  contents_[bytes.data()].shared = std::move(contents);
}
void KeptInputs::keep(std::span<const uint8_t> bytes, std::shared_ptr<const ArchiveContents> contents) {
  if (!keeps_ || !files.stays_open(bytes)) return;
  std::lock_guard lock(mutex_);
  contents_[bytes.data()].archive = std::move(contents);
}

}  // namespace lode::link::elf
