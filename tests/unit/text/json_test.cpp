#include "gateway/json/json.h"

#include <string>

#include <gtest/gtest.h>

namespace kvasir {
namespace {

std::string again(std::string_view text, JsonLimits limits = {}) {
  auto value = parse_json(text, limits);
  return value ? to_json(*value) : "error: " + value.error().message;
}

TEST(Json, KeepsNumberTextAndKeyOrder) {
  for (const char* text : {"0", "-0", "1.0", "1e5", "1E+05", "12345678901234567890123456789", "0.1000", "-1.5e-300",
                           "18446744073709551616", R"({"b":1,"a":[true,false,null,"x"],"":{}})", "[]", "[[],{}]"})
    EXPECT_EQ(again(text), text);
}

TEST(Json, AllowsWhitespaceAround) { EXPECT_EQ(again(" \t\r\n { \"a\" : [ 1 , 2 ] } \n"), R"({"a":[1,2]})"); }

TEST(Json, RepeatedKeyKeepsFirstPlaceAndLastValue) {
  EXPECT_EQ(again(R"({"a":1,"b":2,"a":3})"), R"({"a":3,"b":2})");
  std::string many = "{", merged = "{";
  for (int i = 0; i < 50; ++i) many += "\"k" + std::to_string(i) + "\":0,";
  for (int i = 0; i < 50; ++i) many += (i ? ",\"k" : "\"k") + std::to_string(i) + "\":" + std::to_string(i);
  for (int i = 0; i < 50; ++i) merged += (i ? ",\"k" : "\"k") + std::to_string(i) + "\":" + std::to_string(i);
  EXPECT_EQ(again(many + "}"), merged + "}");
}

TEST(Json, ManyKeysAreLinear) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += (i ? ",\"" : "\"") + std::to_string(i) + "\":1";
  text += "}";
  EXPECT_EQ(again(text).size(), text.size());
}

TEST(Json, StringsAndEscapes) {
  EXPECT_EQ(again(R"("\u00e9\ud83d\ude00\n\/\u0000\u001f\"\\")"), "\"é😀\\n/\\u0000\\u001f\\\"\\\\\"");
  EXPECT_EQ(again("\"\x7f\""), "\"\x7f\"");
  EXPECT_EQ(to_json(Value("a\u0085b\u2028c\u2029d\u2030")), "\"a\\u0085b\\u2028c\\u2029d\u2030\"");
}

TEST(Json, ErrorsNameOffsetAndReason) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "at byte 0: the text ends"},
      {"  ", "at byte 2: the text ends"},
      {"[1,2", "at byte 4: the text ends"},
      {"{\"a\":1} x", "at byte 8: there is more"},
      {"{a:1}", "at byte 1: not JSON"},
      {"[1,]", "at byte 3: not JSON"},
      {"// c\n1", "at byte 0: not JSON"},
      {"01", "at byte 1: "},
      {"\"a\nb\"", "at byte 2: a control character"},
      {R"("\ud800")", "at byte 7: "},
      {R"("\udc00")", "half of a surrogate"},
      {R"("\ud800\u0041")", "half of a surrogate"},
      {"\"\xff\"", "at byte 1: "},
      {"\"\xc0\x80\"", "at byte 1: "},
      {"\"\xed\xa0\x80\"", "at byte 1: "},
      {"NaN", "at byte 0: not JSON"},
  };
  for (const auto& [text, message] : cases) {
    auto value = parse_json(text);
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_EQ(value.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(value.error().message.find(message), std::string::npos) << text << " gave " << value.error().message;
  }
}

TEST(Json, DepthIsLimited) {
  const auto nested = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_EQ(again(nested(64)), nested(64));
  EXPECT_EQ(again(nested(65)), "error: invalid JSON at byte 64: more than 64 levels of nesting");
  EXPECT_EQ(again(nested(200), {.depth_max = 200}), nested(200));
  EXPECT_FALSE(parse_json(nested(100'000)).ok());
  EXPECT_FALSE(parse_json(std::string(100'000, '['), {.depth_max = 4'000'000'000}).ok());
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_FALSE(parse_json(objects).ok());
}

TEST(Json, SizeIsLimited) {
  auto value = parse_json("[1,2,3]", {.bytes_max = 6});
  ASSERT_FALSE(value.ok());
  EXPECT_EQ(value.error().code, ErrorCode::too_large);
}

TEST(Json, NumberOfValuesIsLimited) {
  EXPECT_TRUE(parse_json("[1,2,3]", {.values_max = 4}).ok());
  for (const char* text : {"[1,2,3,4]", "{\"a\":[{},{}],\"b\":0}"}) {
    auto value = parse_json(text, {.values_max = 4});
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_EQ(value.error().code, ErrorCode::too_large);
  }
}

TEST(Json, InvalidUtf8IsReplacedOnOutput) {
  EXPECT_EQ(to_json(Value(std::string("a\xff\xc3z\xe2\x82"))), "\"a\uFFFD\uFFFDz\uFFFD\uFFFD\"");
}

}  // namespace
}  // namespace kvasir
