# cmake -DOUT=FILE -DROOT=FOLDER -P generator_hash.cmake: writes a header with the hash of all sources that decide what code is generated.
# A cache of functions is good for exactly the generator that made them.
file(GLOB_RECURSE sources RELATIVE ${ROOT} ${ROOT}/codegen/* ${ROOT}/mir_store/* ${ROOT}/formats/bitcode/* ${ROOT}/base/* ${ROOT}/include/lode/*)
list(SORT sources)
set(all "")
foreach(source ${sources})
  file(SHA256 ${ROOT}/${source} hash)
  string(APPEND all "${source} ${hash}\n")
endforeach()
string(SHA256 hash "${all}")
string(SUBSTRING ${hash} 0 16 high)
string(SUBSTRING ${hash} 16 16 low)
set(text "// Made by cmake/generator_hash.cmake.
#pragma once
#define LODE_GENERATOR_HIGH 0x${high}
#define LODE_GENERATOR_LOW 0x${low}
")
if(EXISTS ${OUT})
  file(READ ${OUT} old)
endif()
if(NOT "${old}" STREQUAL "${text}")
  file(WRITE ${OUT} "${text}")
endif()
