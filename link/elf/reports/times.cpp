// Where a link's time went: --stats prints it, --time-trace writes it in the Trace Event format that browsers show.
//
// Passes are wall time, one after another. The stages of code generation run on all threads within a pass, so theirs is
// the time of all threads together.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>

#include "base/stage_times.h"
#include "link/elf/link.h"
#include "link/elf/code/lower.h"

namespace lode::link::elf {

double clock_seconds() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

namespace {

void print_stats(Link& link) {
  for (const Timer& t : link.timers)
    link.diag.print_aside("%-12s %9.3f ms\n", t.name.c_str(), (t.end - t.begin) * 1000);
  if (link.lower) {
    StageTimes stages = stage_times(link);
    link.diag.print_aside("code generation, all threads together\n");
    for (size_t k = 0; k < stage_count; k++)
      link.diag.print_aside("  %-10s %9.3f ms\n", stage_names[k], double(stages.nanoseconds[k]) / 1e6);
  }
  size_t sections = 0;
  for (ObjectFile* f : link.objects) sections += f->sections.size();
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  link.diag.print_aside(
      "objects %zu, shared libraries %zu, sections %zu, symbols %zu, output %llu bytes, peak memory %ld KiB\n",
      link.objects.size(), link.shareds.size(), sections, link.symbols.size(),
      static_cast<unsigned long long>(link.file_size), u.ru_maxrss);
}

// Complete events ("ph": "X") in microseconds; the stages stand on a line of their own, one behind the other.
void write_trace(Link& link) {
  const std::string path = link.opt.time_trace == "*" ? link.opt.output + ".time-trace" : link.opt.time_trace;
  std::string text;
  char event[256];
  auto put = [&](const char* format, auto... values) {
    std::snprintf(event, sizeof event, format, values...);
    text += event;
  };
  double start = link.timers.empty() ? 0 : link.timers.front().begin, end = start;
  for (const Timer& t : link.timers) end = std::max(end, t.end);
  put("{\"traceEvents\":[\n{\"ph\":\"X\",\"pid\":1,\"tid\":1,\"name\":\"link\",\"ts\":0,\"dur\":%.1f}",
      (end - start) * 1e6);
  for (const Timer& t : link.timers) {
    if ((t.end - t.begin) * 1e6 < double(link.opt.time_trace_granularity)) continue;
    put(",\n{\"ph\":\"X\",\"pid\":1,\"tid\":1,\"name\":\"%s\",\"ts\":%.1f,\"dur\":%.1f}", t.name.c_str(),
        (t.begin - start) * 1e6, (t.end - t.begin) * 1e6);
  }
  if (link.lower) {
    StageTimes stages = stage_times(link);
    double at = 0;
    for (size_t k = 0; k < stage_count; k++) {
      double microseconds = double(stages.nanoseconds[k]) / 1e3;
      put(",\n{\"ph\":\"X\",\"pid\":1,\"tid\":2,\"name\":\"%s, all threads\",\"ts\":%.1f,\"dur\":%.1f}", stage_names[k],
          at, microseconds);
      at += microseconds;
    }
  }
  text += "\n]}\n";
  if (auto r = write_listing(link, path, text); !r) link.diag.error(std::move(r.error()).at("time trace file"));
}

}  // namespace

void report_times(Link& link) {
  if (link.opt.stats) print_stats(link);
  if (!link.opt.time_trace.empty()) write_trace(link);
}

}  // namespace lode::link::elf
