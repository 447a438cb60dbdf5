# What a process costs before main: each shared library some 50 to 100 microseconds of the dynamic linker, the C++ library 700, for its
# relocations. A relink is to take little more than that, so the command has no shared library but libc and libm. zlib, zstd, xxHash and
# the C++ library are archives within it; TBB, of which there is no archive, is loaded when it is first called (link/main/tbb_entries.cpp).
#
# lode_tbb, lode_zstd, lode_zlib and lode_xxhash stand for the libraries: the archives in targets that lode_quick_start() was said of, the
# shared libraries in all others (tests, examples, embedders). Sanitizers bring a shared C++ library of their own; with them, and where
# LODE_QUICK_START is off, the command is linked like the others.
set(LODE_QUICK_COMMAND OFF)
if(LODE_QUICK_START AND NOT LODE_SANITIZE AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  set(LODE_QUICK_COMMAND ON)
endif()
get_target_property(configurations TBB::tbb IMPORTED_CONFIGURATIONS)
list(GET configurations 0 configuration)
get_target_property(LODE_TBB_SONAME TBB::tbb IMPORTED_SONAME_${configuration})
if(NOT LODE_TBB_SONAME)
  set(LODE_TBB_SONAME libtbb.so.12)
endif()
set(quick "$<BOOL:$<TARGET_PROPERTY:LODE_QUICK>>")

add_library(lode_tbb INTERFACE)
target_include_directories(lode_tbb INTERFACE $<TARGET_PROPERTY:TBB::tbb,INTERFACE_INCLUDE_DIRECTORIES>)
target_link_libraries(lode_tbb INTERFACE $<$<NOT:${quick}>:TBB::tbb>)

# lode_archive_of(zlib libz.a ZLIB::ZLIB): the archive is used if it is there.
function(lode_archive_of name archive shared)
  find_library(LODE_ARCHIVE_${name} ${archive})
  mark_as_advanced(LODE_ARCHIVE_${name})
  add_library(lode_${name} INTERFACE)
  target_include_directories(lode_${name} INTERFACE $<TARGET_PROPERTY:${shared},INTERFACE_INCLUDE_DIRECTORIES>)
  if(LODE_ARCHIVE_${name})
    target_link_libraries(lode_${name} INTERFACE $<IF:${quick},${LODE_ARCHIVE_${name}},${shared}>)
  else()
    target_link_libraries(lode_${name} INTERFACE ${shared})
  endif()
endfunction()
lode_archive_of(zlib libz.a ZLIB::ZLIB)
lode_archive_of(zstd libzstd.a zstd::libzstd_shared)
lode_archive_of(xxhash libxxhash.a lode::xxhash)

# The executable `target` starts quickly. Its relative relocations are packed where the linker and the C library know how: they are most of
# what the dynamic linker then reads of it.
include(CheckLinkerFlag)
check_linker_flag(CXX "-Wl,-z,pack-relative-relocs" LODE_HAS_RELR)
function(lode_quick_start target)
  if(NOT LODE_QUICK_COMMAND)
    return()
  endif()
  set_target_properties(${target} PROPERTIES LODE_QUICK ON)
  target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/link/main/tbb_entries.cpp)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/link/main/tbb_entries.cpp PROPERTIES COMPILE_DEFINITIONS LODE_TBB_SONAME="${LODE_TBB_SONAME}")
  target_link_libraries(${target} PRIVATE ${CMAKE_DL_LIBS})
  target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc $<$<BOOL:${LODE_HAS_RELR}>:-Wl,-z,pack-relative-relocs>)
endfunction()
