// The passes in order, and the command.
#include <sys/stat.h>
#include <tbb/global_control.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>

#include "link/driver.h"
#include "link/wasm/link.h"

namespace lode::link::wasm {

void Link::reset() {
  functions.resize(std::min(functions.size(), kept_functions));
  for (Symbol& s : symbols) {
    s.live = s.imported = false;
    s.index = s.stub = s.table_slot = s.got = none;
    s.count = 0;
  }
  for (Function& f : functions) {
    f.live = false;
    f.count = 0;
    f.index = f.table_slot = none;
  }
  for (Segment& s : segments) {
    s.live = false;
    s.count = 0;
    s.output = s.same_as = none;
    s.layout_align_log2 = 0;
  }
  for (Global& g : globals) {
    g.live = false;
    g.count = 0;
    g.index = none;
  }
  for (Table& t : tables) t.live = false;
  for (Tag& t : tags) t.live = false;
  for (InputFile& f : files) f.live = false;
  drafts.clear();
  type_index.clear();
  type_count.clear();
  output_types.clear();
  imports.clear();
  imported_functions = imported_tables = imported_globals = imported_tags = imported_memories = 0;
  output_functions.clear();
  output_globals.clear();
  output_tables.clear();
  output_tags.clear();
  table_functions.clear();
  table_items.clear();
  table_imports.clear();
  got_symbols.clear();
  output_segments.clear();
  ctors.clear();
  variants.clear();
  export_wrappers.clear();
  output_features.clear();
  table_needed = needs_init_memory = false;
  tls_start = tls_bytes = 0;
  tls_alignment = 1;
}

// What code from IR may use, and what the output says that it needs; Linking.md, "Target Features Section".
void Link::check_features() {
  auto number = [](std::string_view name) -> int {
    for (unsigned i = 1; i < cg::feature_count; i++)
      if (name == cg::feature_name(cg::Feature(i))) return int(i);
    return -1;
  };
  std::vector<std::pair<std::string, std::string>> used, disallowed, required;  // feature, by whom
  bool ir = false, tls = false;
  for (const InputFile& f : files) {
    ir |= f.module && f.live;
    if (!f.object) continue;
    for (const fw::FeatureEntry& e : f.object->features) {
      auto& list = e.prefix == '+' ? used : e.prefix == '-' ? disallowed : required;
      list.emplace_back(std::string(e.name), f.name);
    }
  }
  for (const Segment& s : segments) tls |= s.live && (s.flags & fw::segment_flags::tls);
  if (ir)
    for (unsigned i = 1; i < cg::feature_count; i++)
      if (features & cg::bit(cg::Feature(i))) used.emplace_back(cg::feature_name(cg::Feature(i)), "code from IR");
  for (auto& r : required) used.push_back(r);
  std::vector<std::string> allowed;
  if (options.features_given) {
    allowed = options.features;
    allowed.insert(allowed.end(), options.extra_features.begin(), options.extra_features.end());
  } else {
    for (auto& [name, who] : used) allowed.push_back(name);
    for (const std::string& name : options.extra_features) allowed.push_back(name);
  }
  std::sort(allowed.begin(), allowed.end());
  allowed.erase(std::unique(allowed.begin(), allowed.end()), allowed.end());
  auto is_allowed = [&](const std::string& name) { return std::binary_search(allowed.begin(), allowed.end(), name); };
  output_features = allowed;
  used_features = 0;
  for (const std::string& name : allowed)
    if (int n = number(name); n > 0) used_features |= 1u << n;
  if (!options.check_features || options.relocatable) return;
  if (options.features_given)
    for (auto& [name, who] : used)
      if (!is_allowed(name)) diagnostics.error("Target feature '" + name + "' used by " + who + " is not allowed.");
  for (auto& [name, who] : disallowed) {
    if (name == "shared-mem") {
      if (options.shared_memory)
        diagnostics.error("--shared-memory is disallowed by " + who + " because it was not compiled with 'atomics' or 'bulk-memory' features.");
      continue;
    }
    for (auto& [other, by] : used)
      if (other == name) {
        diagnostics.error("Target feature '" + name + "' used in " + by + " is disallowed by " + who + ". Use --no-check-features to suppress.");
        break;
      }
  }
  if (options.shared_memory)
    for (const char* name : {"atomics", "bulk-memory"})
      if (!is_allowed(name)) diagnostics.error(std::string("'") + name + "' feature must be used in order to use shared memory");
  if (tls && options.shared_memory)
    for (const char* name : {"atomics", "bulk-memory"})
      if (!is_allowed(name)) diagnostics.error(std::string("'") + name + "' feature must be used in order to use thread-local storage");
}

std::string Link::map_text() const {
  char line[64];
  std::string out = "    Addr      Off     Size Out     In      Symbol\n";
  for (uint32_t i : output_functions) {
    const Function& f = functions[i];
    std::snprintf(line, sizeof line, "       - %8x %8s ", f.code_offset, "-");
    out += std::string(line) + "CODE    " + file_name(f.file) + ":(" + std::string(f.name) + ")\n";
  }
  for (const OutputSegment& o : output_segments) {
    std::snprintf(line, sizeof line, "%8llx %8s %8llx ", (unsigned long long)o.address, "-", (unsigned long long)o.size);
    out += std::string(line) + std::string(o.name) + "\n";
    for (uint32_t i : o.members) {
      const Segment& s = segments[i];
      std::snprintf(line, sizeof line, "%8llx %8s %8llx ", (unsigned long long)s.address, "-", (unsigned long long)s.size);
      out += std::string(line) + "        " + file_name(s.file) + ":(" + std::string(s.name) + ")\n";
    }
  }
  return out;
}

std::vector<uint8_t> Link::flush() {
  auto failed = [&] { return diagnostics.flush(); };
  // Features of code from IR: what clang's default processor has, what is asked for, and what a linked object needs anyway.
  features = cg::bit(cg::Feature::mutable_globals) | cg::bit(cg::Feature::sign_ext) | cg::bit(cg::Feature::multivalue) |
             cg::bit(cg::Feature::reference_types);
  auto add_features = [&](const std::vector<std::string>& names) {
    for (const std::string& name : names)
      for (unsigned i = 1; i < cg::feature_count; i++)
        if (name == cg::feature_name(cg::Feature(i))) features |= cg::bit(cg::Feature(i));
  };
  if (options.features_given) features = 0;
  add_features(options.features);
  add_features(options.extra_features);

  extract_pending();
  kept_functions = functions.size();
  std::vector<uint8_t> out;
  auto passes = [&] {
    if (failed()) return;
    define_layout_symbols();
    prepare_lowering();
    mark_live();
    kept_functions = functions.size();
    if (failed()) return;
    check_features();
    debug_kept = false;
    if (!options.strip_all && !options.strip_debug)
      for (const InputFile& f : files)
        if (f.object && f.live)
          for (const fw::Section& s : f.object->sections) debug_kept |= s.id == fw::SectionId::custom && s.name.starts_with(".debug_");
    make_variants();
    make_synthetic_functions();
    assign_indices();
    report_unresolved();
    assign_addresses();
    fill_synthetic();
    if (failed()) return;
    out = options.relocatable ? write_relocatable() : write_executable();
    if (!options.map_file.empty()) {
      std::string map = map_text();
      FILE* to = options.map_file == "-" ? stdout : std::fopen(options.map_file.c_str(), "w");
      if (!to) diagnostics.error("cannot write map " + options.map_file + ": " + std::strerror(errno));
      else std::fwrite(map.data(), 1, map.size(), to);
      if (to && to != stdout) std::fclose(to);
    }
  };
  passes();
  if (options.verbose) {
    mir::StoreSizes z = store.sizes();
    uint64_t bytes = z.tag_bytes + z.operand_bytes + z.extra_bytes + z.local_bytes + z.reference_bytes + z.constant_bytes;
    std::printf("%zu of %zu functions linked, %llu lowered so far; %llu MIR instructions of %.2f bytes (%.2f with function records)\n",
                output_functions.size(), functions.size(), (unsigned long long)lowered, (unsigned long long)z.instructions,
                z.instructions ? double(bytes) / double(z.instructions) : 0.0,
                z.instructions ? double(bytes + z.record_bytes) / double(z.instructions) : 0.0);
  }
  reset();
  if (failed()) out.clear();
  return out;
}

namespace {

// The output appears whole: a new file that is renamed over the old.
bool write_output(const std::string& path, const std::vector<uint8_t>& bytes, Diagnostics& d) {
  std::string temporary = path + ".tmp" + std::to_string(getpid());
  struct stat st;
  bool special = stat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode);
  if (special) temporary = path;
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0777);
  bool good = fd >= 0;
  for (size_t at = 0; good && at < bytes.size();) {
    ssize_t n = write(fd, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    good = n > 0;
    if (good) at += size_t(n);
  }
  int code = errno;
  if (fd >= 0 && close(fd) != 0) good = false;
  if (good && !special && rename(temporary.c_str(), path.c_str()) != 0) {
    code = errno;
    good = false;
  }
  if (good) return true;
  if (!special) unlink(temporary.c_str());
  d.error("cannot write " + path + ": " + std::strerror(code));
  d.flush();
  return false;
}

}  // namespace

}  // namespace lode::link::wasm

namespace lode::link {

int wasm_main(std::span<const char* const> args) {
  using namespace wasm;
  Diagnostics d;
  d.program = "wasm-lode";
  auto options = parse_options(args);
  if (!options.ok()) {
    d.error(options.error());
    d.flush();
    return 1;
  }
  if (options->show_help) {
    std::fputs(help_text().c_str(), stdout);
    return 0;
  }
  if (options->show_version) {
    std::puts("lode 0.1.0 (compatible with wasm-ld)");
    return 0;
  }
  if (options->inputs.empty()) {
    d.error("no input files");
    d.flush();
    return 1;
  }
  options->program = d.program;
  tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                            options->threads ? options->threads : tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism));
  Link link(std::move(*options));
  link.add_inputs();
  std::vector<uint8_t> out = link.flush();
  if (out.empty()) return 1;
  return write_output(link.options.output, out, link.diagnostics) ? 0 : 1;
}

}  // namespace lode::link
