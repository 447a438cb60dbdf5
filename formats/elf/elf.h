// ELF64 little-endian on disk: the records and constants of the System V gABI (generic ABI, chapters 4 and 5), the GNU
// extensions (versions, gnu hash, properties) and the relocation numbers of the x86-64 and RISC-V psABIs.
//
// All records have alignment one: members of archives start at even offsets only, and files are mapped as they are.
// Members are therefore read by value; taking references to them is an error the compiler reports.
#pragma once

#include <cstdint>

namespace lode::formats::elf {

#define LODE_PACKED __attribute__((packed))

// Elf64_Word where it stands alone: the members of a section group, the entries of SHT_SYMTAB_SHNDX.
struct LODE_PACKED Word {
  uint32_t value;
};
static_assert(sizeof(Word) == 4 && alignof(Word) == 1);

struct LODE_PACKED Ehdr {
  uint8_t ident[16];
  uint16_t type;
  uint16_t machine;
  uint32_t version;
  uint64_t entry;
  uint64_t phoff;
  uint64_t shoff;
  uint32_t flags;
  uint16_t ehsize;
  uint16_t phentsize;
  uint16_t phnum;
  uint16_t shentsize;
  uint16_t shnum;
  uint16_t shstrndx;
};
static_assert(sizeof(Ehdr) == 64);

struct LODE_PACKED Shdr {
  uint32_t name;
  uint32_t type;
  uint64_t flags;
  uint64_t addr;
  uint64_t offset;
  uint64_t size;
  uint32_t link;
  uint32_t info;
  uint64_t addralign;
  uint64_t entsize;
};
static_assert(sizeof(Shdr) == 64);

struct LODE_PACKED Phdr {
  uint32_t type;
  uint32_t flags;
  uint64_t offset;
  uint64_t vaddr;
  uint64_t paddr;
  uint64_t filesz;
  uint64_t memsz;
  uint64_t align;
};
static_assert(sizeof(Phdr) == 56);

struct LODE_PACKED Sym {
  uint32_t name;
  uint8_t info;
  uint8_t other;
  uint16_t shndx;
  uint64_t value;
  uint64_t size;

  uint8_t bind() const { return info >> 4; }
  uint8_t type() const { return info & 15; }
  uint8_t visibility() const { return other & 3; }
};
static_assert(sizeof(Sym) == 24);

struct LODE_PACKED Rela {
  uint64_t offset;
  uint32_t type;
  uint32_t sym;
  int64_t addend;
};
static_assert(sizeof(Rela) == 24);

struct LODE_PACKED Dyn {
  int64_t tag;
  uint64_t value;
};
static_assert(sizeof(Dyn) == 16);

struct LODE_PACKED Verneed {
  uint16_t version, cnt;
  uint32_t file, aux, next;
};
struct LODE_PACKED Vernaux {
  uint32_t hash;
  uint16_t flags, other;
  uint32_t name, next;
};
struct LODE_PACKED Verdef {
  uint16_t version, flags, ndx, cnt;
  uint32_t hash, aux, next;
};
struct LODE_PACKED Verdaux {
  uint32_t name, next;
};
struct LODE_PACKED Nhdr {
  uint32_t namesz, descsz, type;
};
struct LODE_PACKED Chdr {
  uint32_t type, reserved;
  uint64_t size, addralign;
};
static_assert(sizeof(Verneed) == 16 && sizeof(Vernaux) == 16 && sizeof(Verdef) == 20 && sizeof(Verdaux) == 8);
static_assert(sizeof(Nhdr) == 12 && sizeof(Chdr) == 24);

enum : uint16_t { ET_REL = 1, ET_EXEC = 2, ET_DYN = 3 };
enum : uint16_t { EM_386 = 3, EM_X86_64 = 62, EM_AARCH64 = 183, EM_RISCV = 243 };
enum : uint8_t { ELFCLASS64 = 2, ELFDATA2LSB = 1, ELFOSABI_GNU = 3 };

enum : uint32_t {
  SHN_UNDEF = 0, SHN_LORESERVE = 0xff00, SHN_X86_64_LCOMMON = 0xff02, SHN_ABS = 0xfff1, SHN_COMMON = 0xfff2,
  SHN_XINDEX = 0xffff,
};

enum : uint32_t {
  SHT_NULL = 0, SHT_PROGBITS = 1, SHT_SYMTAB = 2, SHT_STRTAB = 3, SHT_RELA = 4, SHT_HASH = 5, SHT_DYNAMIC = 6,
  SHT_NOTE = 7, SHT_NOBITS = 8, SHT_REL = 9, SHT_DYNSYM = 11, SHT_INIT_ARRAY = 14, SHT_FINI_ARRAY = 15,
  SHT_PREINIT_ARRAY = 16, SHT_GROUP = 17, SHT_SYMTAB_SHNDX = 18, SHT_RELR = 19, SHT_CREL = 0x40000014,
  SHT_GNU_ATTRIBUTES = 0x6ffffff5, SHT_GNU_HASH = 0x6ffffff6, SHT_GNU_VERDEF = 0x6ffffffd, SHT_GNU_VERNEED = 0x6ffffffe,
  SHT_GNU_VERSYM = 0x6fffffff, SHT_LLVM_ADDRSIG = 0x6fff4c03, SHT_LLVM_DEPENDENT_LIBRARIES = 0x6fff4c04,
  SHT_X86_64_UNWIND = 0x70000001, SHT_RISCV_ATTRIBUTES = 0x70000003, SHT_LOUSER = 0x80000000,
};

enum : uint64_t {
  SHF_WRITE = 1, SHF_ALLOC = 2, SHF_EXECINSTR = 4, SHF_MERGE = 0x10, SHF_STRINGS = 0x20, SHF_INFO_LINK = 0x40,
  SHF_LINK_ORDER = 0x80, SHF_GROUP = 0x200, SHF_TLS = 0x400, SHF_COMPRESSED = 0x800, SHF_GNU_RETAIN = 0x200000,
  SHF_X86_64_LARGE = 0x10000000, SHF_EXCLUDE = 0x80000000,
};

enum : uint32_t { GRP_COMDAT = 1 };
enum : uint8_t { STB_LOCAL = 0, STB_GLOBAL = 1, STB_WEAK = 2, STB_GNU_UNIQUE = 10 };
enum : uint8_t {
  STT_NOTYPE = 0, STT_OBJECT = 1, STT_FUNC = 2, STT_SECTION = 3, STT_FILE = 4, STT_COMMON = 5, STT_TLS = 6,
  STT_GNU_IFUNC = 10,
};
enum : uint8_t { STV_DEFAULT = 0, STV_INTERNAL = 1, STV_HIDDEN = 2, STV_PROTECTED = 3 };

enum : uint32_t {
  PT_NULL = 0, PT_LOAD = 1, PT_DYNAMIC = 2, PT_INTERP = 3, PT_NOTE = 4, PT_PHDR = 6, PT_TLS = 7,
  PT_GNU_EH_FRAME = 0x6474e550, PT_GNU_STACK = 0x6474e551, PT_GNU_RELRO = 0x6474e552, PT_GNU_PROPERTY = 0x6474e553,
  PT_RISCV_ATTRIBUTES = 0x70000003,
};
enum : uint32_t { PF_X = 1, PF_W = 2, PF_R = 4 };

enum : int64_t {
  DT_NULL = 0, DT_NEEDED = 1, DT_PLTRELSZ = 2, DT_PLTGOT = 3, DT_HASH = 4, DT_STRTAB = 5, DT_SYMTAB = 6, DT_RELA = 7,
  DT_RELASZ = 8, DT_RELAENT = 9, DT_STRSZ = 10, DT_SYMENT = 11, DT_INIT = 12, DT_FINI = 13, DT_SONAME = 14,
  DT_RPATH = 15, DT_SYMBOLIC = 16, DT_PLTREL = 20, DT_DEBUG = 21, DT_TEXTREL = 22, DT_JMPREL = 23, DT_BIND_NOW = 24,
  DT_INIT_ARRAY = 25, DT_FINI_ARRAY = 26, DT_INIT_ARRAYSZ = 27, DT_FINI_ARRAYSZ = 28, DT_RUNPATH = 29, DT_FLAGS = 30,
  DT_PREINIT_ARRAY = 32, DT_PREINIT_ARRAYSZ = 33, DT_RELRSZ = 35, DT_RELR = 36, DT_RELRENT = 37,
  DT_GNU_HASH = 0x6ffffef5, DT_TLSDESC_PLT = 0x6ffffef6, DT_TLSDESC_GOT = 0x6ffffef7, DT_GNU_FLAGS_1 = 0x6ffffdf4,
  DT_DEPAUDIT = 0x6ffffefb, DT_AUDIT = 0x6ffffefc, DT_ANDROID_RELR = 0x6fffe000, DT_ANDROID_RELRSZ = 0x6fffe001,
  DT_ANDROID_RELRENT = 0x6fffe003, DT_VERSYM = 0x6ffffff0, DT_RELACOUNT = 0x6ffffff9, DT_FLAGS_1 = 0x6ffffffb,
  DT_VERDEF = 0x6ffffffc, DT_VERDEFNUM = 0x6ffffffd, DT_VERNEED = 0x6ffffffe, DT_VERNEEDNUM = 0x6fffffff,
  DT_AUXILIARY = 0x7ffffffd, DT_FILTER = 0x7fffffff, DT_RISCV_VARIANT_CC = 0x70000001,
};
enum : uint32_t { DF_ORIGIN = 1, DF_SYMBOLIC = 2, DF_TEXTREL = 4, DF_BIND_NOW = 8, DF_STATIC_TLS = 16 };
enum : uint32_t { DF_GNU_1_UNIQUE = 1 };
enum : uint32_t {
  DF_1_NOW = 1, DF_1_GLOBAL = 2, DF_1_GROUP = 4, DF_1_NODELETE = 8, DF_1_LOADFLTR = 0x10, DF_1_INITFIRST = 0x20,
  DF_1_NOOPEN = 0x40, DF_1_ORIGIN = 0x80, DF_1_INTERPOSE = 0x400, DF_1_NODEFLIB = 0x800, DF_1_NODUMP = 0x1000,
  DF_1_GLOBAUDIT = 0x01000000, DF_1_PIE = 0x08000000,
};

enum : uint16_t {
  VER_NDX_LOCAL = 0, VER_NDX_GLOBAL = 1, VER_NDX_LAST_RESERVED = 1, VERSYM_HIDDEN = 0x8000, VER_FLG_BASE = 1,
  VER_FLG_WEAK = 2,
};
enum : uint32_t {
  NT_GNU_BUILD_ID = 3, NT_GNU_PROPERTY_TYPE_0 = 5, GNU_PROPERTY_STACK_SIZE = 1,
  GNU_PROPERTY_X86_FEATURE_1_AND = 0xc0000002, GNU_PROPERTY_X86_UINT32_AND_LO = 0xc0000002,
  GNU_PROPERTY_X86_UINT32_AND_HI = 0xc0007fff, GNU_PROPERTY_X86_UINT32_OR_LO = 0xc0008000,
  GNU_PROPERTY_X86_UINT32_OR_HI = 0xc000ffff, GNU_PROPERTY_X86_UINT32_OR_AND_LO = 0xc0010000,
  GNU_PROPERTY_X86_UINT32_OR_AND_HI = 0xc0017fff, GNU_PROPERTY_X86_ISA_1_NEEDED = 0xc0008002,
  GNU_PROPERTY_X86_ISA_1_USED = 0xc0010002, GNU_PROPERTY_X86_FEATURE_1_IBT = 1, GNU_PROPERTY_X86_FEATURE_1_SHSTK = 2,
};
enum : uint32_t { ELFCOMPRESS_ZLIB = 1, ELFCOMPRESS_ZSTD = 2 };

enum : uint32_t {
  R_X86_64_NONE = 0, R_X86_64_64 = 1, R_X86_64_PC32 = 2, R_X86_64_GOT32 = 3, R_X86_64_PLT32 = 4, R_X86_64_COPY = 5,
  R_X86_64_GLOB_DAT = 6, R_X86_64_JUMP_SLOT = 7, R_X86_64_RELATIVE = 8, R_X86_64_GOTPCREL = 9, R_X86_64_32 = 10,
  R_X86_64_32S = 11, R_X86_64_16 = 12, R_X86_64_PC16 = 13, R_X86_64_8 = 14, R_X86_64_PC8 = 15, R_X86_64_DTPMOD64 = 16,
  R_X86_64_DTPOFF64 = 17, R_X86_64_TPOFF64 = 18, R_X86_64_TLSGD = 19, R_X86_64_TLSLD = 20, R_X86_64_DTPOFF32 = 21,
  R_X86_64_GOTTPOFF = 22, R_X86_64_TPOFF32 = 23, R_X86_64_PC64 = 24, R_X86_64_GOTOFF64 = 25, R_X86_64_GOTPC32 = 26,
  R_X86_64_GOT64 = 27, R_X86_64_GOTPCREL64 = 28, R_X86_64_GOTPC64 = 29, R_X86_64_PLTOFF64 = 31, R_X86_64_SIZE32 = 32,
  R_X86_64_SIZE64 = 33, R_X86_64_GOTPC32_TLSDESC = 34, R_X86_64_TLSDESC_CALL = 35, R_X86_64_TLSDESC = 36,
  R_X86_64_IRELATIVE = 37, R_X86_64_GOTPCRELX = 41, R_X86_64_REX_GOTPCRELX = 42,
};

// RISC-V psABI, chapter "Relocations". From R_RISCV_VENDOR on, what a number means is for a vendor to say.
enum : uint32_t {
  R_RISCV_NONE = 0, R_RISCV_32 = 1, R_RISCV_64 = 2, R_RISCV_RELATIVE = 3, R_RISCV_COPY = 4, R_RISCV_JUMP_SLOT = 5,
  R_RISCV_TLS_DTPMOD64 = 7, R_RISCV_TLS_DTPREL32 = 8, R_RISCV_TLS_DTPREL64 = 9, R_RISCV_TLS_TPREL64 = 11,
  R_RISCV_TLSDESC = 12, R_RISCV_BRANCH = 16, R_RISCV_JAL = 17, R_RISCV_CALL = 18, R_RISCV_CALL_PLT = 19,
  R_RISCV_GOT_HI20 = 20, R_RISCV_TLS_GOT_HI20 = 21, R_RISCV_TLS_GD_HI20 = 22, R_RISCV_PCREL_HI20 = 23,
  R_RISCV_PCREL_LO12_I = 24, R_RISCV_PCREL_LO12_S = 25, R_RISCV_HI20 = 26, R_RISCV_LO12_I = 27, R_RISCV_LO12_S = 28,
  R_RISCV_TPREL_HI20 = 29, R_RISCV_TPREL_LO12_I = 30, R_RISCV_TPREL_LO12_S = 31, R_RISCV_TPREL_ADD = 32,
  R_RISCV_ADD8 = 33, R_RISCV_ADD16 = 34, R_RISCV_ADD32 = 35, R_RISCV_ADD64 = 36, R_RISCV_SUB8 = 37,
  R_RISCV_SUB16 = 38, R_RISCV_SUB32 = 39, R_RISCV_SUB64 = 40, R_RISCV_GOT32_PCREL = 41, R_RISCV_ALIGN = 43,
  R_RISCV_RVC_BRANCH = 44, R_RISCV_RVC_JUMP = 45, R_RISCV_RVC_LUI = 46, R_RISCV_RELAX = 51, R_RISCV_SUB6 = 52,
  R_RISCV_SET6 = 53, R_RISCV_SET8 = 54, R_RISCV_SET16 = 55, R_RISCV_SET32 = 56, R_RISCV_32_PCREL = 57,
  R_RISCV_IRELATIVE = 58, R_RISCV_PLT32 = 59, R_RISCV_SET_ULEB128 = 60, R_RISCV_SUB_ULEB128 = 61,
  R_RISCV_TLSDESC_HI20 = 62, R_RISCV_TLSDESC_LOAD_LO12 = 63, R_RISCV_TLSDESC_ADD_LO12 = 64,
  R_RISCV_TLSDESC_CALL = 65, R_RISCV_VENDOR = 191,
};
enum : uint32_t {
  EF_RISCV_RVC = 1, EF_RISCV_FLOAT_ABI = 6, EF_RISCV_FLOAT_ABI_DOUBLE = 4, EF_RISCV_RVE = 8, EF_RISCV_TSO = 16,
};
enum : uint8_t { STO_RISCV_VARIANT_CC = 0x80 };

}  // namespace lode::formats::elf
