// The keywords of -z, and what a compiler's driver passes on with -plugin-opt.
#include "link/elf/options/option_actions.h"

namespace lode::link::elf {

namespace {

using namespace option_action;
using O = Options;
using R = OptionReader;

// GNU_PROPERTY_X86_ISA_1_NEEDED (x86-64 psABI): one bit a level.
template <uint32_t Bit>
void isa_level(R& r, std::string_view) {
  r.o.isa_needed |= Bit;
}

constexpr OptionRow z_rows[] = {
    effective("now", "", set<&O::now, true>, "All symbols are bound at start-up"),
    effective("lazy", "", set<&O::now, false>, "Functions are bound at their first call (default)"),
    effective("relro", "", set<&O::relro, true>, "What only start-up writes is read-only afterwards (default)"),
    effective("norelro", "", set<&O::relro, false>, "It stays writable"),
    effective(
        "text", "", [](R& r, std::string_view) { r.o.text = r.o.text_given = true; },
        "Relocations in read-only sections are an error"),
    effective(
        "notext textoff", "",
        [](R& r, std::string_view) {
          r.o.text = false;
          r.o.text_given = true;
        },
        "They are not"),
    effective(
        "defs", "",
        [](R& r, std::string_view) {
          r.o.defs = r.o.unresolved_given = true;
          r.o.unresolved = Unresolved::error;
        },
        "Undefined symbols are an error in shared libraries as well"),
    effective(
        "undefs nodefs", "",
        [](R& r, std::string_view) {
          r.o.defs = false;
          r.o.unresolved = Unresolved::ignore;
          r.o.unresolved_given = true;
        },
        "Undefined symbols are allowed"),
    effective("muldefs", "", set<&O::allow_multiple_definition, true>, "The first of several definitions counts"),
    effective("execstack", "", set<&O::execstack, true>, "The stack is executable"),
    effective("noexecstack", "", set<&O::execstack, false>, "It is not (default)"),
    effective("execstack-if-needed", "", set<&O::execstack_if_needed, true>, "It is if an object asks for it"),
    effective("nognustack", "", set<&O::gnu_stack, false>, "No PT_GNU_STACK"),
    effective("stack-size", "N", number<&O::stack_size>, "Size of the stack, in PT_GNU_STACK"),
    effective("max-page-size", "N", max_page_size, "Segments begin at multiples of N (default 4096)"),
    effective("separate-code", "", put<&O::separate_code, SeparateCode::code>,
              "No page of the file holds code and something else"),
    effective("separate-loadable-segments", "", put<&O::separate_code, SeparateCode::all>,
              "No page of the file holds parts of two segments"),
    effective("noseparate-code", "", put<&O::separate_code, SeparateCode::none>,
              "Segments follow each other in the file (default)"),
    effective("nosectionheader", "", set<&O::z_sectionheader, false>, "No section headers"),
    effective("sectionheader", "", set<&O::z_sectionheader, true>, "Section headers (default)"),
    effective("combreloc", "", set<&O::combreloc, true>, "Dynamic relocations are sorted (default)"),
    effective("nocombreloc", "", set<&O::combreloc, false>, "They are not"),
    effective("copyreloc", "", set<&O::copyreloc, true>,
              "Data of shared libraries may be copied into an executable (default)"),
    effective("nocopyreloc", "", set<&O::copyreloc, false>, "That is an error"),
    effective("pack-relative-relocs", "", set<&O::pack_relr, true>, "--pack-dyn-relocs=relr"),
    effective("nopack-relative-relocs", "", set<&O::pack_relr, false>, "--pack-dyn-relocs=none"),
    effective(
        "dynamic-undefined-weak", "",
        [](R& r, std::string_view) { r.o.dynamic_undefined_weak = r.o.dynamic_undefined_weak_given = true; },
        "Undefined weak symbols are looked up at start-up"),
    effective(
        "nodynamic-undefined-weak", "",
        [](R& r, std::string_view) { r.o.dynamic_undefined_weak = r.o.dynamic_undefined_weak_given = false; },
        "They are zero"),
    effective("rodynamic", "", set<&O::z_rodynamic, true>, ".dynamic is read-only"),
    effective("nodefaultlib", "", set<&O::z_nodefaultlib, true>, "DF_1_NODEFLIB: no default directories at run time"),
    effective("nodelete", "", set<&O::z_nodelete, true>, "DF_1_NODELETE: never unloaded"),
    effective("nodlopen", "", set<&O::z_nodlopen, true>, "DF_1_NOOPEN: not for dlopen"),
    effective("nodump", "", set<&O::z_nodump, true>, "DF_1_NODUMP"),
    effective("origin", "", set<&O::z_origin, true>, "DF_1_ORIGIN"),
    effective("initfirst", "", set<&O::z_initfirst, true>, "DF_1_INITFIRST: initialised before the others"),
    effective("interpose", "", set<&O::z_interpose, true>,
              "DF_1_INTERPOSE: its symbols come before those of other libraries"),
    effective("global", "", set<&O::z_global, true>,
              "DF_1_GLOBAL: its symbols are visible to libraries that are loaded later"),
    effective("loadfltr", "", set<&O::z_loadfltr, true>, "DF_1_LOADFLTR: what it filters is loaded at once"),
    effective("globalaudit", "", set<&O::z_globalaudit, true>, "DF_1_GLOBAUDIT"),
    effective("unique", "", set<&O::z_unique, true>, "DF_GNU_1_UNIQUE: one instance in all namespaces"),
    effective("nounique", "", set<&O::z_unique, false>, "Take -z unique back"),
    effective("ibt", "", set<&O::z_ibt, true>, "Mark the output for indirect branch tracking"),
    effective(
        "force-ibt", "",
        [](R& r, std::string_view) {
          r.o.z_ibt = true;
          if (r.o.cet_report == CetReport::none) r.o.cet_report = CetReport::warning;
        },
        "-z ibt, and -z cet-report=warning"),
    effective("shstk", "", set<&O::z_shstk, true>, "Mark the output for shadow stacks"),
    effective("ibtplt", "", set<&O::z_ibtplt, true>,
              "Entries of the PLT begin with endbr64, as in outputs that are marked"),
    effective("cet-report", "WHAT", option_action::cet_report,
              "Objects that are not marked for both: none, warning or error"),
    effective("rewrite-endbr", "", set<&O::rewrite_endbr, true>, "Where no address is taken, endbr64 becomes a no-op"),
    effective("norewrite-endbr", "", set<&O::rewrite_endbr, false>, "Take -z rewrite-endbr back"),
    effective("x86-64-baseline", "", isa_level<1>, "Mark the output as needing this level of the architecture"),
    effective("x86-64-v2", "", isa_level<2>, "The same"),
    effective("x86-64-v3", "", isa_level<4>, "The same"),
    effective("x86-64-v4", "", isa_level<8>, "The same"),
    effective("keep-text-section-prefix", "", set<&O::keep_text_prefix, true>,
              ".text.hot, .unlikely, .startup, .exit and .unknown stay apart"),
    effective("nokeep-text-section-prefix", "", set<&O::keep_text_prefix, false>, "They are part of .text (default)"),
    effective("start-stop-gc", "", set<&O::start_stop_gc, true>,
              "A reference to __start_X does not keep the sections X"),
    effective("nostart-stop-gc", "", set<&O::start_stop_gc, false>, "It does (default)"),
    effective("start-stop-visibility", "V", option_action::start_stop_visibility,
              "Visibility of __start_X: default, internal, hidden (default) or protected"),
    effective("dead-reloc-in-nonalloc", "GLOB=N", dead_reloc,
              "What references from these sections to left-out ones become"),

    without_effect("rela", "", "x86-64 has RELA relocations only"),
    without_effect("bndplt", "", "MPX, which it was for, is gone from processors and compilers"),
    without_effect("common-page-size", "N",
                   "the end of RELRO is aligned to the smallest page of the machine, and nothing else depends on it"),
    without_effect("call-nop", "PADDING", "only prefix-addr, and that is what is done", only_prefix_addr),
    without_effect("nosecondary", "", "nothing here has secondary definitions"),
    without_effect("nounique-symbol", "", "names of local symbols stay as they are"),
    without_effect("nocommon", "", "common symbols of a finished output are STT_OBJECT"),
    without_effect("noindirect-extern-access", "", "external data is accessed as the objects do"),
    without_effect("noextern-protected-data", "", "protected data is never taken as external"),
    without_effect("nomark-plt", "", "the PLT is not described in .dynamic"),
    without_effect("nomemory-seal", "", "outputs are not marked for sealing"),
    without_effect("notextwarn", "", "--warn-textrel asks for that warning"),
    without_effect("nokeep-data-section-prefix", "", ".data.hot and its kind are part of .data"),
    without_effect("lam-report", "WHAT", "only none: LAM is not reported", only_none),
    without_effect("lam-u48-report", "WHAT", "only none: LAM is not reported", only_none),
    without_effect("lam-u57-report", "WHAT", "only none: LAM is not reported", only_none),
    without_effect("bti-report", "WHAT", "only none: AArch64 alone has BTI", only_none),
    without_effect("gcs-report gcs-report-dynamic pauth-report", "WHAT", "only none: AArch64 alone has it", only_none),

    refused("rel", "", "x86-64 has RELA relocations only"),
    refused("retpolineplt", "", "entries of the PLT jump through the GOT without a retpoline"),
    refused("unique-symbol", "", "names of local symbols stay as they are"),
    refused("common", "", "common symbols of a finished output are STT_OBJECT"),
    refused("indirect-extern-access", "", "the output is not marked so"),
    refused("noreloc-overflow", "", "a value that does not fit is always an error"),
    refused("report-relative-reloc", "", "relative relocations are not listed; readelf -r does that"),
    refused("lam-u48", "", "the output is not marked for linear address masking"),
    refused("lam-u57", "", "the output is not marked for linear address masking"),
    refused("mark-plt", "", "the PLT is not described in .dynamic"),
    refused("memory-seal", "", "outputs are not marked for sealing"),
    refused("keep-data-section-prefix", "", ".data.hot and its kind are part of .data"),
    refused("wxneeded", "", "OpenBSD's marks are not made"),
    refused("nobtcfi", "", "OpenBSD's marks are not made"),
    refused("ifunc-noplt", "", "calls of indirect functions go through the PLT"),
    refused("hazardplt", "", "MIPS alone has it"),
    refused("pac-plt", "", "AArch64 alone has it"),
    refused("force-bti", "", "AArch64 alone has it"),
    refused("gcs", "POLICY", "AArch64 alone has it"),
    refused("zicfilp", "POLICY", "RISC-V alone has it"),
    refused("zicfiss", "POLICY", "RISC-V alone has it"),
};

constexpr OptionRow plugin_rows[] = {
    effective("time-trace", "FILE", text<&O::time_trace>, "--time-trace=FILE"),

    without_effect("mcpu", "CPU", "modules are compiled for what their functions say"),
    without_effect("O", "*LEVEL", "modules are compiled as their compiler optimised them"),
    without_effect("thinlto", "", "modules are compiled one by one, whichever kind of LTO they were made for"),
    without_effect("jobs", "N", "--threads says how many threads take part"),
    without_effect("lto-partitions", "N", "--threads says how many threads take part"),
    without_effect("disable-verify", "", "LLVM's verifier is not part of lode"),
    without_effect("cache-dir", "DIR", "nothing is cached"),
    without_effect("cache-policy", "POLICY", "nothing is cached"),
    without_effect("legacy-pass-manager new-pass-manager", "", "no passes of LLVM are run"),
    without_effect("-fresolution", "FILE", "GCC's plugin, which reads that file, is not loaded"),
    without_effect("-pass-through", "LIB",
                   "GCC's plugin is not loaded, and archives are searched until nothing is missing"),
    without_effect("-", "*OPTION", "meant for LLVM's code generator, which is not part of lode"),
    without_effect("/", "*FILE", "the path of GCC's lto-wrapper; its plugin is not loaded"),

    refused("save-temps", "[=KINDS]", "there are no intermediate files"),
    refused("emit-asm", "", "no assembly text is made"),
    refused("emit-llvm", "", "no bitcode is made"),
    refused("obj-path", "FILE", "there are no intermediate objects"),
    refused("dwo_dir", "DIR", "split debug information is not made"),
    refused("stats-file", "FILE", "LLVM's statistics are not made; --stats prints lode's"),
    refused("thinlto-index-only", "[=FILE]", "no index of modules is made"),
    refused("thinlto-emit-imports-files thinlto-emit-index-files", "", "no index of modules is made"),
    refused("thinlto-object-suffix-replace thinlto-prefix-replace", "OLD;NEW", "no index of modules is made"),
    refused("cs-profile-generate", "", "code is not instrumented"),
    refused("cs-profile-path", "FILE", "profiles are not read"),
    refused("sample-profile", "FILE", "profiles are not read"),
    refused("pseudo-probe-for-profiling", "[=X]", "code is not instrumented"),
    refused("debug-pass-manager", "", "no passes of LLVM are run"),
    refused("opt-remarks-filename", "FILE", "no remarks are made"),
    refused("opt-remarks-format", "FORMAT", "no remarks are made"),
    refused("opt-remarks-passes", "REGEX", "no remarks are made"),
    refused("opt-remarks-hotness-threshold", "N", "no remarks are made"),
    refused("opt-remarks-with-hotness", "", "no remarks are made"),
};

}  // namespace

static constexpr auto z_names = sorted_names<count_names(z_rows)>(z_rows);

std::span<const OptionRow> z_keywords() { return z_rows; }
OptionTable z_table() { return {z_rows, z_names}; }
static constexpr auto plugin_names = sorted_names<count_names(plugin_rows)>(plugin_rows);

std::span<const OptionRow> plugin_keywords() { return plugin_rows; }
OptionTable plugin_table() { return {plugin_rows, plugin_names}; }

}  // namespace lode::link::elf
