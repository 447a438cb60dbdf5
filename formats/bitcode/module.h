// An LLVM bitcode module, read without LLVM.
//
// Source: the "LLVM Bitcode File Format" and "LLVM Language Reference" pages and the published record codes; accepted
// are modules of version 2 (relative value ids, names in the string table), which is what clang 14 and later and rustc
// write.
//
// open() reads everything except function bodies and the metadata block, whose places it records; the Module is
// immutable from then on, so any number of threads may call read_body (body.h) on it at once. It refers to the file's
// bytes: the mapping must outlive it.
//
// Values are numbered as in the file: the globals (variables, functions, aliases and ifuncs, in one array in file
// order), then the module's constants; inside a body follow its arguments, its own constants and its instructions'
// results. Types are indices into `types`. All indices inside a Module have been checked against the arrays that they
// index, except the values inside constants of a type that does not fit their use: check types before trusting shapes.
// Constants may refer to later constants; a hostile file can make them cyclic, so walks over them need a depth limit.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "formats/bitcode/bitstream.h"

namespace lode::formats::bitcode {

inline constexpr uint32_t none = 0xffffffff;

enum class TypeKind : uint8_t {
  Void, Half, BFloat, Float, Double, X86Fp80, Fp128, PpcFp128, Label, Metadata, X86Mmx, X86Amx, Token,
  Integer, Pointer, Function, Struct, Opaque, Array, Vector, ScalableVector, TargetExt,
};

struct Type {
  TypeKind kind = TypeKind::Void;
  bool packed = false;   // Struct
  bool vararg = false;   // Function
  bool named = false;    // Struct: identified rather than literal
  uint32_t element = 0;  // Array, vectors: element type; Pointer: pointee type, none when opaque;
                         // Struct, Function (result, then parameters), TargetExt: first index into type_lists
  uint64_t count = 0;    // Integer: width in bits (1 .. 2^23); Pointer: address space; Array, vectors: elements;
                         // Struct, Function, TargetExt: length of the list
};
static_assert(sizeof(Type) == 16);

enum class ConstKind : uint8_t {
  Null,         // also zeroinitializer, i0..., null pointers
  Undef, Poison,
  Int,          // bits: the value, sign-extended to 64 bits; type Integer of at most 64 bits
  WideInt,      // words[first .. first+count): little-endian 64-bit words, wider than 64 bits
  Float,        // bits: the bit pattern of half, bfloat, float or double
  WideFloat,    // words[first .. first+count): x86_fp80 (64-bit significand, then sign and exponent), fp128 (low, high)
  Aggregate,    // operands[first ..+count): values of struct, array or vector elements
  String,       // bytes[first ..+count): elements of an array of i8 (a terminating zero is included)
  Data,         // words[first ..+count): one element a word (integers zero-extended, floats as bits); array or vector
  Binop,        // operands: left, right; op: Binop
  Unop,         // operands: value; op 0: fneg
  Cast,         // operands: value, type of that value; op: CastOp
  Gep,          // operands: source element type, base, indices...; flags: bit 0 inbounds
  Select, ExtractElement, InsertElement, ShuffleVector,  // operands: 3, 2, 3, 3 values
  Compare,      // operands: left, right; op: predicate
  BlockAddress, // operands: function value, block index
  DsoLocalEquivalent, NoCfi,                             // operands: global
  InlineAsm,    // operands: function type (none when old), then bytes[operands[1] ..+operands[2]) is the text,
                // the operands[4] bytes at operands[3] are the constraints; flags: bit 0 side effects, 1 align stack,
                // 2 intel dialect, 3 may unwind
  PtrAuth,      // operands: 4 values
};

struct Constant {
  ConstKind kind = ConstKind::Null;
  uint8_t op = 0;
  uint16_t flags = 0;
  uint32_t type = 0;
  union {
    uint64_t bits = 0;
    struct {
      uint32_t first;
      uint32_t count;
    };
  };
};
static_assert(sizeof(Constant) == 16);

// The constants of a module or of one body.
struct Constants {
  std::vector<Constant> list;
  std::vector<uint32_t> operands;
  std::vector<uint64_t> words;
  std::vector<char> bytes;

  void clear();
  std::span<const uint32_t> operands_of(const Constant& c) const { return {operands.data() + c.first, c.count}; }
  std::span<const uint64_t> words_of(const Constant& c) const { return {words.data() + c.first, c.count}; }
  std::string_view bytes_of(const Constant& c) const { return {bytes.data() + c.first, c.count}; }
};

enum class BinaryOp : uint8_t { Add, Sub, Mul, UDiv, SDiv, URem, SRem, Shl, LShr, AShr, And, Or, Xor };
enum class CastOp : uint8_t {
  Trunc, ZExt, SExt, FpToUi, FpToSi, UiToFp, SiToFp, FpTrunc, FpExt, PtrToInt, IntToPtr, Bitcast, AddrSpaceCast,
  PtrToAddr,
};
// Predicates: 0..15 are floating point: bit 0 equal, bit 1 greater, bit 2 less, bit 3 unordered; then integers.
enum class Predicate : uint8_t {
  FFalse, FOeq, FOgt, FOge, FOlt, FOle, FOne, FOrd, FUno, FUeq, FUgt, FUge, FUlt, FUle, FUne, FTrue,
  Eq = 32, Ne, Ugt, Uge, Ult, Ule, Sgt, Sge, Slt, Sle,
};

enum class Linkage : uint8_t {
  External, Appending, Internal, ExternWeak, Common, Private, AvailableExternally, WeakAny, WeakOdr, LinkOnceAny,
  LinkOnceOdr,
};
enum class Visibility : uint8_t { Default, Hidden, Protected };
enum class Tls : uint8_t { None, GeneralDynamic, LocalDynamic, InitialExec, LocalExec };
enum class UnnamedAddr : uint8_t { None, Global, Local };
enum class ComdatKind : uint8_t { Any = 1, ExactMatch, Largest, NoDuplicates, SameSize };

struct Global {
  enum Kind : uint8_t { Variable, Function, Alias, IFunc };
  Kind kind = Variable;
  Linkage linkage = Linkage::External;
  Visibility visibility = Visibility::Default;
  Tls tls = Tls::None;
  UnnamedAddr unnamed_addr = UnnamedAddr::None;
  bool constant = false;          // Variable
  bool declaration = false;       // no initialiser or body here
  bool dso_local = false;
  bool externally_initialized = false;
  uint8_t log2_align = 0xff;      // 0xff: not given
  uint16_t calling_convention = 0;
  uint32_t address_space = 0;
  uint32_t type = 0;              // of the value, not of the pointer: what a variable holds, a function's type
  uint32_t init = none;           // value: initialiser, aliasee, resolver
  uint32_t section = none;        // index into sections
  uint32_t comdat = none;         // index into comdats
  uint32_t attributes = none;     // index into attribute_lists
  uint32_t personality = none, prefix = none, prologue = none;  // values
  uint32_t gc = none;             // index into gc_names
  uint32_t body = none;           // Function: index into bodies
  uint32_t code_model = 0;        // Variable: 0 not given, 1 tiny, 2 small, 3 kernel, 4 medium, 5 large
  std::string_view name;          // empty: has none
  std::string_view partition;
};

struct Comdat {
  std::string_view name;
  ComdatKind kind = ComdatKind::Any;
};

// Attribute kinds are the numbers of the format; these are the ones that readers of single attributes ask for.
enum AttrKind : uint32_t { attr_alignment = 1, attr_byval = 3, attr_sret = 29, attr_element_type = 77 };
struct Attribute {
  enum Form : uint8_t { Flag, Integer, String, Type, Range };
  Form form = Flag;
  uint32_t kind = 0;            // all but String
  uint64_t value = 0;           // Integer: the value; Type: the type index, or none
  std::string_view key, text;   // String
};
inline constexpr uint32_t attr_return_index = 0;             // parameters are 1, 2, ...
inline constexpr uint32_t attr_function_index = 0xffffffff;
struct AttributeGroup {
  uint32_t index = 0;           // what it applies to: attr_return_index, parameter number from 1, attr_function_index
  uint32_t first = 0, count = 0;  // into attributes
};

// A function body's place in the file.
struct BodyPlace {
  uint64_t bit = 0;       // for Cursor::seek_block
  uint32_t function = 0;  // index into globals
  uint32_t words = 0;     // length in 32-bit words: a measure of the work in it
};

// Owns strings that are not contiguous bytes of the file; they stay where they are when the arena moves.
class TextArena {
 public:
  char* allocate(size_t n);

 private:
  std::vector<std::unique_ptr<char[]>> chunks_;
  char* next_ = nullptr;
  size_t left_ = 0;
};

struct Module {
  std::span<const uint8_t> stream;   // the bitstream: the file without a wrapper
  std::string_view producer;         // "LLVM19.1.7"
  std::string_view triple, data_layout, source_file, module_asm;
  std::vector<std::string_view> sections, gc_names, bundle_tags, sync_scopes;
  std::vector<Type> types;
  std::vector<uint32_t> type_lists;
  std::vector<std::string_view> type_names;  // parallel to types; empty when the type has none
  std::vector<Comdat> comdats;
  std::vector<Attribute> attributes;
  std::vector<AttributeGroup> attribute_groups;
  std::vector<uint32_t> attribute_list_groups;                    // indices into attribute_groups
  std::vector<std::pair<uint32_t, uint32_t>> attribute_lists;     // (first, count) into attribute_list_groups
  std::vector<Global> globals;
  Constants constants;
  std::vector<BodyPlace> bodies;
  BlockInfo block_info;
  uint64_t metadata_bit = 0;         // of the metadata block, as BodyPlace::bit; 0: none
  uint64_t metadata_kinds_bit = 0;
  bool wants_attachments = false;    // bodies are read with Body::attachments
  bool wants_debug = false;          // bodies are read with Body::records and Body::subprogram
  uint32_t type_i1 = none;           // what a compare of scalars yields
  uint32_t type_ptr = none;          // a pointer type of address space 0
  std::vector<uint32_t> vector_types, struct_types, pointer_types;  // for the result types that bodies leave implicit

  std::vector<uint32_t> value_types;  // of the module's values; for globals a pointer type (of their address space)

  uint32_t value_count() const { return uint32_t(globals.size() + constants.list.size()); }
  // Some pointer type of that address space, or none when the file has none.
  uint32_t pointer_type(uint64_t address_space) const {
    if (address_space == 0) return type_ptr;
    for (uint32_t t : pointer_types)
      if (types[t].count == address_space) return t;
    return none;
  }
  std::span<const uint32_t> list_of(const Type& t) const { return {type_lists.data() + t.element, size_t(t.count)}; }
  // The attributes that list `list` (none allowed) gives to `index`: one group at most in well-formed files; the first.
  std::span<const Attribute> attributes_of(uint32_t list, uint32_t index) const;
  const Attribute* find_attribute(uint32_t list, uint32_t index, uint32_t kind) const;
  const Attribute* find_attribute(uint32_t list, uint32_t index, std::string_view key) const;

  TextArena text;
};

// Errors have no place: the caller adds the file's name. They name block, record code and bit offset.
Result<Module> open(std::span<const uint8_t> file);

}  // namespace lode::formats::bitcode
