// A program that pulls in all of clang: what `clang -cc1` does with its arguments. Input for the benchmark of large
// links.
#include <clang/Basic/DiagnosticOptions.h>
#include <clang/Frontend/CompilerInstance.h>
#include <clang/Frontend/CompilerInvocation.h>
#include <clang/Frontend/TextDiagnosticPrinter.h>
#include <clang/FrontendTool/Utils.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>

int main(int argc, char** argv) {
  llvm::InitializeAllTargets();
  llvm::InitializeAllTargetMCs();
  llvm::InitializeAllAsmPrinters();
  llvm::InitializeAllAsmParsers();
  auto options = llvm::makeIntrusiveRefCnt<clang::DiagnosticOptions>();
  clang::DiagnosticsEngine diagnostics(llvm::makeIntrusiveRefCnt<clang::DiagnosticIDs>(), options,
                                       new clang::TextDiagnosticPrinter(llvm::errs(), options.get()));
  clang::CompilerInstance compiler;
  if (!clang::CompilerInvocation::CreateFromArgs(compiler.getInvocation(),
                                                 llvm::ArrayRef<const char*>(argv + 1, argc - 1), diagnostics, argv[0]))
    return 1;
  compiler.createDiagnostics();
  return compiler.hasDiagnostics() && clang::ExecuteCompilerInvocation(&compiler) ? 0 : 1;
}
