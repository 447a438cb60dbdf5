#pragma once
#include <cstdio>
#include <stdexcept>
#include <string>

// Noticed when it is destroyed.
struct Mark {
  const char* name;
  explicit Mark(const char* n) : name(n) { std::printf("[%s", name); }
  Mark(const Mark& m) : name(m.name) { std::printf("[%s'", name); }
  ~Mark() { std::printf("]"); }
};

struct Base {
  int code;
  explicit Base(int c) : code(c) {}
  virtual ~Base() {}
  virtual const char* name() const { return "base"; }
};
struct Other {
  long pad[3] = {7, 8, 9};
  virtual ~Other() {}
};
struct Derived : Other, Base {
  explicit Derived(int c) : Base(c) {}
  const char* name() const override { return "derived"; }
};

// native.cpp: compiled to machine code by the compiler
int native_call(int (*f)(int), int n);         // calls f with a Mark on its own frame
int native_catch(int (*f)(int), int n);        // catches Base& and long
[[noreturn]] void native_throw(int kind);
int native_rethrow(int (*f)(int), int n);      // catches everything and throws it again

// hidden.cpp: bitcode in a file of its own
int other_module(int n);
void throw_local(int n);
