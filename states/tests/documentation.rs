//! The table of filters, tests and functions of templates in `README.md` is what the code knows.
//!
//! Every name that Salt documents (its own and Jinja's) is tried; `UPDATE=1` writes the table anew.

mod harness;

use std::{collections::BTreeMap, fs, path::Path};

use states::{Jinja, Map, Series, SlsFile, TemplateSpec, Value, render_sls};

/// Salt's own filters (`salt/utils`, `@jinja_filter`).
const SALT_FILTERS: &str = "append_dict_key_value avg base64_decode base64_encode check_whitelist_blacklist combinations \
    combinations_with_replacement compare_dicts compare_lists compress contains_whitespace date_format \
    dict_to_sls_yaml_params difference dns_check exactly_n_true exactly_one_true extend_dict_key_value file_hashsum \
    filter_by_networks flatten from_entries gen_mac get_uid hmac hmac_compute http_query human_to_bytes intersect \
    ip_host ipaddr ipv4 ipv6 ipwrap is_bin_file is_empty is_hex is_ip is_ipv4 is_ipv6 is_iter is_list is_text_file json \
    json_decode_dict json_decode_list json_encode_dict json_encode_list json_query list_files load_json load_text \
    load_yaml mac_str_to_bytes max md5 method_call min mysql_to_dict network_hosts network_size path_join permutations \
    product python quote rand_str random_hash random_sample random_shuffle random_str regex_escape regex_match \
    regex_replace regex_search sequence set_dict_key_value sha1 sha256 sha512 skip sorted_ignorecase str_to_num strftime \
    substring_in_list symmetric_difference to_bool to_bytes to_camelcase to_entries to_num to_snake_case tojson traverse \
    union unique update_dict_key_value uuid which xml yaml yaml_dquote yaml_encode yaml_squote zip zip_longest";

/// Jinja's own filters.
const JINJA_FILTERS: &str = "abs attr batch capitalize center count d default dictsort e escape filesizeformat first float \
    forceescape format groupby indent int items join last length list lower map pprint random reject rejectattr replace \
    reverse round safe select selectattr slice sort string striptags sum title trim truncate upper urlencode urlize \
    wordcount wordwrap xmlattr";

/// Tests, Salt's and Jinja's.
const TESTS: &str = "match equalto boolean callable defined divisibleby eq escaped even false filter float ge greaterthan gt \
    in integer iterable le lessthan lower lt mapping ne none number odd sameas sequence string test true undefined upper";

/// What a template can name without setting it.
const GLOBALS: &str = "salt grains pillar opts saltenv sls slspath sls_path slsdotpath slscolonpath tplpath tplfile tpldir \
    tpldot raise ifelse range dict cycler joiner namespace lipsum";

/// Tags with a use of each.
const TAGS: &[(&str, &str)] = &[
    ("set", "{% set a = 1 %}"),
    ("if", "{% if true %}{% elif true %}{% else %}{% endif %}"),
    ("for", "{% for x in [1] %}{% else %}{% endfor %}"),
    ("break", "{% for x in [1] %}{% break %}{% endfor %}"),
    ("continue", "{% for x in [1] %}{% continue %}{% endfor %}"),
    ("macro", "{% macro m() %}{% endmacro %}"),
    ("call", "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{% endcall %}"),
    ("filter", "{% filter upper %}{% endfilter %}"),
    ("raw", "{% raw %}{% endraw %}"),
    ("with", "{% with a = 1 %}{% endwith %}"),
    ("block", "{% block a %}{% endblock %}"),
    ("include", "{% include 'part' %}"),
    ("import", "{% import 'part' as p %}"),
    ("from", "{% from 'part' import p with context %}"),
    ("do", "{% do [].append(1) %}"),
    ("import_yaml", "{% import_yaml 'part' as p %}"),
    ("import_json", "{% import_json 'json' as p %}"),
    ("import_text", "{% import_text 'part' as p %}"),
    ("load_yaml", "{% load_yaml as p %}{% endload %}"),
    ("load_json", "{% load_json as p %}{}{% endload %}"),
    ("load_text", "{% load_text as p %}{% endload %}"),
    ("profile", "{% profile as 'p' %}{% endprofile %}"),
    ("trans", "{% trans %}a{% endtrans %}"),
];

fn failure(text: &str) -> Option<String> {
    let files = BTreeMap::from([
        ("part".to_owned(), "{% set p = 1 %}".to_owned()),
        ("json".to_owned(), "{}".to_owned()),
    ]);
    let sources = harness::sources(files);
    let context = harness::context(Series::V3008, Value::Map(Map::new()));
    let spec = TemplateSpec { path: "a.sls", sls: Some("a"), saltenv: "base", variables: Map::new() };
    Jinja::new(&sources, &context).render(text, &spec).err().map(|error| error.to_string())
}

/// A renderer that nobody knows makes nothing of a file, and one of Salt's that is not here refuses it.
fn renders(name: &str) -> bool {
    let sources = harness::sources(BTreeMap::new());
    let context = harness::context(Series::V3008, Value::Map(Map::new()));
    let text = format!("#!{name}\n{{\"a\": 1}}\n");
    let file = SlsFile { saltenv: "base", sls: "a", path: "a.sls", bytes: text.as_bytes() };
    render_sls(&Jinja::new(&sources, &context), &file, "jinja|yaml")
        .is_ok_and(|data| data != Value::Map(Map::new()))
}

fn row(names: &str, known: impl Fn(&str) -> bool) -> String {
    let (has, lacks): (Vec<&str>, Vec<&str>) = names.split_whitespace().partition(|name| known(name));
    let listed =
        |names: Vec<&str>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ");
    format!("{} | {}", listed(has), if lacks.is_empty() { "–".to_owned() } else { listed(lacks) })
}

fn table() -> String {
    let filter = |name: &str| {
        !failure(&format!("{{{{ 'x'|{name} }}}}")).is_some_and(|why| why.contains("No filter named"))
    };
    let test = |name: &str| {
        !failure(&format!("{{{{ 'x' is {name} }}}}")).is_some_and(|why| why.contains("No test named"))
    };
    let global = |name: &str| failure(&format!("{{{{ {name} is defined or undefined_name }}}}")).is_none();
    let tags: Vec<&str> = TAGS.iter().map(|(name, _)| *name).collect();
    let tag = |name: &str| {
        TAGS.iter().find(|(known, _)| *known == name).is_some_and(|(_, text)| failure(text).is_none())
    };
    let renderers = "jinja yaml json text yaml_jinja json_jinja py mako gpg toml cheetah genshi wempy";
    let mut out = String::from("| | yes | no |\n|---|---|---|\n");
    for (title, cells) in [
        ("renderers", row(renderers, renders)),
        ("tags", row(&tags.join(" "), tag)),
        ("Salt's filters", row(SALT_FILTERS, filter)),
        ("Jinja's filters", row(JINJA_FILTERS, filter)),
        ("tests", row(TESTS, test)),
        ("names", row(GLOBALS, global)),
    ] {
        out.push_str(&format!("| {title} | {cells} |\n"));
    }
    out
}

#[test]
fn the_table_of_what_templates_can_do_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- templates: generated by tests/documentation.rs -->\n", "<!-- end -->");
    let start = readme.find(begin).unwrap() + begin.len();
    let stop = start + readme[start..].find(end).unwrap();
    let table = table();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{}{table}{}", &readme[..start], &readme[stop..])).unwrap();
        return;
    }
    assert_eq!(&readme[start..stop], table, "run with UPDATE=1 to write the table anew");
}
