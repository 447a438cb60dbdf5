// Where the work of a stage-by-stage job goes, when somebody asks (--stats).
//
// A thread that works for a link points `current` to the link's record of that thread, with a StageTimesUse; each stage
// puts a StageClock around its work, which adds the time to the record, or does nothing when there is none. Stages do
// not nest, so the times of all stages add up to no more than the time of the threads. A record belongs to one thread;
// whoever wants totals adds the records when the threads are done.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace lode {

enum class Stage : uint8_t {
  read,      // the records of a bitcode function
  import,    // those as AIR
  legalize,  // AIR as the target accepts it
  select,    // AIR to instructions on virtual registers (wasm: to MIR)
  allocate,  // registers
  finalize,  // MIR
  store,     // drafts into the MIR store
  measure,   // sizes for the layout
  emit,      // bytes
  count_,
};
inline constexpr size_t stage_count = size_t(Stage::count_);
inline constexpr const char* stage_names[stage_count] = {"read",     "import", "legalize", "select", "allocate",
                                                         "finalize", "store",  "measure",  "emit"};

struct StageTimes {
  std::array<uint64_t, stage_count> nanoseconds{};
  static inline thread_local StageTimes* current = nullptr;
};

class StageTimesUse {
 public:
  explicit StageTimesUse(StageTimes* times) : before_(StageTimes::current) { StageTimes::current = times; }
  ~StageTimesUse() { StageTimes::current = before_; }
  StageTimesUse(const StageTimesUse&) = delete;
  StageTimesUse& operator=(const StageTimesUse&) = delete;

 private:
  StageTimes* before_;
};

class StageClock {
 public:
  explicit StageClock(Stage stage) : times_(StageTimes::current), stage_(stage) {
    if (times_) begin_ = now();
  }
  ~StageClock() { stop(); }
  StageClock(const StageClock&) = delete;
  StageClock& operator=(const StageClock&) = delete;

  void stop() {
    if (times_) times_->nanoseconds[size_t(stage_)] += now() - begin_;
    times_ = nullptr;
  }

 private:
  static uint64_t now() {
    using namespace std::chrono;
    return uint64_t(duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count());
  }
  StageTimes* times_;
  uint64_t begin_ = 0;
  Stage stage_;
};

}  // namespace lode
