"""Writes jinja.<series>.json: what Salt's own template engine makes of the templates below.

Run once per series with the Python of its virtual environment: `python make_jinja.py > jinja.3008.json`.
"""
import json
import logging
import os
import shutil
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

import salt.config
import salt.exceptions
import salt.fileclient
import salt.loader
import salt.utils.templates

FILES = {
    "lib/macros.jinja": "{% macro hello(who, mark='!') -%}\nhello {{ who }}{{ mark }}{% if caller is defined %}{{ caller() }}{% endif %}\n{%- endmacro %}\n{% set answer = 42 %}\n{% set table = {'a': [1, 2]} %}\n",
    "lib/data.yaml": "a: 1\nb: [x, {c: yes}]\nid: {{ grains.id }}\n",
    "lib/data.json": '{"a": [1, 2.5, null, true], "os": "{{ grains.os }}"}',
    "lib/text.txt": "line {{ grains.id }}\nmore\n",
    "lib/part.jinja": "part of {{ sls }} in {{ tpldir }}{% set inner = 1 %}",
    "web/sibling.jinja": "{% set near = 'by' %}",
}

EXPRESSIONS = r"""
1 + 1 | 7 // 2 | 7 / 2 | 7 % 3 | 2 ** 5 | -3 | 1.5 + 1 | 'a' ~ 1 ~ none ~ true | 'a' * 3 | [1] + [2] | [1] * 2 | 1 < 2 | 1 == 1.0 | 'a' in 'abc' | 1 in [1] | 'x' not in {'y': 1}
true | false | none | True | None | [true, none, 'x', 1.0] | {'a': true, 'b': none, 'c': 'it''s'} | (1, 2) | (1,) | () | {} | [] | '' | 'é' | "it's" | 'a"b' | {'k': "it's"} | {'k': 'é'} | {1: 2} | [[], {}] | 1e100 | 0.1 + 0.2 | 100000000000000000
'abc'[0] | 'abc'[-1] | 'abc'[1:] | [1, 2, 3][1:] | [1, 2, 3][-1] | [1, 2, 3][::-1] | 'abc' | upper | 'ABC'|lower | 'a b'|title | 'abc'|capitalize | ' a '|trim | 'a,b'.split(',') | ','.join(['a', 'b']) | 'abc'.replace('b', 'x') | 'abc'.startswith('a') | 'a-b'.partition('-') | 'Abc'.swapcase() | 'abc'.center(7) | 'x'.rjust(3, '0') | '7'.zfill(3) | '{0}-{b}'.format(1, b=2) | '%s=%d' % ('a', 1) | '%s' % 'a' | 'abc'|length | 'a b c'.split() | 'a\nb'.splitlines() | 'abc'.index('b') | 'aXbX'.count('X') | 'abc'.isalpha() | '12'.isdigit() | 'a'|default('b') | nope|default('b') | ''|default('b', true) | none|default('b') | 'a'|d('z')
[3, 1, 2]|sort | [3, 1, 2]|sort(reverse=true) | ['b', 'A', 'c']|sort | ['b', 'A']|sort(case_sensitive=true) | [{'n': 2}, {'n': 1}]|sort(attribute='n') | {'b': 1, 'a': 2}|dictsort | {'b': 1, 'a': 2}|dictsort(by='value') | [1, 2, 3]|sum | [1, 2]|join('-') | [1, 2, 3]|first | [1, 2, 3]|last | [1, 2, 3, 4]|batch(2)|list | [1, 2, 3]|slice(2)|list | [1, 2, 3]|reverse|list | 'abc'|reverse | [1, none, 2]|select|list | [1, 2, 3]|select('odd')|list | [1, 2, 3]|reject('odd')|list | [{'a': 1}, {'a': 0}]|selectattr('a')|list | [{'a': 1}, {'a': 2}]|map(attribute='a')|list | ['a', 'b']|map('upper')|list | [{'a': 1, 'b': 2}, {'a': 1, 'b': 3}]|groupby('a')|list | 'x'|list | {'a': 1}|list | range(3)|list | range(1, 7, 2)|list | 3.7|int | '12'|int | 'x'|int | 'x'|int(5) | '1.5'|float | 3.14159|round(2) | 3.5|round | -2|abs | 5|string | 'a b'|urlencode | '<a>'|e | '<a>'|escape | [1, 2]|min | [1, 2]|max | 'a b c'|wordcount | 'hello world foo'|truncate(9) | 'hello world'|wordwrap(5) | 'x\ny'|indent(2) | 'x\ny'|indent(2, true) | 1000000|filesizeformat | {'a': 1}|tojson | [1, 'é']|tojson | {'b': 1, 'a': [1, none]}|json | {'b': 1, 'a': 2}|json(sort_keys=false) | {'a': [1]}|json(indent=2) | {'a': [1, 'x'], 'b': {'c': none}}|yaml | {'a': [1, 'x'], 'b': {'c': none}}|yaml(false) | ['a', 'yes', '1']|yaml | 'a: b'|yaml | 'text'|yaml | 5|yaml | {'a': 'x', 'b': [1]}|python | {'a': 1}|xml | [1, 2]|pprint | 'a'|list|length | [1, 2, 2, 'a', 'a']|unique | {'a': 1}|items|list | [['a', 1]]|items|list | 'abc'|replace('a', 'x') | 'x'|format | '%s-%s'|format('a', 'b') | 'a'|attr('upper') | {'a': 1}|attr('a') | 'a b'|wordcount | 'a'|center(5) | [1, 2]|random in [1, 2] | 'http://x.y'|urlize | '<b>x</b>'|striptags | 'x'|safe | 'x'|forceescape
'yes'|to_bool | 'on'|to_bool | 2|to_bool | 0|to_bool | [0]|to_bool | none|to_bool | 'TRUE'|to_bool | 'a b'|quote | 'ab'|quote | "it's"|quote | 'a.b*c'|regex_escape | 'abcd'|regex_search('^(.*)bc(.*)$') | 'abcd'|regex_search('bc') | 'abcd'|regex_match('bc') | 'abcd'|regex_match('a(b)') | 'ABcd'|regex_search('b(c)', ignorecase=true) | 'lets replace spaces'|regex_replace('\s+', '__') | 'aXb'|regex_replace('(x)', '<\\1>', ignorecase=true) | 'a1b2'|regex_replace('[0-9]', '') | 'example'|uuid | 'abc'|md5 | 'abc'|sha1 | 'abc'|sha256 | 'abc'|sha512 | 'abc'|base64_encode | 'YWJj'|base64_decode | 'abc'|hmac_compute('key') | 'abc'|hmac('key', 'nDRjpsVwVsBQzjtfUyWlSrpuHbvqVJ5sjHOdlsUIkq0=') | 'a b'|contains_whitespace | 'ab12'|is_hex | 'xyz'|is_hex | '5'|str_to_num | '5.5'|str_to_num | 'x'|to_num | 'snake_case_me'|to_camelcase | 'snake_case'|to_camelcase(uppercamel=true) | 'camelCaseMe'|to_snake_case | 'HTTPServer'|to_snake_case | 'a: b'|yaml_dquote | 'a\nb'|yaml_dquote | "it's"|yaml_squote | 'x'|yaml_encode | true|yaml_encode | 5|yaml_encode | none|yaml_encode | 'abc'|to_bytes | [1, 2, 3]|avg | [1, 2, 3, 4]|union([2, 4, 6]) | [1, 2, 3, 4]|intersect([2, 4, 6]) | [1, 2, 3, 4]|difference([2, 4, 6]) | [1, 2, 3, 4]|symmetric_difference([2, 4, 6]) | [1, [2, [3, [4]]]]|flatten | [1, [2, [3]]]|flatten(levels=1) | [1, none, [none, 2]]|flatten | [3, 1]|is_list | 'x'|is_iter | [1]|is_iter | 'b'|substring_in_list(['abc']) | ['yes', '', 0]|exactly_one_true | ['yes', 1, 0]|exactly_n_true(2) | ['Xyz', 'abc']|sorted_ignorecase | {'a': 'b'}|compare_dicts({'a': 'c'}) | [1, 2]|compare_lists([1, 3]) | 'x'|sequence | [1]|sequence | 'x'|skip | {'a': {'b': {'c': 5}}}|traverse('a:b:c') | {'a': [{'b': 1}]}|traverse('a:0:b') | {'a': 1}|traverse('x:y', 'no') | '192.168.0.1'|is_ip | '::1'|is_ip | 'x'|is_ip | '10.0.0.1'|is_ipv4 | '::1'|is_ipv4 | '::1'|is_ipv6 | ['192.168.0.1', 'foo', '::1']|ipaddr | ['192.168.0.1', 'foo', '::1']|ipv4 | ['192.168.0.1', 'foo', '::1']|ipv6 | '192.168.0.12/24'|ip_host | '192.168.0.0/30'|network_hosts | '192.168.0.0/24'|network_size | '::1'|ipwrap | ['1.2.3.4', '::1']|ipwrap | '00:11:22:33:44:55'|mac_str_to_bytes|length | {}|set_dict_key_value('a:b', 1) | {'a': {'b': {}}}|update_dict_key_value('a:b', {'c': 1}) | {'a': {'b': []}}|append_dict_key_value('a:b', 7) | {'a': {'b': [1]}}|extend_dict_key_value('a:b', [2, 3]) | {'a': 1}|to_entries | [{'key': 'a', 'value': 1}]|from_entries | {'a': 1, 'b': [2]}|dict_to_sls_yaml_params | 1457456400|strftime | 1457456400|strftime('%Y') | 1457456400|date_format | '1K'|human_to_bytes | '2 MiB'|human_to_bytes | 'a'|method_call('upper') | 'a b'|method_call('split') | [1, 2]|zip(['a', 'b'])|list | [1, 2]|zip_longest([3])|list | [1, 2, 3]|combinations(2)|list | [1, 2]|permutations|list | [1, 2]|product(['a'])|list | ['a', 'b']|compress([1, 0])|list | [1, 2]|combinations_with_replacement(2)|list | '{"a": [1]}'|load_json | 'a: [1, yes]'|load_yaml | 'x'|load_text | ['a', 'b']|json_encode_list | {'a': 'b'}|json_decode_dict | '/a'|path_join('b', 'c') | ['10.0.0.5', '192.168.1.1']|filter_by_networks(['10.0.0.0/8']) | 'foo'|check_whitelist_blacklist(whitelist=['f*']) | 'abc'|random_hash|length
'a' is string | 1 is number | [] is iterable | {} is mapping | [] is sequence | 'x' is sequence | none is none | 5 is odd | 4 is even | 6 is divisibleby 3 | 'abc' is lower | 'ABC' is upper | nope is defined | nope is undefined | 'a' is sameas 'a' | 1 is eq 1 | 1 is in [1] | 1.5 is float | 1 is integer | true is boolean | 'abc' is match('a.c') | 'xabc' is match('abc') | 'ABC' is match('abc', ignorecase=True) | 1 is equalto 1 | [1] is list | 'x' is list | (1, 2) is list | cycler is callable | 'upper' is filter | 'odd' is test | 2 is gt 1 | 'a' is not string
'yes' if true else 'no' | 'yes' if false | nope is defined and nope | not true | 1 if 0 else 2 | 'a' or 'b' | '' or 'b' | none or 0 | 'a' and 'b' | 1 < 2 < 3
pillar.name | pillar['list'][1] | pillar.map.get('b') | pillar.map.get('z', 'd') | pillar.map.items()|list | pillar.map.keys()|list | pillar.map.values()|sort | pillar.map | pillar.list | pillar.nested | pillar.get('nope', {}).get('x', 1) | pillar.text | pillar.multi | pillar.map|length | 'a' in pillar.map | pillar.list|join(', ') | pillar.flag | pillar.none | pillar.num + 1 | pillar.nested.deep[0].k | pillar.map|tojson | pillar.nested|yaml | pillar.nested|yaml(false) | pillar.nested|json | pillar.users|map(attribute='name')|join(',') | pillar.users|selectattr('admin')|map(attribute='name')|list | pillar.map.update({'zz': 1}) | grains.os | grains['id'] | grains.get('ip', ['none'])[0] | opts.id | saltenv | sls | slspath | tpldir | tplfile | tpldot | slsdotpath | slscolonpath | sls_path
salt['test.echo']('x') | salt.test.echo('y') | salt['test.arg'](1, a='b') | 'test.echo' in salt | 'no.such' in salt | salt['pillar.get']('map:a') | salt['grains.get']('os') | salt['test.echo']([1, {'a': 2}]) | salt['test.echo'](none) is none
namespace(a=1).a | dict(a=1, b=2) | dict(a=1).a | [x for x in []] | joiner(', ') is defined | cycler('a', 'b').next() | lipsum is defined | loop is defined | self is defined | varargs is defined
pillar.nope | nope | nope.x | pillar.map.nope | pillar['nope']['x'] | nope() | salt['no.such']() | salt.no.such() | 'x'|nofilter | 'x' is notest | pillar.list[9] | {}.a | ''.x | none.x | 1.x | [].x | 'a' + 1 | 1 / 0 | [1] + 'a' | 'x'|int.y | nope|upper | nope|length | nope in [1] | nope == 1 | nope ~ 'x' | nope[0] | 1 + nope
"""

TEMPLATES = [
    "plain text\n", "", "\n", "no newline", "two newlines\n\n", "{# comment #}x\n", "{% raw %}{{ x }}{% endraw %}\n", "a{# c\nd #}b{{ 1 }}\n",
    "{% if pillar.flag %}\nyes\n{% else %}\nno\n{% endif %}\n", "{%- if true -%}\n  x  \n{%- endif -%}\ny\n", "{% if false %}a{% elif true %}b{% endif %}",
    "{% for x in [1, 2, 3] %}{{ loop.index }}:{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}\n", "{% for x in [] %}a{% else %}empty{% endfor %}",
    "{% for k, v in pillar.map.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in pillar.map|dictsort %}{{ k }}={{ v }};{% endfor %}", "{% for k in pillar.map %}{{ k }}{% endfor %}",
    "{% for x in range(5) %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in [1, 2, 3, 4] if x is even %}{{ x }}{% endfor %}", "{% for x in 'abc' %}{{ loop.index0 }}{{ x }}{{ loop.first }}{{ loop.length }}{{ loop.revindex }}{{ loop.cycle('o', 'e') }} {% endfor %}",
    "{% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %}", "{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{% endif %}{% endfor %}",
    "{% for x in [1, 2] %}{{ loop.previtem|default('-') }}{{ loop.nextitem|default('-') }}{% endfor %}", "{% for x in [1,1,2] %}{{ loop.changed(x) }} {% endfor %}",
    "{% set a = 1 %}{% set b, c = 2, 3 %}{{ a }}{{ b }}{{ c }}", "{% set x %}block {{ 1 }}{% endset %}{{ x }}", "{% set x | upper %}block{% endset %}{{ x }}",
    "{% set ns = namespace(n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}", "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set l = [] %}{% for i in range(3) %}{% do l.append(i * i) %}{% endfor %}{{ l }}", "{% set d = {} %}{% do d.update({'a': 1}) %}{% do d.setdefault('b', []).append(2) %}{{ d }}", "{% set l = [3, 1, 2] %}{% do l.sort() %}{{ l }}{{ l.pop() }}{{ l }}{{ l.index(2) }}",
    "{% set l = [1, 2] %}{% do l.insert(0, 'a') %}{% do l.remove(2) %}{% do l.extend(['x']) %}{% do l.reverse() %}{{ l }}{{ l.count('a') }}", "{% set d = {'a': 1, 'b': 2} %}{{ d.pop('a') }}{{ d }}{% set e = d.copy() %}{% do e.update(c=3) %}{{ d }}{{ e }}",
    "{% set a = [1] %}{% set b = a %}{% do b.append(2) %}{{ a }}", "{% set d = {'l': [1]} %}{% do d.l.append(2) %}{{ d.l }}", "{% set l = 'a,b'.split(',') %}{% do l.append('c') %}{{ l }}", "{% set l = [2, 1]|sort %}{% do l.append(3) %}{{ l }}", "{% set l = range(2)|list %}{% do l.append(3) %}{{ l }}",
    "{% set l = pillar.list %}{% do l.append('new') %}{{ pillar.list }}", "{% set d = dict(a=1) %}{% do d.update({'b': 2}) %}{{ d }}", "{% set l = ([1] + [2]) %}{% do l.append(3) %}{{ l }}", "{% set l = {'a': 1}.keys()|list %}{% do l.append('b') %}{{ l }}",
    "{% macro m(a, b=2) %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, b=3) }}{{ m(a=5) }}", "{% macro m() %}{{ caller('x') }}{% endmacro %}{% call(y) m() %}<{{ y }}>{% endcall %}", "{% macro m(x) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, z=3) }}",
    "{% macro list(n) %}{% if n > 0 %}{{ n }}{{ list(n - 1) }}{% endif %}{% endmacro %}{{ list(3) }}", "{% macro m() %}{{ outer }}{% endmacro %}{% set outer = 1 %}{{ m() }}",
    "{% from 'lib/macros.jinja' import hello %}{{ hello('you') }}", "{% from 'lib/macros.jinja' import hello as hi, answer with context %}{{ hi('a', '?') }}{{ answer }}", "{% import 'lib/macros.jinja' as m %}{{ m.hello('x') }}{{ m.answer }}{{ m.table.a }}",
    "{% from './sibling.jinja' import near %}{{ near }}", "{% from '../lib/macros.jinja' import answer %}{{ answer }}", "{% include 'lib/part.jinja' %}\n{{ inner is defined }}\n", "{% include 'nope.jinja' ignore missing %}x", "{% include ['nope.jinja', 'lib/part.jinja'] %}", "{% include 'nope.jinja' %}",
    "{% set v = 5 %}{% include 'lib/part.jinja' with context %}", "{% import_yaml 'lib/data.yaml' as d %}{{ d.a }}{{ d.b }}{{ d.id }}", "{% import_json 'lib/data.json' as d %}{{ d }}", "{% import_text 'lib/text.txt' as t %}{{ t }}|", "{% import_yaml 'nope.yaml' as d %}",
    "{% load_yaml as d %}\na: [1, 2]\nb: {{ pillar.name }}\n{% endload %}{{ d.a[1] }}{{ d.b }}", "{% load_json as d %}{\"a\": {{ 1 + 1 }}}{% endload %}{{ d.a }}", "{% load_text as t %}x {{ 1 }}{% endload %}{{ t }}", "{% load_yaml as d %}\na: b: c\n{% endload %}",
    "{% profile as 'p' %}inside{% endprofile %}", "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}", "{% filter upper %}abc {{ 'x' }}{% endfilter %}", "{% do salt['test.echo'](1) %}x", "{{ raise('custom') }}", "{{ 'a' if }}", "{{ }}", "{% if %}{% endif %}", "{% endif %}", "{% if true %}", "{% foo %}", "{{ 1 + }}", "{{ 'abc }}", "{% for x in %}{% endfor %}", "{{ [1, 2 }}", "{% set %}", "{% block a %}x{% endblock %}", "{% extends 'lib/part.jinja' %}", "{{ {'a': 'l1\nl2', 'b': ['l1\nl2']} }}", "{{ [{'a': 'x\ty'}] }}",
    "{%+ if true %}x{% endif %}", "   {% if true %}\n  a\n   {% endif %}\nb\n", "{{ '{{' }}{{ '}}' }}", "a {{- 'b' -}} c", "{{ \"a\\nb\" }}", "{{ 'a\\tb' }}", "é {{ 'ü' }}\n", "{{ 'x' }}\r\n{{ 'y' }}\r\n", "{% set x = 'a'\n  'b' %}{{ x }}", "{{ 1 }}{{ 2 }}\n{% set y = 3 -%}\n  {{ y }}\n",
    "{%- set vals = {'a': {'b': 1}} %}\n{%- for k, v in vals.items() %}\n{{ k }}:\n  {%- for kk, vv in v.items() %}\n  - {{ kk }}: {{ vv }}\n  {%- endfor %}\n{%- endfor %}\n", "{% set x = pillar.get('list', [])|length > 2 %}{{ x }}", "{{ pillar.users[0]['name'] }}{{ pillar.users[0].name }}", "{% for u in pillar.users %}{{ u.name }}{% if u.get('admin') %}*{% endif %} {% endfor %}",
    "{% set a = {'x': 1} %}{% set b = {'y': 2} %}{% do a.update(b) %}{{ a }}", "{{ dict([('a', 1)]) }}", "{% set s = 'abc' %}{{ s[::-1] }}{{ s[0:2] }}", "{{ '%02d' % 5 }}{{ '%s %s' % (1, 'b') }}{{ '%.2f' % 1.5 }}{{ '%d%%' % 5 }}", "{{ 'a' 'b' }}",
    "{{ loop }}", "{{ pillar.name.upper().lower().title() }}", "{% if pillar.name == 'web' and (pillar.num > 3 or not pillar.flag) %}ok{% endif %}", "{{ (1, 2) + (3,) }}", "{{ ([1, 2], {'a': 1}) }}", "{{ 10 | string | length }}", "{{ -5 | abs }}", "{{ 5 - 3 - 1 }}{{ 2 ** 3 ** 2 }}{{ 7 // 2 * 2 }}", "{{ not 1 == 2 }}", "{{ 'a' < 'b' }}{{ [1, 2] < [1, 3] }}", "{{ 1 if nope is defined else 2 }}", "{{ nope.x is defined }}", "{{ pillar.map.nope is defined }}{{ pillar.map.nope | default('dd') }}", "{{ (pillar.map.nope | default({})).x | default('e') }}",
]

PILLAR = {"name": "web", "list": ["a", "b", "c"], "map": {"b": 2, "a": 1}, "nested": {"deep": [{"k": "v"}], "flag": True, "none": None}, "text": "plain text", "multi": "l1\nl2", "flag": True,
          "none": None, "num": 5, "users": [{"name": "ann", "admin": True}, {"name": "bob", "admin": False}]}
GRAINS = {"id": "m1", "os": "Debian", "ip": ["10.0.0.1"]}


def main():
    root = tempfile.mkdtemp(prefix="jinja")
    try:
        files = os.path.join(root, "files")
        for path, text in FILES.items():
            path = os.path.join(files, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as out:
                out.write(text)
        opts = salt.config.DEFAULT_MINION_OPTS.copy()
        opts.update({"file_client": "local", "id": "m1", "root_dir": root, "cachedir": os.path.join(root, "cache"), "file_roots": {"base": [files]}, "grains": GRAINS, "pillar": PILLAR, "extension_modules": "", "pki_dir": root})
        functions = salt.loader.minion_mods(opts)
        results = []
        expressions = [e.strip() for line in EXPRESSIONS.strip().splitlines() for e in split(line)]
        for template in ["{{ " + e + " }}" for e in expressions] + TEMPLATES:
            context = {"opts": opts, "saltenv": "base", "sls": "web.site", "salt": functions, "grains": GRAINS, "pillar": json.loads(json.dumps(PILLAR))}
            context.update(salt.utils.templates.generate_sls_context(os.path.join(files, "web/site.sls"), "web.site"))
            context.pop("tplpath")
            results.append([template, render(template, context)])
        json.dump({"files": FILES, "pillar": PILLAR, "grains": GRAINS, "results": results}, sys.stdout, indent=0)
    finally:
        shutil.rmtree(root)


def split(line):
    """Splits at ' | ' outside brackets; a filter is written without blanks around its bar."""
    return line.split(" | ")


def render(template, context):
    try:
        return {"text": salt.utils.templates.render_jinja_tmpl(template, context)}
    except salt.exceptions.SaltRenderError as exc:
        return {"error": str(exc).split("\nTraceback")[0].split("; line")[0].split("\n/")[0]}
    except Exception as exc:
        return {"error": "outside: " + str(exc)}


main()
