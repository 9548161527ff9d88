#include "config/units.h"

#include <gtest/gtest.h>

namespace kvasir {
namespace {

using std::chrono::milliseconds;

TEST(Units, BytesWithAndWithoutUnit) {
  EXPECT_EQ(parse_bytes("0"), 0u);
  EXPECT_EQ(parse_bytes("512"), 512u);
  EXPECT_EQ(parse_bytes("512B"), 512u);
  EXPECT_EQ(parse_bytes("3KiB"), 3072u);
  EXPECT_EQ(parse_bytes("48MiB"), 48u << 20);
  EXPECT_EQ(parse_bytes("2GiB"), 2ull << 30);
  EXPECT_EQ(parse_bytes("5TiB"), 5ull << 40);
}

TEST(Units, BytesRefused) {
  for (const char* text : {"", "MiB", "48 MiB", "48mib", "48MB", "1.5GiB", "-1", "+1", " 1", "1 ", "0x10", "1GiBB",
                           "99999999999999999999", "99999999999TiB"}) {
    EXPECT_FALSE(parse_bytes(text)) << text;
  }
}

TEST(Units, Durations) {
  EXPECT_EQ(parse_duration("250ms"), milliseconds(250));
  EXPECT_EQ(parse_duration("90s"), milliseconds(90'000));
  EXPECT_EQ(parse_duration("5m"), milliseconds(300'000));
  EXPECT_EQ(parse_duration("24h"), milliseconds(86'400'000));
  EXPECT_EQ(parse_duration("7d"), milliseconds(7ll * 86'400'000));
  for (const char* text : {"", "90", "s", "1.5s", "-1s", "90 s", "90sec", "99999999999d", "36501d"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Units, FormatIsShortestAndReadBackEqual) {
  EXPECT_EQ(format_bytes(0), "0B");
  EXPECT_EQ(format_bytes(2ull << 30), "2GiB");
  EXPECT_EQ(format_bytes((1u << 20) + 512), "1049088B");
  EXPECT_EQ(format_duration(milliseconds(90'000)), "90s");
  EXPECT_EQ(format_duration(milliseconds(86'400'000)), "1d");
  for (const std::uint64_t bytes : {1ull, 1023ull, 1536ull * 1024, 3ull << 40, ~0ull}) {
    EXPECT_EQ(parse_bytes(format_bytes(bytes)), bytes);
  }
}

}  // namespace
}  // namespace kvasir
