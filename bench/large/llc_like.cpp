// A program that pulls in all of LLVM: IR from a file, through the passes of -O2, to an object for the IR's own target.
// It is input for the benchmark of large links; that it compiles something shows that the link was right.
#include <llvm-c/Core.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <llvm-c/lto.h>

#include <cstdio>
#include <stdexcept>

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: %s input.ll output.o\n", argv[0]), 2;
  LLVMInitializeAllTargetInfos();
  LLVMInitializeAllTargets();
  LLVMInitializeAllTargetMCs();
  LLVMInitializeAllAsmPrinters();
  LLVMInitializeAllAsmParsers();
  LLVMInitializeAllDisassemblers();
  try {
    char* message = nullptr;
    LLVMMemoryBufferRef text;
    LLVMModuleRef module;
    LLVMTargetRef target;
    LLVMContextRef context = LLVMContextCreate();
    if (LLVMCreateMemoryBufferWithContentsOfFile(argv[1], &text, &message)) throw std::runtime_error(message);
    if (LLVMParseIRInContext(context, text, &module, &message)) throw std::runtime_error(message);
    if (LLVMGetTargetFromTriple(LLVMGetTarget(module), &target, &message)) throw std::runtime_error(message);
    LLVMTargetMachineRef machine = LLVMCreateTargetMachine(target, LLVMGetTarget(module), "", "",
                                                           LLVMCodeGenLevelDefault, LLVMRelocPIC, LLVMCodeModelDefault);
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    if (LLVMErrorRef e = LLVMRunPasses(module, "default<O2>", machine, options))
      throw std::runtime_error(LLVMGetErrorMessage(e));
    if (LLVMTargetMachineEmitToFile(machine, module, argv[2], LLVMObjectFile, &message))
      throw std::runtime_error(message);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  if (argc > 3) {  // never: keeps the just-in-time compiler and LTO in the link
    LLVMOrcLLJITRef jit;
    LLVMOrcCreateLLJIT(&jit, nullptr);
    std::puts(lto_get_version());
  }
  return 0;
}
