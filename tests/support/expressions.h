// Random functions of one block, (i64) -> i64, as AIR text: expressions over the parameter, constants at the edges of
// encodings and of signs, and addresses: of slots, of the frame and of data, moved far below and above their objects
// and back again. What depends on where things lie is a difference of two addresses in one object, and memory is read
// and written inside of it only; so a function means the same to the interpreter and on every target.
#pragma once

#include <random>
#include <string>
#include <vector>

namespace lode::test {

class Expressions {
 public:
  Expressions(uint32_t seed, unsigned pointer_bytes, bool data = true)
      : rng_(seed), word_(int(pointer_bytes) * 8), data_(data) {}

  // A module of functions f0 .. f(n - 1).
  std::string module(int functions) {
    std::string s = word_ == 32 ? "layout pointer_bytes 4\n" : "";
    if (data_) s += "strong data @datum : [64 x i8] = \"" + std::string(64, 'd') + "\"\n";
    for (int f = 0; f < functions; f++) s += function(f);
    return s;
  }

  std::string function(int number) {
    text_.clear();
    next_ = 0;
    ints_.clear();
    places_.clear();
    std::string head = "strong func @f" + std::to_string(number) + "(%x: i64) -> i64 {\n";
    for (int k = 0; k < slots_; k++)
      head += "  slot s" + std::to_string(k) + " " + std::to_string(object_bytes_) + " align 8\n";
    head += "entry:\n";
    ints_.push_back({"%x", 64});
    for (int k = 0; k < slots_; k++) {
      std::string p = line("slot_addr s" + std::to_string(k));
      for (int at = 0; at < object_bytes_; at += 8)
        store("i64 %x", line("ptr_add ptr " + p + " + " + std::to_string(at)));
      places_.push_back({p, p, 0, true});
    }
    if (data_) places_.push_back({"@datum", "@datum", 0, true});
    std::string frame = line("frame_address 0 to ptr");
    places_.push_back({frame, frame, 0, false});
    for (int k = 12 + int(rng_() % 24); k > 0; k--) step();
    std::string sum = ints_[0].name;
    for (const Int& i : ints_) {
      std::string wide = i.width == 64 ? i.name
                                       : line(std::string(rng_() % 2 ? "zext" : "sext") + " i" +
                                              std::to_string(i.width) + " " + i.name + " to i64");
      sum = line("mul i64 " + sum + ", 31");
      sum = line("xor i64 " + sum + ", " + wide);
    }
    return head + text_ + "  ret i64 " + sum + "\n}\n";
  }

 private:
  struct Int {
    std::string name;
    int width;
  };
  struct Place {
    std::string name, object;
    int64_t offset;  // from the object's start
    bool memory;     // the object may be read and written
  };
  static constexpr int slots_ = 2, object_bytes_ = 64;
  std::mt19937 rng_;
  int word_, next_ = 0;
  bool data_;
  std::string text_;
  std::vector<Int> ints_;
  std::vector<Place> places_;

  std::string line(const std::string& instruction) {
    std::string r = "%v" + std::to_string(next_++);
    text_ += "  " + r + " = " + instruction + "\n";
    return r;
  }
  void store(const std::string& value, const std::string& place) {
    text_ += "  store " + value + ", ptr " + place + " align 1\n";
  }
  static std::string offset(int64_t by) { return (by < 0 ? " - " : " + ") + std::to_string(by < 0 ? -by : by); }
  static std::string type(int width) { return "i" + std::to_string(width); }

  int64_t constant(int width) {
    static constexpr int64_t edges[] = {0,         1,
                                        2,         3,
                                        7,         8,
                                        63,        64,
                                        65,        127,
                                        128,       129,
                                        255,       256,
                                        1000,      8191,
                                        8192,      32767,
                                        32768,     65535,
                                        65536,     (1ll << 31) - 1,
                                        1ll << 31, (1ll << 32) - 1};
    int64_t v = edges[rng_() % std::size(edges)];
    if (rng_() % 2) v = -v;
    if (width == 64 && rng_() % 8 == 0) v = int64_t(rng_()) << 32 | int64_t(rng_());
    // As the width has it, signed.
    if (width < 64) v = int64_t(uint64_t(v) << (64 - width)) >> (64 - width);
    return v;
  }
  std::string as(int width, bool may_be_constant = true) {
    if (may_be_constant && rng_() % 3 == 0) return std::to_string(constant(width));
    const Int& i = ints_[rng_() % ints_.size()];
    if (i.width == width) return i.name;
    if (i.width > width) return line("trunc " + type(i.width) + " " + i.name + " to " + type(width));
    return line(std::string(rng_() % 2 ? "zext" : "sext") + " " + type(i.width) + " " + i.name + " to " + type(width));
  }

  void step() {
    switch (rng_() % 8) {
      case 0: case 1: arithmetic(); break;
      case 2: chain(); break;
      case 3: case 4: move(); break;
      case 5: distance(); break;
      case 6: access(); break;
      default: compare();
    }
  }
  void arithmetic() {
    static constexpr const char* ops[] = {"add", "sub", "mul", "and", "or", "xor", "shl", "lshr", "ashr"};
    int width = 8 << rng_() % 4;
    unsigned o = rng_() % 9;
    std::string a = as(width), b = o >= 6 ? std::to_string(rng_() % unsigned(width)) : as(width);
    ints_.push_back({line(std::string(ops[o]) + " " + type(width) + " " + a + ", " + b), width});
  }
  // One operation with constants after the other, as rules that join them see it.
  void chain() {
    int width = rng_() % 2 ? 64 : 32;
    std::string v = as(width, false);
    for (int k = 2 + int(rng_() % 4); k > 0; k--) {
      std::string c = std::to_string(constant(width)), shift = std::to_string(rng_() % unsigned(width));
      switch (rng_() % 7) {
        case 0: case 1: v = line("add " + type(width) + " " + v + ", " + c); break;
        case 2: v = line("sub " + type(width) + " " + v + ", " + c); break;
        case 3: v = line("sub " + type(width) + " " + c + ", " + v); break;
        case 4: v = line("and " + type(width) + " " + v + ", " + c); break;
        case 5: v = line("shl " + type(width) + " " + v + ", " + shift); break;
        default: v = line("mul " + type(width) + " " + v + ", " + c);
      }
    }
    ints_.push_back({v, width});
  }
  void move() {
    Place p = places_[rng_() % places_.size()];
    int64_t by = rng_() % 2 ? int64_t(rng_() % 129) - 64 : int64_t(constant(32)) / 4;
    if (p.offset + by > 1ll << 30 || p.offset + by < -(1ll << 30)) by = -p.offset;
    p.offset += by;
    switch (rng_() % 3) {
      case 0: p.name = line("ptr_add ptr " + p.name + offset(by)); break;
      case 1: {  // the number as an index
        p.name = line("ptr_add ptr " + p.name + ", " + type(word_) + " " + std::to_string(by) + " * 1");
        break;
      }
      default: {  // as an integer
        std::string i = line("ptrtoint ptr " + p.name + " to " + type(word_));
        i = rng_() % 2 ? line("add " + type(word_) + " " + i + ", " + std::to_string(by))
                       : line("sub " + type(word_) + " " + i + ", " + std::to_string(-by));
        p.name = line("inttoptr " + type(word_) + " " + i + " to ptr");
      }
    }
    places_.push_back(p);
  }
  void distance() {
    const Place p = places_[rng_() % places_.size()];
    std::string a = line("ptrtoint ptr " + p.name + " to " + type(word_)),
                b = line("ptrtoint ptr " + p.object + " to " + type(word_));
    for (int k = int(rng_() % 3); k > 0; k--)
      a = line(std::string(rng_() % 2 ? "add " : "sub ") + type(word_) + " " + a + ", " + std::to_string(constant(32)));
    ints_.push_back({line("sub " + type(word_) + " " + (rng_() % 2 ? a + ", " + b : b + ", " + a)), word_});
  }
  void access() {
    const Place p = places_[rng_() % places_.size()];
    if (!p.memory) return distance();
    int width = 8 << rng_() % 4;
    int64_t at = int64_t(rng_() % (object_bytes_ - 16));
    std::string place;
    if (rng_() % 2) {
      std::string i = line("and " + type(word_) + " " + as(word_, false) + ", 7");
      place = line("ptr_add ptr " + p.name + ", " + type(word_) + " " + i + " * 1" + offset(at - p.offset));
    } else {
      place = line("ptr_add ptr " + p.name + offset(at - p.offset));
    }
    if (rng_() % 3 == 0) return store(type(width) + " " + as(width), place);
    ints_.push_back({line("load " + type(width) + ", ptr " + place + " align 1"), width});
  }
  void compare() {
    static constexpr const char* predicates[] = {"eq", "ne", "ugt", "uge", "ult", "ule", "sgt", "sge", "slt", "sle"};
    int width = 8 << rng_() % 4;
    std::string a = as(width, false), b = as(width);
    std::string c = line(std::string("icmp ") + predicates[rng_() % 10] + " " + type(width) + " " + a + ", " + b);
    int result = 8 << rng_() % 4;
    if (rng_() % 2) ints_.push_back({line("zext i1 " + c + " to " + type(result)), result});
    else
      ints_.push_back(
          {line("select i1 " + c + ", " + type(result) + " " + as(result) + ", " + type(result) + " " + as(result)),
           result});
  }
};

}  // namespace lode::test
