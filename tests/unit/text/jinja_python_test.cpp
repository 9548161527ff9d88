#include <chrono>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "engine/text/chat_template.h"

namespace kvasir {
namespace {

std::string rendered(const std::string& source, TemplateLimits limits = {}) {
  const auto compiled = ChatTemplate::compile(source, limits);
  if (!compiled) return "error: " + compiled.error().message;
  const auto prompt = (*compiled)->render(Value::Object(), "2026-07-26T10:00:00");
  return prompt ? prompt->text() : "error: " + prompt.error().message;
}

void expect_all(std::initializer_list<std::pair<const char*, const char*>> cases) {
  for (const auto& [source, expected] : cases) EXPECT_EQ(rendered(source), expected) << source;
}

void expect_errors(std::initializer_list<const char*> sources) {
  for (const char* source : sources) EXPECT_EQ(rendered(source).substr(0, 7), "error: ") << source;
}

// All of what follows is what jinja2 3.1.6 gives in the environment of Transformers.

TEST(JinjaBlocks, StandWhereTheyAreAndBehindSelf) {
  expect_all({{"a{% block b %}x{% endblock %}c{{ self.b() }}", "axcx"},
              {"{% set v = 1 %}{% block b %}{{ v }}{% set v = 2 %}{% endblock b %}{{ v }}", "11"},
              {"{% for i in [1, 2] %}{% block b %}{{ i }}{% endblock %}{% endfor %}", ""},
              {"{% for i in [1, 2] %}{% block b scoped %}{{ i }}{% endblock %}{% endfor %}", "12"},
              {"[{{ self.none_such }}]", "[]"}});
  expect_errors({"{% block b %}{% endblock %}{% block b %}{% endblock %}", "{{ self.b() }}",
                 "{% for i in [1] %}{% block b %}{% break %}{% endblock %}{% endfor %}", "{% extends 'x' %}",
                 "{% import 'x' as y %}"});
  EXPECT_EQ(rendered("\n{% autoescape true %}{% endautoescape %}"),
            "error: template line 2: unknown or unsupported tag {% autoescape %}");  // jinja2 would escape
}

TEST(JinjaLoops, ElseIsForWhenNoItemWentThroughTheWholeBody) {
  expect_all({{"{% for i in [1, 2] %}{% continue %}{% else %}E{% endfor %}", "E"},
              {"{% for i in [1, 2] %}{{ i }}{% break %}{% else %}E{% endfor %}", "1E"},
              {"{% for i in [1, 2] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% else %}E{% endfor %}", "1"},
              {"{% for i in [] %}{% else %}E{% endfor %}", "E"}});
}

TEST(JinjaFormats, StrFormatAlignsAndRefusesAsPython) {
  expect_all({{"{{ '{:^5}|{:*^7}|{:>4}|{:<4}|'.format('ab', -1, 'é', 7) }}", " ab  |**-1***|   é|7   |"},
              {"{{ '{:06d}|{:<06d}|{:06.2f}|{:08}|'.format(5, 5, -1.5, 'ab') }}", "000005|500000|-01.50|ab000000|"},
              {"{{ '{:<5}|{:^5}|{}'.format(true, false, true) }}", "1    |  0  |True"},
              {"{{ '{:_}|{:,}|{:{}}|{!a}'.format(1234567, 1234567, 3, 4, 'é') }}", "1_234_567|1,234,567|   3|'\\xe9'"},
              {"{{ '{a}'.format_map({'a': 1}) }}", "1"}});
  expect_errors({"{{ '{:<5}'.format([]) }}", "{{ '{:+}'.format('a') }}", "{{ '{:,}'.format('a') }}",
                 "{{ '{:05d}'.format(1.5) }}", "{{ '{:s}'.format(1) }}", "{{ '{:5}'.format(none) }}"});
}

TEST(JinjaFormats, PercentAsPython) {
  expect_all({{"{{ '%c%c|%a|%r|%5.1f|%-4d|' % (65, 'b', 'é', 'é', 2.25, 3) }}", "Ab|'\\xe9'|'é'|  2.2|3   |"},
              {"{{ 'x' % missing }}[{{ '%s' % missing }}]", "x[]"}});
  expect_errors({"{{ '%c' % 'ab' }}", "{{ '%d' % 'a' }}", "{{ '%x' % 1.5 }}", "{{ 'x' % 1 }}"});
}

TEST(JinjaStrings, SearchesWithBounds) {
  expect_all({{"{{ 'éaéa'.find('a', 2) }}{{ 'éaéa'.rfind('a', 0, 3) }}{{ 'abc'.find('c', 0, -1) }}", "31-1"},
              {"{{ 'a,b,c'.count(',', 2) }}{{ 'aaa'.count('') }}{{ 'abc'.index('c', -1) }}", "142"},
              {"{{ 'abc'.startswith('b', 1) }}{{ 'abc'.endswith(('x', 'b'), 0, 2) }}{{ ''.startswith('', 1) }}",
               "TrueTrueFalse"}});
  const std::string long_needle = "'" + std::string(40, 'a') + "b" + std::string(40, 'a') + "'";
  EXPECT_EQ(rendered("{% set n = " + long_needle + " %}{{ ('x' ~ n ~ n ~ 'y').rfind(n) }}{{ n.rfind('c' * 30) }}"),
            "82-1");
}

TEST(JinjaStrings, OtherMethods) {
  expect_all({{"{{ 'a\\tbc\\td'.expandtabs(4) }}|{{ '\\t'.expandtabs(0) }}", "a   bc  d|"},
              {"{{ 'Ab Cd'.istitle() }}{{ 'AB'.istitle() }}{{ ''.isascii() }}{{ 'a_1'.isidentifier() }}"
               "{{ '1a'.isidentifier() }}{{ 'a\\n'.isprintable() }}",
               "TrueFalseTrueTrueFalseFalse"},
              {"{{ 'Straße'.casefold() }}", "strasse"},
              {"{{ 'a b/c'|urlencode }} {{ {'a b': 'c/d', 'e': 1}|urlencode }}", "a%20b/c a+b=c%2Fd&e=1"},
              {"<a{{ {'b': 1, 'c': none, 'd': '\"'}|xmlattr }}>", "<a b=\"1\" d=\"&#34;\">"},
              {"{{ 1|filesizeformat }} {{ 999|filesizeformat }} {{ 1500000|filesizeformat }} "
               "{{ 2048|filesizeformat(true) }}",
               "1 Byte 999 Bytes 1.5 MB 2.0 KiB"}});
  expect_errors({"{{ 'a'.center(5, 'xy') }}", "{{ 'a'.ljust(5, '') }}", "{{ 'a'|trim(1) }}"});
}

TEST(JinjaContainers, MethodsThatWouldChangeAreUndefined) {
  expect_all({{"{{ [].append is defined }}{{ {}.update is defined }}{{ {}.get is defined }}", "FalseFalseTrue"},
              {"{{ dict.fromkeys(['a', 'b'], 1) }}", "{'a': 1, 'b': 1}"},
              {"{{ {'a': 1}.keys() }}{{ {'a': 1}.values() }}{{ {'a': 1}.items() }}",
               "dict_keys(['a'])dict_values([1])dict_items([('a', 1)])"},
              {"{% set d = dict.fromkeys(range(20)) %}{{ 7.0 in d }}{{ true in d }}{{ 7.5 in d }}{{ none in d }}",
               "TrueTrueFalseFalse"}});
  expect_errors({"{{ [].append(1) }}", "{{ {'a': 1}.pop('a') }}", "{{ dict([[[], 1]]) }}"});
}

TEST(JinjaFilters, EdgesAsPython) {
  expect_all({{"{{ 1.5 is odd }}{{ 3.0 is odd }}{{ 4.0 is even }}", "FalseTrueTrue"},
              {"{{ +(-0.0) }} {{ 15|round(-1) }} {{ 7|round }}", "-0.0 20 7"},
              {"{{ []|slice(2, 'x')|list }}", "[['x'], ['x']]"},
              {"{{ [{}]|map(attribute='a', default=none)|list }}", "[Undefined]"}});
  expect_errors({"{{ [1]|reverse|last }}", "{{ [1]|select|last }}", "{{ ['a']|sum(start='') }}",
                 "{% filter length %}x{% endfilter %}", "{{ 1.5 ** 99999 }}"});
}

// Whatever is compared, found or repeated is paid for: no template takes long.
TEST(JinjaLimits, NothingTakesLong) {
  constexpr TemplateLimits kTenth{.steps_max = 500'000};
  const std::string twins =
      "{% set ns = namespace(a=(1,), b=(1,)) %}{% for i in range(60) %}{% set ns.a = (ns.a, ns.a) %}"
      "{% set ns.b = (ns.b, ns.b) %}{% endfor %}";
  const std::string big = "{% set s = 'a' * 30000000 %}{% set t = s ~ '' %}{% for i in range(100000) %}";
  const std::string sources[] = {
      twins + "{{ ns.a == ns.b }}",
      twins + "{{ ns.a < ns.b }}",
      twins + "{{ ns.a in [ns.b] }}",
      twins + "{{ {ns.a: 1}[ns.b] }}",
      twins + "{{ [ns.a].index(ns.b) }}",
      twins + "{{ [ns.a, ns.b]|sort }}",
      twins + "{{ [ns.a, ns.b]|unique|list }}",
      twins + "{{ ns.a|tojson }}",
      big + "{% set x = {s: 1}[t] %}{% endfor %}",
      big + "{% set x = [s] == [t] %}{% endfor %}",
      big + "{% set x = {s: 1} == {t: 1} %}{% endfor %}",
      big + "{% set x = d[s] %}{% set y = {}[s] %}{% endfor %}",
      big + "{% set x = s.count('a') %}{% endfor %}",
      "{% set s = 'é' * 1000000 %}{% for i in range(100000) %}{{ s[i] }}{{ s|length }}{% endfor %}",
      "{% for i in range(1000) %}{{ dict.fromkeys(range(100000)) }}{% endfor %}",
      "{% for i in range(99999) %}{% set x = ('a' * 9999).rfind('b' ~ 'a' * 5000) %}{% endfor %}",
      "{% for i in range(99999) %}{% set x %}{{ 'x' * 100000 }}{% endset %}{% endfor %}",
      "{{ '\\t'.expandtabs(1000000000) }}",
      "{{ 'x'|center(10 ** 9) }}",
      "{{ 'x'|indent(10 ** 9) }}",
      "{{ '{:1000000000}'.format(1)|length > 100000 or missing.x }}",
      "{% block b %}{{ self.b() }}{% endblock %}",
  };
  for (const std::string& source : sources) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(rendered(source, kTenth).substr(0, 21), "error: template line ") << source;
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(taken.count(), 5.0) << source;  // sanitizers are slow; a tenth of a second without
  }
}

TEST(JinjaLimits, ManyMessagesMayBeLookedThroughForEachOfThem) {
  Value::Object variables;
  variables.set("messages", Value::Array(400, "x"));
  const auto compiled = ChatTemplate::compile(
      "{% for m in messages %}{% for n in messages %}{% endfor %}{% endfor %}done", {.steps_max = 100'000});
  ASSERT_TRUE(compiled.ok());
  EXPECT_TRUE((*compiled)->render(variables, "2026-07-26T10:00:00").ok());
  variables.set("messages", Value::Array(2000, "x"));
  EXPECT_FALSE((*compiled)->render(variables, "2026-07-26T10:00:00").ok());
}

}  // namespace
}  // namespace kvasir
