#pragma once
#include "link/output_file.h"
namespace lode::link::elf {
using link::OutputFile;
}
