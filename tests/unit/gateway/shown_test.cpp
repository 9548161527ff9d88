#include "gateway/inspect/shown.h"

#include <gtest/gtest.h>

#include "gateway/inspect/lines.h"

namespace kvasir {
namespace {

TEST(Shown, TextOfAFileCannotMoveTheCursor) {
  EXPECT_EQ(shown("plain, naïve, 模型"), "plain, naïve, 模型");
  EXPECT_EQ(shown("a\x1b[2J\r\n\tb"), "a\\x1b[2J\\x0d\\n\\tb");
  EXPECT_EQ(shown("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(shown("\xC2\x9B"
                  "31m"),
            "\\xc2\\x9b31m");  // the one-character CSI
  EXPECT_EQ(shown("a\xE2\x80\xAE"
                  "b"),
            "a\\xe2\\x80\\xaeb");  // right-to-left override
  EXPECT_EQ(shown(std::string_view("a\0b", 3)), "a\\x00b");
}

TEST(Shown, TextIsCut) {
  EXPECT_EQ(shown("abcdef", 3), "abc...");
  EXPECT_EQ(shown("abc", 3), "abc");
  EXPECT_LT(shown(std::string(1'000'000, 'x')).size(), 210u);
}

TEST(Shown, Numbers) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(134515008), "134,515,008");
  EXPECT_EQ(shown_bytes(1023), "1023 B");
  EXPECT_EQ(shown_bytes(23040), "22.5 KiB");
  EXPECT_EQ(shown_bytes(1u << 20), "1.0 MiB");
  EXPECT_EQ(shown_bytes((1u << 20) - 1), "1.0 MiB");
  EXPECT_EQ(shown_bytes(~0ull), "16384.0 PiB");
}

TEST(Shown, LinesAreAligned) {
  Lines lines;
  lines.heading("One");
  lines.row("label", "value");
  lines.row("left out", "");
  lines.heading("Two");
  lines.table({{"a", "b"}, {"long", "1"}, {"x", "1000"}});
  EXPECT_EQ(lines.take(),
            "One\n  label           value\n\nTwo\n"
            "  a        b\n  long     1\n  x     1000\n");
}

}  // namespace
}  // namespace kvasir
