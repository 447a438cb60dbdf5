// Rust's names: the grammar of RFC 2603 rule by rule, the legacy scheme, and names that are no names.
#include <catch2/catch.hpp>
#include <string>

#include "link/common/diagnostics.h"
#include "link/common/rust_names.h"

using lode::link::demangle;
using lode::link::demangle_rust;

TEST_CASE("Rust names: paths, instances, impls") {
  CHECK(demangle("_RNvCs1234_7mycrate3foo") == "mycrate::foo");
  CHECK(demangle("__RNvCs1234_7mycrate3foo") == "mycrate::foo");
  CHECK(demangle("_RNvNtCs1234_7mycrate3bar3baz") == "mycrate::bar::baz");
  CHECK(demangle("_RINvNtC3std3mem8align_ofNtNtC3std3mem12DiscriminantE") ==
        "std::mem::align_of::<std::mem::Discriminant>");
  CHECK(demangle("_RNvINvC1a1fhE1g") == "a::f::<u8>::g");
  CHECK(demangle("_RNvMs_C1aNtB4_1S1f") == "<a::S>::f");
  CHECK(demangle("_RNvXs0_C1aNtB5_1SNtB5_1T1f") == "<a::S as a::T>::f");
  CHECK(demangle("_RNvYNtC1a1SNtC1a1T1f") == "<a::S as a::T>::f");
  CHECK(demangle("_RNCNvC1a1f0") == "a::f::{closure#0}");
  CHECK(demangle("_RNCNvC1a1fs_0") == "a::f::{closure#1}");
  CHECK(demangle("_RNCNvC1a1fs0_4name") == "a::f::{closure:name#2}");
  CHECK(demangle("_RNSNvC1a1f0") == "a::f::{shim#0}");
  CHECK(demangle("_RNCINkXs25_NgCsbmNqQUJIY6D_4core5sliceINyB9_4IterhENuNgNoBb_"
                 "4iter8iterator8Iterator9rpositionNCNgNpB9_6memchr7memrchrs_0E0Bb_") ==
        "<core::slice::Iter<u8> as "
        "core::iter::iterator::Iterator>::rposition::<core::slice::memchr::memrchr::{closure#1}>::{closure#0}");
  CHECK(demangle("_RNvC1a1fCs9_5other") == "a::f");  // the crate that made the instance is not shown
}

TEST_CASE("Rust names: types") {
  CHECK(demangle("_RINvC1a1fhE") == "a::f::<u8>");
  CHECK(demangle("_RINvC1a1flxnaosutE") == "a::f::<i32, i64, i128, i8, u128, i16, (), u16>");
  CHECK(demangle("_RINvC1a1fReQjPcObE") == "a::f::<&str, &mut usize, *const char, *mut bool>");
  CHECK(demangle("_RINvC1a1fRL_lE") == "a::f::<&i32>");
  CHECK(demangle("_RINvC1a1fTElThEThhEE") == "a::f::<(), i32, (u8,), (u8, u8)>");
  CHECK(demangle("_RINvC1a1fAhj4_SlE") == "a::f::<[u8; 4], [i32]>");
  CHECK(demangle("_RINvC1a1fFEuFUKClEzFK8rust_abiEhE") ==
        "a::f::<fn(), unsafe extern \"C\" fn(i32) -> !, extern \"rust-abi\" fn() -> u8>");
  CHECK(demangle("_RINvC1a1fFG_RL0_hEuE") == "a::f::<for<'a> fn(&'a u8)>");
  CHECK(demangle("_RINvC1a1fDNtC1a1TEL_E") == "a::f::<dyn a::T>");
  CHECK(demangle("_RINvC1a1fDINtC1a1ThEp4ItemlNtC1a1SEL_E") == "a::f::<dyn a::T<u8, Item = i32> + a::S>");
  CHECK(demangle("_RINvC1a1fDNtC1a1Tp4ItemhEL_E") == "a::f::<dyn a::T<Item = u8>>");
  CHECK(demangle("_RINvC1a1fL_E") == "a::f::<'_>");
  CHECK(demangle("_RINvC1a1fhB7_E") == "a::f::<u8, u8>");  // a back reference to the first argument
}

TEST_CASE("Rust names: constants") {
  CHECK(demangle("_RINvC1a1fKj0_Kh7f_Kan80_E") == "a::f::<0, 127, -128>");
  CHECK(demangle("_RINvC1a1fKb0_Kb1_Kc41_KpE") == "a::f::<false, true, 'A', _>");
  CHECK(demangle("_RINvC1a1fKo123456789abcdef01_E") == "a::f::<0x123456789abcdef01>");
  CHECK(demangle("_RINvC1a1fKRe616263_E") == "a::f::<\"abc\">");
  CHECK(demangle("_RINvC1a1fKAh1_h2_EE") == "a::f::<{[1, 2]}>");
  CHECK(demangle("_RINvC1a1fKTh1_EE") == "a::f::<{(1,)}>");
  CHECK(demangle("_RINvC1a1fKVNtC1a1STh1_b1_EE") == "a::f::<{a::S(1, true)}>");
  CHECK(demangle("_RINvC1a1fKVNtC1a1SS1xh1_EE") == "a::f::<{a::S { x: 1 }}>");
  CHECK(demangle("_RINvC1a1fKVNtC1a1SUE") == "a::f::<{a::S}>");
}

TEST_CASE("Rust names: identifiers beyond ASCII, and what an optimiser appends") {
  CHECK(demangle("_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y") ==
        "utf8_idents::\xe1\x83\xa1\xe1\x83\x90\xe1\x83\xad\xe1\x83\x9b\xe1\x83\x94\xe1\x83\x9a\xe1\x83\x90\xe1\x83\x93_"
        "\xe1\x83\x92\xe1\x83\x94\xe1\x83\x9b\xe1\x83\xa0\xe1\x83\x98\xe1\x83\x94\xe1\x83\x9a\xe1\x83\x98_"
        "\xe1\x83\xa1\xe1\x83\x90\xe1\x83\x93\xe1\x83\x98\xe1\x83\x9a\xe1\x83\x98");
  CHECK(demangle("_RNvC1a1f.llvm.123456") == "a::f");
  CHECK(demangle("_RNvC1a1f.cold") == "a::f.cold");
}

TEST_CASE("Rust names: the legacy scheme") {
  CHECK(demangle("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE") == "core::fmt::Formatter::pad");
  CHECK(demangle(
            "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h930b740aa94f1d3aE") ==
        "<Test + 'static as foo::Bar<Test>>::bar");
  CHECK(demangle("_ZN3foo17h0123456789abcdefE.llvm.42") == "foo");
  CHECK(demangle("_ZN3foo3barEv") == "foo::bar()");  // C++
  CHECK(demangle("_ZN3foo17h0123456789abcdegE") == "foo::h0123456789abcdeg");
}

TEST_CASE("Rust names: what is none stays as it is") {
  for (const char* name : {
      "_R", "_RN", "_RNvC1a", "_RNvC1a9f", "_RNvC99999999999999999999a", "_RB_", "_RNvB_1f", "_RINvC1a1fB6_",
      "_RINvC1a1fKz0_E", "_RINvC1a1fKb2_E", "_RNvC1a1f!", "_RINvC1a1fL1_E", "_RINvC1a1fDNtC1a1TEE", "_RNvC1a1fu",
      "_RINvC1a1fKRe61626_E", "_RINvC1a1fKcd800_E", "foo", "main", "", "_Z", "_ZN"}) {
    INFO(name);
    CHECK(demangle(name) == std::string(name));
  }
  std::string out;
  CHECK(!demangle_rust("_ZN3foo3barEv", out));
}

TEST_CASE("Rust names: hostile ones end") {
  // Each tuple holds the one before twice: 2^40 elements.
  std::string bomb = "_RINvC1a1f";
  size_t last = 0;
  bomb += "TTEE";
  last = 8;
  auto base_62 = [](size_t v) {
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (v == 0) return std::string("_");
    std::string s;
    for (v--;; v /= 62) {
      s.insert(s.begin(), digits[v % 62]);
      if (v < 62) break;
    }
    return s + "_";
  };
  for (int i = 0; i < 40; i++) {
    size_t here = bomb.size() - 2;
    bomb += "TB" + base_62(last) + "B" + base_62(last) + "E";
    last = here;
  }
  bomb += "E";
  CHECK(demangle(bomb) == bomb);
  std::string deep = "_RINvC1a1f" + std::string(100'000, 'R') + "hE";
  CHECK(demangle(deep) == deep);
  std::string binder = "_RINvC1a1fFGzzzzzzz_EuE";
  CHECK(demangle(binder) == binder);
}
