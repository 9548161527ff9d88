#include "engine/text/nfc.h"

#include <string>

#include <gtest/gtest.h>

namespace kvasir {
namespace {

TEST(Nfc, PutsCharactersTogether) {
  EXPECT_EQ(to_nfc("e\u0301"), "\u00E9");
  EXPECT_EQ(to_nfc("x\u1100\u1161\u11A8y\u1100\u1161"), "x\uAC01y\uAC00");
  EXPECT_EQ(to_nfc("\uAC00\u11A8"), "\uAC01");
  EXPECT_EQ(to_nfc("\u212B\u2126"), "\u00C5\u03A9");  // replaced by others
  EXPECT_EQ(to_nfc("\u0958"), "\u0915\u093C");        // never put together
  EXPECT_EQ(to_nfc("a\u0323\u0307"), "\u1EA1\u0307");
  EXPECT_EQ(to_nfc("a\u0307\u0323"), "\u1EA1\u0307");  // marks are sorted
  EXPECT_EQ(to_nfc("a\u0300\u0301\u0302"), "\u00E0\u0301\u0302");
  EXPECT_EQ(to_nfc("a\u0315\u0300\u05AE\u0300b"), "\u00E0\u05AE\u0300\u0315b");
  EXPECT_EQ(to_nfc("\u0301e"), "\u0301e");
}

TEST(Nfc, LeavesTheRestAlone) {
  for (const std::string text : {"", "plain", "日本語 한국어 é ü", "\xff\xfe e\xcc", "\U0001F600"})
    EXPECT_EQ(to_nfc(text), text);
  EXPECT_TRUE(is_nfc_quick("Grüße, œuvre"));
  EXPECT_FALSE(is_nfc_quick("e\u0301"));
}

}  // namespace
}  // namespace kvasir
