#include "engine/text/chat_template.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "gateway/json/json.h"

namespace kvasir {
namespace {

constexpr const char* kNow = "2026-07-26T10:00:00";

Value variables(const std::string& json) {
  auto value = parse_json(json);
  if (!value) throw std::runtime_error(value.error().message);
  return *value;
}

Result<PromptText> render(const std::string& source, const std::string& json = "{}", TemplateLimits limits = {}) {
  auto compiled = ChatTemplate::compile(source, limits);
  if (!compiled) return compiled.error();
  return (*compiled)->render(variables(json), kNow);
}

std::string rendered(const std::string& source, const std::string& json = "{}") {
  auto prompt = render(source, json);
  return prompt ? prompt->text() : "error: " + prompt.error().message;
}

// "T" and "D" segments: of the template and of the data.
std::string origins(const std::string& source, const std::string& json) {
  auto prompt = render(source, json);
  if (!prompt) return "error: " + prompt.error().message;
  std::string out;
  for (const TextSegment& segment : prompt->segments) out += (segment.from_template ? "T(" : "D(") + segment.text + ")";
  return out;
}

// What jinja2 3.1 gives for each.
TEST(ChatTemplate, WhiteSpaceControl) {
  EXPECT_EQ(rendered("  {% if true %}\n  yes\n  {% endif %}\nend\n"), "  yes\nend");
  EXPECT_EQ(rendered("  {%- if true -%}\n  yes\n  {%- endif -%}\n end\n"), "yesend");
  EXPECT_EQ(rendered("  {%+ if true +%}\n  yes\n  {%+ endif +%}\n end\n\n"), "  \n  yes\n  \n end\n");
  EXPECT_EQ(rendered("a\n  {{ 1 }}  \n  b"), "a\n  1  \n  b");
  EXPECT_EQ(rendered("a\n  {# c #}\n  b\n"), "a\n  b");
  EXPECT_EQ(rendered("a {%- raw -%}  {{ x }}  {%- endraw -%}  b"), "a{{ x }}b");
  EXPECT_EQ(rendered("a\r\nb\r{{ 'x\r\ny' }}\n"), "a\nb\nx\ny");
}

TEST(ChatTemplate, LoopsMacrosScopes) {
  EXPECT_EQ(rendered("{% set x = 1 %}{% for i in [3,4] %}{% set x = i %}{{ x }}{% endfor %}{{ x }}"), "341");
  EXPECT_EQ(rendered("{% for i in [1,2,3] if i > 1 %}{{ loop.index }}/{{ loop.length }}:{{ i }} {% endfor %}"),
            "1/2:2 2/2:3 ");
  EXPECT_EQ(rendered("{% set ns = namespace(f=false) %}{% for i in [1,2] if not ns.f %}{{ i }}{% set ns.f = true %}"
                     "{% endfor %}"),
            "1");
  EXPECT_EQ(rendered("{% macro m(a, b=2, c=a) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(b=3, a=4) }}"),
            "[121][434]");
  EXPECT_EQ(rendered("{% macro m() %}<{{ caller(3) }}>{% endmacro %}{% call(x) m() %}b{{ x }}{% endcall %}"), "<b3>");
  EXPECT_EQ(rendered("{% macro m() %}{{ y }}{% endmacro %}{% set y = 5 %}{{ m() }}{% set y = 6 %}{{ m() }}"), "56");
  EXPECT_EQ(rendered("{% for i in [1,2,3,4] %}{% if i == 2 %}{% continue %}{% elif i == 4 %}{% break %}{% endif %}"
                     "{{ i }}{% endfor %}"),
            "13");
  EXPECT_EQ(rendered("{% for x in [1,[2,[3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}"
                     "{% endif %}{% endfor %}"),
            "1(2(3))");
}

TEST(ChatTemplate, GenerationTagsAreIgnored) {
  EXPECT_EQ(rendered("a{% generation %}b{% set x = 1 %}{% endgeneration %}c{{ x is defined }}"), "abcFalse");
}

TEST(ChatTemplate, ExpressionsAsPython) {
  EXPECT_EQ(rendered("{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 1 / 2 }} {{ 2 ** 10 }} {{ -0.0 }} {{ 1e16 }}"),
            "3 -4 2 0.5 1024 -0.0 1e+16");
  EXPECT_EQ(rendered("{{ 'abc'[::-1] }}{{ 'äöü'[1:] }}{{ 'x' in 'xyz' }}{{ 1 < 2 < 3 }}{{ not none }}"),
            "cbaöüTrueTrueTrue");
  EXPECT_EQ(rendered("{{ [1, 'a', none, {'b': 1.5}] }}{{ (1,) }}{{ \"it's\" ~ ['it\\'s'] }}"),
            "[1, 'a', None, {'b': 1.5}](1,)it's[\"it's\"]");
  EXPECT_EQ(rendered("{{ '%05.1f|%-4s|' % (3.14159, 'x') }}{{ '{:>4}{!r}'.format('a', 'b') }}"), "003.1|x   |   a'b'");
  EXPECT_EQ(rendered("{{ \"they're (bill's)\"|title }}"), "They're (Bill's)");
  EXPECT_EQ(rendered("{{ [1][::2] }}{{ 'ab1' is lower }}{{ '1' is lower }}"), "[1]TrueFalse");
  EXPECT_EQ(rendered("{{ '%s' % ['a'] }}{{ 'b' % ['a'] }}"), "['a']b");
  EXPECT_EQ(rendered("{{ ('<'|safe) + '<' }}{{ ('<'|safe) ~ '<' }}"), "<&lt;<<");
}

TEST(ChatTemplate, NumbersKeepTheirTextInJson) {
  const char* data = R"({"v": {"a": 1.0, "b": 1e5, "c": 12345678901234567890123, "d": 0.10, "ü": "é\n\"<"}})";
  EXPECT_EQ(rendered("{{ v|tojson }}", data),
            R"({"a": 1.0, "b": 1e5, "c": 12345678901234567890123, "d": 0.10, "ü": "é\n\"<"})");
  EXPECT_EQ(rendered("{{ v.b + 1 }} {{ v.c is integer }} {{ v.d is float }}", data), "100001.0 True True");
}

TEST(ChatTemplate, OriginsFollowStrings) {
  const char* data = R"({"m": "  <|im_end|>,b ", "bos_token": "<s>", "l": ["x", "y"]})";
  EXPECT_EQ(origins("{{ bos_token }}a{{ m }}b", data), "T(<s>a)D(  <|im_end|>,b )T(b)");
  EXPECT_EQ(origins("{{ '<' + m|trim + '>' }}", data), "T(<)D(<|im_end|>,b)T(>)");
  EXPECT_EQ(origins("{{ m.split(',')[1]|upper ~ '!' }}", data), "D(B )T(!)");
  EXPECT_EQ(origins("{{ m.replace('b', 'c')[3:5] }}", data), "D(|i)");
  EXPECT_EQ(origins("{{ '[b]'.replace('b', m|trim) }}", data), "T([)D(<|im_end|>,b)T(])");
  EXPECT_EQ(origins("{{ l|join('<|im_end|>') }}", data), "D(x)T(<|im_end|>)D(y)");
  EXPECT_EQ(origins("{% macro f(t) %}<{{ t }}>{% endmacro %}{{ f(l[0]) }}", data), "T(<)D(x)T(>)");
  EXPECT_EQ(origins("{% set x %}<{{ l[0] }}>{% endset %}{{ x|upper }}", data), "T(<)D(X)T(>)");
  EXPECT_EQ(origins("{{ {'k': m}|tojson }}", data), R"(D({")T(k)D(": "  <|im_end|>,b "}))");
  EXPECT_EQ(origins("{{ '{}:{}'.format('a', l[1]) }}{{ '%s' % m|trim }}", data), "T(a:)D(y<|im_end|>,b)");
  EXPECT_EQ(origins("<|r_{{ 1 + 2 }}|>", data), "T(<|r_3|>)");
  EXPECT_EQ(origins("{{ m|list|join }}{{ m|reverse|length }}", data), "D(  <|im_end|>,b )T(15)");
}

TEST(ChatTemplate, TemplateRefusesInItsOwnWords) {
  auto prompt = render("{{ raise_exception('roles must ' ~ 'alternate') }}");
  ASSERT_FALSE(prompt.ok());
  EXPECT_EQ(prompt.error().message, "roles must alternate");
  EXPECT_EQ(prompt.error().code, ErrorCode::invalid_argument);
}

TEST(ChatTemplate, ErrorsNameLineAndConstruct) {
  const std::pair<const char*, const char*> cases[] = {
      {"a\n{{ x.y.z }}", "line 2: 'x' is undefined"},
      {"\n\n{{ 'a' + none }}", "line 3: can only concatenate str (not \"NoneType\")"},
      {"{{ [].append(1) }}", "line 1: 'append' of a list is not allowed in templates"},
      {"{% for x in 5 %}{% endfor %}", "line 1: 'int' object is not iterable"},
      {"{{ 5|items }}", "line 1: can only get item pairs"},
      {"\n{{ 'a'|nope }}", "line 2: no filter named 'nope'"},
      {"\n{{ 1 is nope }}", "line 2: no test named 'nope'"},
      {"\n{% include 'x' %}", "line 2: unknown or unsupported tag {% include %}"},
      {"\n{% if x %}", "ends without {% endif %}"},
      {"\n{{ 'abc }}", "line 2: string without its closing quote"},
      {"\n{{ (1 }}", "unexpected '}'"},
      {"{{ 1 + }}", "line 1: expected an expression"},
      {"{% set %}", "line 1: expected a name to assign to"},
      {"{{ a b }}", "line 1: expected '}}', not 'b'"},
      {"{{ 9223372036854775807 + 1 }}", "integer too large"},
      {"{{ 1 // 0 }}", "division by zero"},
      {"{% set x = 5 %}{{ x[1:] }}", "'int' object cannot be sliced"},
      {"{{ 'abc'['x':] }}", "the parts of a slice must be integers, not str"},
      {"{{ 5|indent }}", "filter 'indent' needs a string"},
      {"{{ [{}, {}]|unique|list }}", "filter 'unique' cannot compare a dict"},
      {"{{ [] in {} }}", "unhashable type: 'list'"},
      {"{{ (0).x.y }}", "'int object' has no attribute 'x'"},
  };
  for (const auto& [source, message] : cases)
    EXPECT_NE(rendered(source).find(message), std::string::npos) << source << " gave " << rendered(source);
}

TEST(ChatTemplate, UnknownFiltersInConditionsFailOnlyWhenUsed) {
  EXPECT_EQ(rendered("{% if false %}{{ 'a'|nope }}{% endif %}ok"), "ok");
  EXPECT_NE(rendered("{% if true %}{{ 'a'|nope }}{% endif %}").find("no filter named 'nope'"), std::string::npos);
}

// Each of these would otherwise run for ever, fill the memory or overflow the stack.
TEST(ChatTemplate, LimitsHold) {
  const auto repeat = [](const std::string& unit, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += unit;
    return out;
  };
  const std::string hostile[] = {
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f(n) %}{% for i in [1,2] %}{{ f(n+1) }}{% endfor %}{% endmacro %}{{ f(0) }}",
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
      "{% set ns = namespace(s='x') %}{% for i in range(99999) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(99999) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(99999) %}{% set ns.s = [ns.s] %}{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(99999) %}{% set ns.s = [ns.s.index] %}{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(99999) %}{% set ns.s = {'a': ns.s} %}{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(99999) %}{% set ns.s = cycler(ns.s) %}{% endfor %}{{ [ns.s] }}",
      "{{ 'x' * 99999999999 }}",
      "{{ [1] * 99999999999 }}",
      "{{ 'x'.center(99999999999) }}",
      "{{ '%99999999999d' % 1 }}{{ '{:99999999999}'.format(1) }}" + repeat("{{ 'a'.zfill(60000000) }}", 9),
      "{{ range(99999)|list|tojson(indent=1000) }}",
      "{% for i in range(99999) %}{{ 'aaaaaaaaaa'|replace('a', 'b' * 100000) }}{% endfor %}",
      repeat("{{ (", 5000) + "1" + repeat(")", 5000) + " }}",
      "{{ " + repeat("(", 100000),
      "{{ " + repeat("[", 100000),
      "{{ " + repeat("not ", 100000) + "1 }}",
      "{{ " + repeat("-", 100000) + "1 }}",
      "{{ 1" + repeat(" + 1", 100000) + " }}",
      "{{ 1" + repeat("|abs", 100000) + " }}",
      "{{ a" + repeat(".b", 100000) + " }}",
      "{{ 1" + repeat(" if 1 else 1", 100000) + " }}",
      repeat("{% if 1 %}", 100000),
      repeat("{% for x in y %}", 100000),
      "{% set " + repeat("(", 100000),
  };
  for (const std::string& source : hostile) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(render(source).ok()) << source.substr(0, 80);
    const double taken = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    EXPECT_LT(taken, 20.0) << source.substr(0, 80);  // sanitizers are slow
  }
}

TEST(ChatTemplate, NamespacesMayHoldEachOther) {
  EXPECT_EQ(rendered("{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}{{ a.b.a.b is defined }}"),
            "True");
}

TEST(ChatTemplate, OutputIsLimited) {
  TemplateLimits limits;
  limits.output_bytes_max = 10;
  EXPECT_TRUE(render("0123456789", "{}", limits).ok());
  EXPECT_FALSE(render("0123456789a", "{}", limits).ok());
}

// Arguments of a tool call that somebody parsed from text.
Value call_with_source(const std::string& source) {
  Value::Object arguments = *variables(source).as_object();
  arguments.source = std::make_shared<const std::string>(source);
  Value::Object call;
  call.set("name", "f");
  call.set("arguments", std::move(arguments));
  Value::Object all;
  all.set("call", std::move(call));
  return all;
}

std::string rendered(const std::string& source, const Value& values) {
  const auto compiled = ChatTemplate::compile(source);
  const auto prompt = (*compiled)->render(values, kNow);
  return prompt ? prompt->text() : "error: " + prompt.error().message;
}

TEST(ChatTemplate, TojsonPrintsTheSourceOfParsedArguments) {
  const Value values = call_with_source("{\"b\" :[1.50,{\"c\":2}], \"a\":\"\\u00e9\"}");
  EXPECT_EQ(rendered("{{ call.arguments | tojson }}", values), "{\"b\" :[1.50,{\"c\":2}], \"a\":\"\\u00e9\"}");
  EXPECT_EQ(rendered("{{ call | tojson }}", values),
            "{\"name\": \"f\", \"arguments\": {\"b\" :[1.50,{\"c\":2}], \"a\":\"\\u00e9\"}}");
  EXPECT_EQ(rendered("{{ call.arguments | tojson(indent=none, ensure_ascii=false) }}", values),
            "{\"b\" :[1.50,{\"c\":2}], \"a\":\"\\u00e9\"}");
}

TEST(ChatTemplate, SourceIsNotSeenOtherwise) {
  const Value values = call_with_source("{\"b\" :[1.5,{\"c\":2}], \"a\":\"\\u00e9\"}");
  EXPECT_EQ(rendered("{{ call.arguments | tojson(sort_keys=true) }}", values),
            "{\"a\": \"é\", \"b\": [1.5, {\"c\": 2}]}");
  EXPECT_EQ(rendered("{{ call.arguments | tojson(separators=(',', ':')) }}", values),
            "{\"b\":[1.5,{\"c\":2}],\"a\":\"é\"}");
  EXPECT_EQ(rendered("{{ call.arguments | tojson(ensure_ascii=true) }}", values),
            "{\"b\": [1.5, {\"c\": 2}], \"a\": \"\\u00e9\"}");
  EXPECT_EQ(rendered("{{ call.arguments.b | tojson }}", values), "[1.5, {\"c\": 2}]");
  EXPECT_EQ(rendered("{{ dict(call.arguments) | tojson }}", values), "{\"b\": [1.5, {\"c\": 2}], \"a\": \"é\"}");
  EXPECT_EQ(rendered("{{ call.arguments }}", values), "{'b': [1.5, {'c': 2}], 'a': 'é'}");
  EXPECT_EQ(rendered("{{ call.arguments == {'a': 'é', 'b': [1.5, {'c': 2}]} }}", values), "True");
  Value::Object changed = *call_with_source("{\"a\":1}").find("call")->find("arguments")->as_object();
  changed.set("b", std::int64_t{2});
  EXPECT_EQ(changed.source, nullptr);
}

}  // namespace
}  // namespace kvasir
