# cmake -DOUT=FILE -DROOT=FOLDER -P generator_hash.cmake: writes a header with the hashes of all sources that decide what
# code is generated, and of all that decide what else a link does. A cache of functions is good for exactly the
# generator that made them, and the state of a link for exactly the linker.
function(hash_of out)
  set(globs ${ARGN})
  list(TRANSFORM globs PREPEND ${ROOT}/)
  file(GLOB_RECURSE sources RELATIVE ${ROOT} ${globs})
  list(SORT sources)
  set(all "")
  foreach(source ${sources})
    file(SHA256 ${ROOT}/${source} hash)
    string(APPEND all "${source} ${hash}\n")
  endforeach()
  string(SHA256 hash "${all}")
  string(SUBSTRING ${hash} 0 16 high)
  string(SUBSTRING ${hash} 16 16 low)
  set(${out} "#define LODE_${out}_HIGH 0x${high}\n#define LODE_${out}_LOW 0x${low}\n" PARENT_SCOPE)
endfunction()
hash_of(GENERATOR codegen/* mir_store/* formats/bitcode/* base/* include/lode/*)
hash_of(LINKER link/* formats/*)
set(text "// Made by cmake/generator_hash.cmake.
#pragma once
${GENERATOR}${LINKER}")
if(EXISTS ${OUT})
  file(READ ${OUT} old)
endif()
if(NOT "${old}" STREQUAL "${text}")
  file(WRITE ${OUT} "${text}")
endif()
