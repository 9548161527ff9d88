#include "storage/base/hash.h"

#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <zstd.h>

#include "storage/base/prng.h"

namespace kvasir {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::vector<std::byte> random_bytes(std::size_t count, std::uint64_t seed) {
  Prng prng(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(prng.next());
  return bytes;
}

TEST(Sha256, KnownAnswers) {
  Sha256 hash;
  EXPECT_EQ(to_hex(hash.finish()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(hash.update("abc").finish()), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(hash.update("a").update("bc").finish()), to_hex(hash.update("abc").finish()));
}

TEST(Sha256, SizedFieldsDoNotRunTogether) {
  Sha256 hash;
  const Sha256Digest one = hash.update_sized("ab").update_sized("c").finish();
  const Sha256Digest two = hash.update_sized("a").update_sized("bc").finish();
  EXPECT_NE(one, two);
}

TEST(Hmac, KnownAnswer) {  // RFC 4231, test case 2
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Crc32c, KnownAnswersOnBothPaths) {
  const std::string digits = "123456789";
  EXPECT_EQ(crc32c(bytes_of(digits)), 0xE3069283u);
  EXPECT_EQ(detail::crc32c_portable(bytes_of(digits), 0), 0xE3069283u);
  EXPECT_EQ(crc32c(bytes_of(std::string(32, '\0'))), 0x8A9136AAu);  // RFC 3720, B.4
}

TEST(Crc32c, PathsAgreeAndChain) {
  const std::vector<std::byte> data = random_bytes(300, 1);
  for (std::size_t size = 0; size <= data.size(); ++size) {
    const auto part = std::span(data).first(size);
    EXPECT_EQ(crc32c(part), detail::crc32c_portable(part, 0));
    EXPECT_EQ(crc32c(part.subspan(size / 3), crc32c(part.first(size / 3))), crc32c(part));
  }
}

TEST(Checksum64, KnownAnswers) {  // XXH64
  EXPECT_EQ(checksum64({}), 0xEF46DB3751D8E999ull);
  EXPECT_EQ(checksum64(bytes_of("abc")), 0x44BC2CF5AD770999ull);
}

// zstd ends a frame with the low 32 bits of the XXH64 of its content: a second implementation to compare with.
TEST(Checksum64, AgreesWithZstdAtEverySize) {
  const std::vector<std::byte> data = random_bytes(4096, 2);
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  std::vector<char> frame(ZSTD_compressBound(data.size()));
  for (std::size_t size = 0; size <= data.size(); size += size < 130 ? 1 : 61) {
    const std::size_t written = ZSTD_compress2(context, frame.data(), frame.size(), data.data(), size);
    ASSERT_FALSE(ZSTD_isError(written));
    std::uint32_t low;
    std::memcpy(&low, frame.data() + written - sizeof low, sizeof low);
    EXPECT_EQ(static_cast<std::uint32_t>(checksum64(std::span(data).first(size))), low) << size;
  }
  ZSTD_freeCCtx(context);
}

TEST(Checksum64, EveryBitAndTheSeedCount) {
  std::vector<std::byte> data = random_bytes(67, 3);
  const std::uint64_t before = checksum64(data);
  EXPECT_NE(checksum64(data, 1), before);
  for (std::size_t bit = 0; bit < data.size() * 8; ++bit) {
    const std::byte mask{static_cast<unsigned char>(1u << (bit % 8))};
    data[bit / 8] ^= mask;
    EXPECT_NE(checksum64(data), before) << bit;
    data[bit / 8] ^= mask;
  }
}

TEST(ToHex, AllBytes) {
  const std::vector<std::uint8_t> bytes{0x00, 0x0f, 0xa5, 0xff};
  EXPECT_EQ(to_hex(bytes), "000fa5ff");
}

}  // namespace
}  // namespace kvasir
